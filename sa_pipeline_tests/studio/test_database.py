"""The studio's database on SQLite and on PostgreSQL: made, brought up to date, written by many at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.errors import SettingsError, StudioError, StudioUnavailableError
from sa_pipeline.settings import PipelineSettings, StudioSettings
from sa_pipeline.studio.database import Studio, open_studio
from sa_pipeline.studio.schema import annotators, metadata


def empty_dataset(home: Path, database_url: str | None = None) -> Dataset:
    settings = PipelineSettings(studio=StudioSettings(database_url=database_url))
    return open_dataset(home, DatasetConfig(settings=settings))


def add(connection: sa.Connection, name: str) -> str:
    row = {"name": name, "role": "annotator", "token_hash": name, "created_at": 0.0}
    connection.execute(annotators.insert().values(row))
    return name


def names(studio: Studio) -> list[str]:
    with studio.read() as connection:
        return list(connection.scalars(sa.select(annotators.c.name).order_by(annotators.c.name)))


@pytest.fixture
def studio(tmp_path: Path, database_url: str | None):
    studio = open_studio(empty_dataset(tmp_path / "home", database_url))
    yield studio
    studio.close()


def test_migrations_make_the_tables_of_the_schema(studio) -> None:
    with studio.read() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    assert found == []


def test_what_was_written_is_there_when_the_studio_is_opened_again(tmp_path, database_url) -> None:
    dataset = empty_dataset(tmp_path / "home", database_url)
    first = open_studio(dataset)
    assert first.kind == ("sqlite" if database_url is None else "postgresql")
    assert first.write(lambda connection: add(connection, "Ada")) == "Ada"
    first.close()
    second = open_studio(dataset)
    assert names(second) == ["Ada"]
    second.close()


def test_a_refused_write_leaves_nothing_and_harms_no_other(studio) -> None:
    def refused(connection: sa.Connection) -> None:
        add(connection, "half")
        raise StudioError("No.")

    together = threading.Barrier(20)

    def attempt(number: int) -> str:
        together.wait()
        if number % 2:
            with pytest.raises(StudioError, match="No"):
                studio.write(refused)
            return "refused"
        return studio.write(lambda connection: add(connection, f"{number:02d}"))

    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(attempt, range(20)))
    assert sorted(name for name in done if name != "refused") == names(studio)
    assert len(names(studio)) == 10


def test_a_write_that_breaks_a_rule_of_the_tables_is_refused_alone(studio) -> None:
    studio.write(lambda connection: add(connection, "Ada"))
    with pytest.raises(sa.exc.IntegrityError):
        studio.write(lambda connection: add(connection, "Ada"))
    studio.write(lambda connection: add(connection, "Grace"))
    assert names(studio) == ["Ada", "Grace"]


def test_two_open_studios_write_to_one_database(tmp_path, database_url) -> None:
    dataset = empty_dataset(tmp_path / "home", database_url)
    studios = [open_studio(dataset), open_studio(dataset)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: studios[n % 2].write(lambda c: add(c, f"{n:03d}")), range(100)))
    assert len(names(studios[0])) == 100
    for studio in studios:
        studio.close()


def test_readers_of_sqlite_cannot_write(tmp_path) -> None:
    studio = open_studio(empty_dataset(tmp_path / "home"))
    with pytest.raises(StudioUnavailableError, match="readonly"), studio.read() as connection:
        add(connection, "Ada")
    studio.close()


def test_a_closed_studio_refuses_writes(studio) -> None:
    studio.close()
    if studio.kind == "sqlite":
        with pytest.raises(StudioUnavailableError, match="closed"):
            studio.write(lambda connection: add(connection, "Ada"))


def test_a_database_of_a_newer_version_is_refused_in_one_sentence(tmp_path, database_url) -> None:
    dataset = empty_dataset(tmp_path / "home", database_url)
    studio = open_studio(dataset)
    studio.write(lambda connection: connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'")))
    studio.close()
    with pytest.raises(StudioError, match="update sa_pipeline"):
        open_studio(dataset)


def test_a_file_that_is_no_database_is_refused_in_one_sentence(tmp_path) -> None:
    file = tmp_path / "home" / "studio" / "studio.sqlite"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(StudioError, match="not a database"):
        open_studio(empty_dataset(tmp_path / "home"))


@pytest.mark.parametrize("url", ["mysql://a@b/c", "sqlite://", "nonsense", "postgresql://"])
def test_other_databases_are_refused(tmp_path, url) -> None:
    with pytest.raises(SettingsError, match="expected postgresql://"):
        open_studio(empty_dataset(tmp_path / "home", url))


def test_an_unreachable_server_is_told_without_the_password(tmp_path) -> None:
    with pytest.raises(StudioUnavailableError) as caught:
        open_studio(empty_dataset(tmp_path / "home", "postgresql://ada:secret@127.0.0.1:1/studio"))
    assert "secret" not in str(caught.value)


def test_the_environment_names_the_database(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SA_PIPELINE_STUDIO_DATABASE", f"sqlite:///{tmp_path}/elsewhere.sqlite")
    open_studio(empty_dataset(tmp_path / "home")).close()
    assert (tmp_path / "elsewhere.sqlite").exists()
