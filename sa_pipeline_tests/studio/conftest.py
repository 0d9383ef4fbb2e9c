"""A dataset that is ready to be annotated, made once for all tests of the studio."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import skimage.data
import sqlalchemy as sa
from PIL import Image

from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset, save_config
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.settings import ImageSettings, PipelineSettings
from sa_pipeline.stages.candidate_masks import make_candidate_masks
from sa_pipeline.stages.deduplicated_masks import make_deduplicated_masks
from sa_pipeline.stages.filtered_masks import make_filtered_masks
from sa_pipeline.stages.image_embeddings import make_image_embeddings
from sa_pipeline.stages.raw_images import make_raw_images
from sa_pipeline.studio.database import DATABASE_VARIABLE, Studio, open_studio
from sa_pipeline.studio.decoder import ensure_decoder
from sa_pipeline_tests.conftest import SMALL_MASKS
from sa_pipeline_tests.studio.browser import ServerProcess, running_chromium
from sa_pipeline_tests.studio.desk import Desk, open_desk
from sa_pipeline_tests.studio.postgresql import postgresql_programs, running_postgresql

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
"""In the order of their image ids, 1 to 4; 512x512, 451x300, 600x400 and 640x427 px."""

CopyHome = Callable[[Path], Dataset]


@pytest.fixture(scope="session")
def annotated_home(tmp_path_factory: pytest.TempPathFactory, tiny: LoadedModel) -> CopyHome:
    """Copies a dataset of four photographs in two shards, ready for annotation, to a new folder.

    It has embeddings, automatic masks and the decoder. Use: `dataset = annotated_home(tmp_path / "home")`. Each copy
    may be changed at will.
    """
    made = tmp_path_factory.mktemp("annotated")
    photographs = made / "photographs"
    photographs.mkdir()
    for name in PHOTOGRAPHS:
        Image.fromarray(getattr(skimage.data, name)()).save(photographs / f"{name}.jpg", quality=95)
    settings = PipelineSettings(images=ImageSettings(images_per_shard=2), masks=SMALL_MASKS)
    dataset = open_dataset(made / "home", DatasetConfig(source=str(photographs), settings=settings))
    append_new_images(dataset.storage, str(photographs), settings.images)
    for shard in list_shards(dataset.storage):
        make_raw_images(dataset, shard)
        make_image_embeddings(dataset, shard, tiny)
        make_candidate_masks(dataset, shard, tiny)
        make_filtered_masks(dataset, shard)
        make_deduplicated_masks(dataset, shard)
    ensure_decoder(dataset, "tiny")
    save_config(dataset)
    ensure_decoder(dataset, "tiny")

    def copy(home: Path) -> Dataset:
        shutil.copytree(dataset.home, home)
        return open_dataset(home, dataset.config)

    return copy


@pytest.fixture
def studio_dataset(annotated_home: CopyHome, tmp_path: Path) -> Dataset:
    """A copy of `annotated_home` for one test."""
    return annotated_home(tmp_path / "home")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a PostgreSQL server of our own; skips where there is none."""
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (initdb is neither on PATH nor in /usr/lib/postgresql)")
    with running_postgresql(programs, "fsync=off") as url:
        yield url


@pytest.fixture
def postgresql_database(postgresql: str) -> str:
    """URL of an empty database."""
    name = f"studio_{uuid.uuid4().hex}"
    server = sa.create_engine(sa.make_url(postgresql).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    return sa.make_url(postgresql).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """Where the studio's database is; None: SQLite in the home."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgresql_database")


@pytest.fixture
def desk(studio_dataset: Dataset, database_url: str | None) -> Iterator[Desk]:
    """A running server of the studio, on SQLite and on PostgreSQL, with a task for each photograph."""
    with open_desk(studio_dataset, database_url) as desk:
        yield desk


@pytest.fixture
def sqlite_desk(studio_dataset: Dataset) -> Iterator[Desk]:
    """As `desk`, on SQLite only."""
    with open_desk(studio_dataset) as desk:
        yield desk


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:
    """A browser; skips where there is none, or no built page."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def server(studio_dataset: Dataset) -> Iterator[ServerProcess]:
    """The server of `studio_dataset` as a process, not started yet; killed in the end."""
    server = ServerProcess(studio_dataset.home)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def studio(studio_dataset: Dataset, database_url: str | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """The open studio of a copy of `annotated_home`, on SQLite and on PostgreSQL, without tasks."""
    if database_url is not None:
        monkeypatch.setenv(DATABASE_VARIABLE, database_url)
    opened = open_studio(studio_dataset)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_studio(studio_dataset: Dataset) -> Iterator[Studio]:
    """As `studio`, on SQLite only."""
    opened = open_studio(studio_dataset)
    yield opened
    opened.close()
