"""Back up, destroy, restore, go on: nothing that a person did is lost, and images keep their numbers."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from sa_pipeline.backup import MANIFEST, back_up, read_manifest, restore
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.errors import BackupError
from sa_pipeline.images.ledger import append_new_images, read_ledger
from sa_pipeline.progress import SilentProgress
from sa_pipeline.studio.database import DATABASE_VARIABLE, Studio, open_studio
from sa_pipeline.studio.models import Tool
from sa_pipeline.studio.people import add_annotator, person_of_token
from sa_pipeline.studio.schema import metadata
from sa_pipeline_tests.studio.desk import add_round
from sa_pipeline_tests.studio.work import begin, thing

OPERATE = Path(__file__).parents[2] / "docs" / "operate.md"


def work(studio: Studio, token: str, count: int = 1) -> None:
    """The owner of the token draws some masks."""
    person = person_of_token(studio, token)
    assert person is not None
    task = begin(studio, person)
    for index in range(count):
        task.do((Tool.BRUSH, thing(task.rectangle(10 * index, 10, 8, 8), "a thing")))


def content(studio: Studio) -> dict[str, list[sa.Row]]:
    """All rows of all tables."""
    with studio.read() as connection:
        return {name: list(connection.execute(sa.select(table))) for name, table in sorted(metadata.tables.items())}


def commands(heading: str) -> list[str]:
    """The commands of a section of the operator's guide."""
    section = OPERATE.read_text().split(f"\n### {heading}\n", 1)[1].split("\n#", 1)[0]
    return [line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]


def run_guide(heading: str, folder: Path) -> None:
    """Runs these commands as an operator would."""
    for command in commands(heading):
        done = subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def images(dataset: Dataset) -> list[tuple[int, str]]:
    return [(entry.image_id, entry.source_uri) for entry in read_ledger(dataset.storage)]


def test_work_is_backed_up_while_it_goes_on_and_goes_on_after_the_disk_was_lost(
    studio_dataset: Dataset,
    database_url: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    headings = [""] if database_url is None else ["", " PostgreSQL"]
    if database_url is not None:
        monkeypatch.setenv(DATABASE_VARIABLE, database_url)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    home = tmp_path / "masks"
    shutil.move(studio_dataset.home, home)
    dataset = open_dataset(home)
    (home / "studio").mkdir(exist_ok=True)
    (home / "studio" / "guidelines.md").write_text("Every cat.")
    studio = open_studio(dataset)
    add_round(studio, "round-1")
    token = add_annotator(studio, "Ada")
    work(studio, token, 3)
    before, numbers = content(studio), images(dataset)

    for heading in reversed(headings):  # the studio is open
        run_guide(f"Back up{heading}", tmp_path)
    work(studio, token)
    studio.close()
    shutil.rmtree(home)
    if database_url is not None:
        url = sa.make_url(database_url)
        server = sa.create_engine(url.set(drivername="postgresql+psycopg", database="postgres"))
        with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text(f"DROP DATABASE {url.database} WITH (FORCE)"))
            connection.execute(sa.text(f"CREATE DATABASE {url.database}"))
    for heading in headings:
        run_guide(f"Restore{heading}", tmp_path)

    dataset = open_dataset(home)
    assert images(dataset) == numbers
    assert (home / "studio" / "guidelines.md").read_text() == "Every cat."
    studio = open_studio(dataset)
    try:
        assert content(studio) == before
        work(studio, token)
    finally:
        studio.close()
    assert append_new_images(dataset.storage, str(dataset.config.source), dataset.settings.images).new_images == 0


@pytest.fixture
def saved(dataset: Dataset, tmp_path: Path) -> Path:
    """A backup of a dataset with a ledger and an empty studio."""
    append_new_images(dataset.storage, str(dataset.config.source), dataset.settings.images)
    open_studio(dataset).close()
    back_up(dataset, tmp_path / "backup.tar", SilentProgress())
    return tmp_path / "backup.tar"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_that_differs_is_replaced_and_nothing_half_restored(saved: Path, tmp_path: Path) -> None:
    home = tmp_path / "other"
    (home / "ledger").mkdir(parents=True)
    (home / "ledger" / "000001.parquet").write_bytes(b"of another dataset")
    before = files(home)
    with pytest.raises(BackupError, match=r"000001\.parquet is there already and differs"):
        restore(saved, home, SilentProgress())
    assert files(home) == before
    (home / "ledger" / "000001.parquet").unlink()
    restore(saved, home, SilentProgress())
    # An interrupted call is repeated: what is there and equal is left alone.
    (home / "ledger" / "000001.parquet").unlink()
    restore(saved, home, SilentProgress())
    assert (home / "ledger" / "000001.parquet").is_file()
    dataset = open_dataset(home, DatasetConfig())
    with pytest.raises(BackupError, match="never replaced"):
        back_up(dataset, saved, SilentProgress())


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_damaged_backup_is_refused_before_anything_is_written(saved: Path, tmp_path: Path, place: float) -> None:
    with tarfile.open(saved) as tar:
        entry = max(tar.getmembers(), key=lambda member: member.size)
    data = bytearray(saved.read_bytes())
    data[entry.offset_data + int(place * entry.size)] ^= 1
    saved.write_bytes(data)
    with pytest.raises(BackupError, match=f"{entry.name} in it is damaged"):
        restore(saved, tmp_path / "other", SilentProgress())
    assert not (tmp_path / "other").exists()


def test_what_is_no_backup_is_refused(saved: Path, tmp_path: Path) -> None:
    saved.with_name("cut.tar").write_bytes(saved.read_bytes()[:20_000])
    saved.with_name("text.tar").write_text("no tar")
    for name in ("cut.tar", "text.tar", "gone.tar"):
        with pytest.raises(BackupError, match="not a complete backup"):
            restore(tmp_path / name, tmp_path / "other", SilentProgress())
    evil = read_manifest(saved).model_copy(update={"digests": {"home/../../etc/passwd": "0" * 64}})
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        for name, data in (("home/../../etc/passwd", b""), (MANIFEST, evil.model_dump_json().encode())):
            (tmp_path / "part").write_bytes(data)
            tar.add(tmp_path / "part", name)
    with pytest.raises(BackupError, match="is not a file of a backup"):
        restore(tmp_path / "evil.tar", tmp_path / "other", SilentProgress())


def test_a_damaged_database_is_not_backed_up(dataset: Dataset, tmp_path: Path) -> None:
    open_studio(dataset).close()
    path = dataset.home / "studio" / "studio.sqlite"
    data = bytearray(path.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    path.write_bytes(data)
    with pytest.raises(BackupError, match=r"studio\.sqlite"):
        back_up(dataset, tmp_path / "backup.tar", SilentProgress())
    assert not (tmp_path / "backup.tar").exists()
