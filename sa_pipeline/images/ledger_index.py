"""An index of the ledger: which files and which contents are entered, asked of SQLite so that memory stays flat.

It is made from the ledger's shards and can be thrown away. Only shards that it does not hold yet are read.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from sa_pipeline.images.sources import SourceFile

_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS shards (
    shard INTEGER PRIMARY KEY, digest TEXT NOT NULL, last_image_id INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS files (uri TEXT PRIMARY KEY, readable INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contents (sha256 BLOB PRIMARY KEY, image_id INTEGER NOT NULL) WITHOUT ROWID;
CREATE TEMP TABLE listed (uri TEXT PRIMARY KEY) WITHOUT ROWID;
"""
BUSY_SECONDS = 30
"""How long to wait while another process brings the same index up to date."""


class LedgerIndex:
    """What the ledger holds. Use it as a context manager."""

    def __init__(self, path: Path | None) -> None:
        """Opens the index.

        Args:
            path: Its file, made if missing; None keeps it in memory.
        """
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._connection = self._connect()

    def __enter__(self) -> "LedgerIndex":
        """Gives itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        self._connection.close()

    @property
    def shards(self) -> int:
        """Number of shards that the index holds, always the ledger's first."""
        return int(self._one("SELECT count(*) FROM shards")[0])

    @property
    def last_digest(self) -> str | None:
        """Digest of the file of the last shard that the index holds."""
        found = self._one("SELECT digest FROM shards ORDER BY shard DESC LIMIT 1")
        return str(found[0]) if found else None

    @property
    def last_image_id(self) -> int:
        """Number of the last image that the index holds, 0 for none."""
        return int(self._one("SELECT coalesce(max(last_image_id), 0) FROM shards")[0])

    def clear(self) -> None:
        """Forgets everything."""
        with self._connection:
            for table in ("shards", "files", "contents"):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608  # names of our own

    def add_shard(self, shard: int, digest: str, images: Sequence[tuple[int, str, str | None]]) -> None:
        """Adds a shard of the ledger, whole or not at all; one that is there already stays as it is.

        Args:
            shard: Its number.
            digest: SHA-256 of its file.
            images: Number, URI and SHA-256 of each image in it, in order.
        """
        files = [(uri, sha256 is not None) for _, uri, sha256 in images]
        contents = [(bytes.fromhex(sha256), image_id) for image_id, _, sha256 in images if sha256 is not None]
        with self._connection as connection:
            last = max((image_id for image_id, _, _ in images), default=0)
            connection.execute("INSERT OR IGNORE INTO shards VALUES (?, ?, ?)", (shard, digest, last))
            connection.executemany(
                "INSERT INTO files VALUES (?, ?) "
                "ON CONFLICT (uri) DO UPDATE SET readable = max(readable, excluded.readable)",
                files,
            )
            connection.executemany("INSERT OR IGNORE INTO contents VALUES (?, ?)", contents)

    def not_readable_before(self, files: Iterable[SourceFile]) -> list[SourceFile]:
        """Those of the files that are not entered, or only as unreadable, in their order and each once."""
        by_uri = {file.uri: file for file in files}
        self._connection.executemany("INSERT INTO listed VALUES (?)", ((uri,) for uri in by_uri))
        known = self._connection.execute("SELECT uri FROM listed JOIN files USING (uri) WHERE readable").fetchall()
        self._connection.execute("DELETE FROM listed")
        self._connection.rollback()
        for (uri,) in known:
            del by_uri[uri]
        return list(by_uri.values())

    def is_entered(self, uri: str) -> bool:
        """Whether a file is entered, readable or not."""
        return bool(self._one("SELECT count(*) FROM files WHERE uri = ?", uri)[0])

    def first_with(self, sha256: str) -> int | None:
        """Number of the first image with this content."""
        found = self._one("SELECT image_id FROM contents WHERE sha256 = ?", bytes.fromhex(sha256))
        return int(found[0]) if found else None

    def _one(self, query: str, *values: object) -> tuple[int, ...]:
        found: tuple[int, ...] = self._connection.execute(query, values).fetchone() or ()
        return found

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._opened()
        except sqlite3.OperationalError:  # locked, or not writable
            raise
        except sqlite3.DatabaseError:  # damaged, so made anew
            if self._path is None:
                raise
            self._path.unlink()
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path or ":memory:", timeout=BUSY_SECONDS)
        connection.executescript(_TABLES)
        return connection
