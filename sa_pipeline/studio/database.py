"""The studio's database: SQLite in the dataset's home, or PostgreSQL by URL.

SQLite allows one writer at a time and lets others poll, which is unfair: under load some wait for seconds. Here all
writes of a process go through one thread, which does what waits in one transaction and answers only when it is on disk.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from sa_pipeline.dataset import SHARED_DATABASE_VARIABLE, Dataset
from sa_pipeline.errors import SettingsError, StudioUnavailableError
from sa_pipeline.settings import StudioSettings
from sa_pipeline.studio.migrating import migrate
from sa_pipeline.studio.writers import GroupCommitWriter, PooledWriter, Writer, unavailable

Timer = Callable[[str, float], None]
"""Told of each transaction: `read` or `write`, and its seconds, waiting for others included."""

DATABASE_VARIABLE = "SA_PIPELINE_STUDIO_DATABASE"

SCHEMA = "studio"
"""Of a database that Dagster uses too: both keep their version in a table `alembic_version`."""

BUSY_MILLISECONDS = 30_000
"""How long SQLite waits for the writer of another process, such as the one that fills the queue."""

POOL_SIZE = 20
"""Connections to PostgreSQL, or readers of SQLite, of one process."""

# Else an error repeats in the log what was to be written, secrets among it.
_QUIET = {"hide_parameters": True}

T = TypeVar("T")


def _untimed(_kind: str, _seconds: float) -> None:
    pass


@dataclass(frozen=True)
class Studio:
    """The open database of a dataset's annotation studio.

    Attributes:
        dataset: Whose pictures are annotated.
        settings: The dataset's.
        clock: Seconds since 1970 (UTC).
        timer: For whoever wants to know how long transactions take.
    """

    dataset: Dataset
    settings: StudioSettings
    clock: Callable[[], float]
    _readers: sa.Engine = field(repr=False)
    _writer: Writer = field(repr=False)
    timer: Timer = field(default=_untimed, repr=False)

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._readers.dialect.name

    @property
    def folder(self) -> Path:
        """Where guidelines, decoders and, for SQLite, the database lie."""
        return studio_folder(self.dataset)

    def write(self, function: Callable[[sa.Connection], T]) -> T:
        """Runs a function in one transaction and returns what it returned, once that is on disk.

        Args:
            function: Does nothing but ask and change the database, since it may be run again; what it raises undoes
                its changes and is raised here.

        Raises:
            StudioUnavailableError: The database does not answer or cannot be written; nothing was changed.
        """
        start = time.perf_counter()
        try:
            return self._writer.write(function)
        finally:
            self.timer("write", time.perf_counter() - start)

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Yields a connection that sees one state of the database and must change nothing.

        Raises:
            StudioUnavailableError: The database does not answer.
        """
        start = time.perf_counter()
        try:
            with unavailable(self._readers), self._readers.connect() as connection:
                yield connection
        finally:
            self.timer("read", time.perf_counter() - start)

    def close(self) -> None:
        """Finishes the writes that wait and closes all connections."""
        self._writer.close()
        self._readers.dispose()


def studio_folder(dataset: Dataset) -> Path:
    """Folder of the studio in the home of a dataset."""
    return dataset.home / "studio"


def open_studio(dataset: Dataset, clock: Callable[[], float] = time.time) -> Studio:
    """Opens a dataset's studio; makes its database, or brings it up to date, where that is needed.

    Args:
        dataset: Its `settings.studio.database_url`, or the environment variable `SA_PIPELINE_STUDIO_DATABASE`, says
            where the database is. Else it is the one of `SA_PIPELINE_DATABASE`, where the studio's tables have a
            schema of their own beside Dagster's, or a file of SQLite.
        clock: Seconds since 1970 (UTC).

    Raises:
        SettingsError: The URL is not one of SQLite or PostgreSQL.
        StudioError: The database was made by a newer version of this program.
        StudioUnavailableError: The database does not answer or cannot be written.
    """
    own, shared = _named(dataset)
    if shared and not own:
        url = _parse_url(shared, dataset).update_query_dict({"options": f"-csearch_path={SCHEMA}"})
        return _open_postgresql(dataset, url, clock, SCHEMA)
    url = _parse_url(own, dataset)
    open_database = _open_sqlite if url.get_backend_name() == "sqlite" else _open_postgresql
    return open_database(dataset, url, clock)


def sqlite_path(dataset: Dataset) -> Path | None:
    """File of a dataset's studio database, whether it exists or not; None where it is in PostgreSQL.

    Raises:
        SettingsError: The URL is not one of SQLite or PostgreSQL.
    """
    own, shared = _named(dataset)
    if shared and not own:
        return None
    url = _parse_url(own, dataset)
    return Path(str(url.database)).absolute() if url.get_backend_name() == "sqlite" else None


def _named(dataset: Dataset) -> tuple[str | None, str | None]:
    """The URL of the studio's own database, and of the one that it shares with Dagster; the first goes before."""
    own = os.environ.get(DATABASE_VARIABLE) or dataset.settings.studio.database_url
    return own, os.environ.get(SHARED_DATABASE_VARIABLE)


def _parse_url(text: str | None, dataset: Dataset) -> sa.URL:
    if text is None:
        return sa.URL.create("sqlite", database=str(studio_folder(dataset) / "studio.sqlite"))
    expected = "expected postgresql://USER@HOST/NAME or sqlite:///PATH"
    try:
        url = sa.make_url(text)
    except ArgumentError:
        raise SettingsError(f"settings.studio.database_url: not the URL of a database; {expected}.") from None
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql") or not url.database or url.database == ":memory:":
        raise SettingsError(f"settings.studio.database_url: got {url.render_as_string()}; {expected}.")
    return url.set(drivername="sqlite" if backend == "sqlite" else "postgresql+psycopg")


def _open_sqlite(dataset: Dataset, url: sa.URL, clock: Callable[[], float]) -> Studio:
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudioUnavailableError(f"{path.parent} cannot be made: {error.strerror}.") from error
    writing = sa.create_engine(url, poolclass=sa.NullPool, **_QUIET)
    _prepare_sqlite(writing, "BEGIN IMMEDIATE", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
    reading = sa.create_engine(url, poolclass=sa.QueuePool, pool_size=POOL_SIZE, max_overflow=-1, **_QUIET)
    _prepare_sqlite(reading, "BEGIN", "query_only=ON")
    with unavailable(writing):
        migrate(writing)
    return Studio(dataset, dataset.settings.studio, clock, reading, GroupCommitWriter(writing))


def _prepare_sqlite(engine: sa.Engine, begin: str, *pragmas: str) -> None:
    @sa.event.listens_for(engine, "connect")
    def connect(connection: "sqlite3.Connection", _record: object) -> None:  # type: ignore[name-defined]  # noqa: F821
        # Transactions are begun below; Python's own rules about when to begin one would be in the way.
        connection.isolation_level = None
        for pragma in (f"busy_timeout={BUSY_MILLISECONDS}", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)


def _open_postgresql(dataset: Dataset, url: sa.URL, clock: Callable[[], float], schema: str | None = None) -> Studio:
    try:
        engine = sa.create_engine(url, pool_size=POOL_SIZE, max_overflow=POOL_SIZE, pool_pre_ping=True, **_QUIET)
    except (ImportError, NoSuchModuleError):
        raise SettingsError(
            "settings.studio.database_url names PostgreSQL, whose driver is not installed; "
            "run: pip install 'sa-pipeline[postgresql]'."
        ) from None
    with unavailable(engine):
        migrate(engine, schema)
    return Studio(dataset, dataset.settings.studio, clock, engine, PooledWriter(engine))
