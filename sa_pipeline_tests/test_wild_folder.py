"""A folder of broken and odd files among good ones, through the shell command as a user calls it."""

import html
import tarfile
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from sa_pipeline.dataset import Dataset, open_dataset, save_config
from sa_pipeline_tests.images.samples import broken_and_odd_files
from sa_pipeline_tests.test_cli import call


@pytest.fixture
def outcomes(tmp_path: Path) -> dict[str, str]:
    """Writes the files; by name: "ok" or the reason of the rejection."""
    folder = tmp_path / "wild"
    folder.mkdir()
    files = broken_and_odd_files()
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    (folder / "zz_copy.jpg").write_bytes(files["progressive.jpg"][0])
    (folder / "zz_nowhere.jpg").symlink_to(tmp_path / "missing.jpg")
    found = {name: outcome for name, (_, outcome) in files.items()}
    return found | {"zz_copy.jpg": "duplicate", "zz_nowhere.jpg": "unreadable"}


@pytest.fixture
def ran(dataset: Dataset, outcomes: dict[str, str], tmp_path: Path) -> Dataset:
    settings = dataset.settings.model_copy(
        update={
            "images": dataset.settings.images.model_copy(update={"images_per_shard": 100}),
            "masks": dataset.settings.masks.model_copy(update={"points_per_side": 2}),
        }
    )
    wild = open_dataset(dataset.home, dataset.config.model_copy(update={"settings": settings}))
    save_config(wild)
    result = call("run", str(tmp_path / "wild"), "--output", str(wild.home))
    assert result.returncode == 0, result.stderr
    return open_dataset(wild.home)


def test_each_file_is_exported_or_a_row_with_its_reason(ran, outcomes) -> None:
    rejected = {name: reason for name, reason in outcomes.items() if reason != "ok"}
    assert len(rejected) >= 30
    with duckdb.connect(str(ran.catalog_path), read_only=True) as catalog:
        rows = catalog.execute("SELECT image_id, status, reason, detail FROM images ORDER BY image_id").fetchall()
    # A source is read in the order of its names.
    assert dict(zip(sorted(outcomes), (reason or status for _, status, reason, _ in rows), strict=True)) == outcomes
    assert all(detail for _, status, _, detail in rows if status == "rejected")

    with tarfile.open(ran.home / "sa1b_export" / "sa_000000.tar") as tar:
        exported = tar.getnames()
    good = [image_id for image_id, status, _, _ in rows if status == "ok"]
    assert exported == [f"sa_{image_id}.{suffix}" for image_id in good for suffix in ("jpg", "json")]
    assert len(good) == len(outcomes) - len(rejected)

    page = html.unescape((ran.home / "report" / "index.html").read_text())
    printed = call("stats", "--home", str(ran.home)).stdout
    for reason, count in Counter(rejected.values()).items():
        assert page.count(f"<td>{reason}</td>") == count
        assert f"{reason} │ {count}" in " ".join(printed.split())
