"""The append-only ledger: which image has which number and lies in which shard, for good.

A shard is one immutable list of images, one Parquet file. An image never changes its shard, and a shard never grows:
what is appended later goes to new shards, so the last shard of an append may hold fewer images than the others.
"""

import hashlib
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sa_pipeline.errors import ArtifactError, StorageError
from sa_pipeline.images.reading import SourceReader
from sa_pipeline.images.rejection import ImageRejected
from sa_pipeline.images.sources import SourceFile, list_source
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.settings import ImageSettings
from sa_pipeline.storage import Storage

LEDGER = "ledger"
IMAGE_ID_LIMIT = 2**33
"""Keeps mask ids, a million an image, below 2**53, so that JavaScript reads them."""

_MAX_BYTES_PER_PIXEL = 8
"""Of the largest image file: four channels of 16 bits, not compressed."""

_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("source_uri", pa.string(), nullable=False),
        pa.field("sha256", pa.string()),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("duplicate_of", pa.int64()),
    ]
)


class LedgerEntry(BaseModel):
    """An image's identity.

    `sha256` is None when the file could not be read; `duplicate_of` names the first image with the same bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_id: int = Field(ge=1, lt=IMAGE_ID_LIMIT)
    shard: str = Field(pattern=r"^\d{6}$")
    source_uri: str
    sha256: str | None
    size_bytes: int = Field(ge=0)
    duplicate_of: int | None = None


@dataclass(frozen=True)
class AppendReport:
    """What an append found.

    Attributes:
        new_shards: Shards that were written, in order; to be registered as partitions.
        new_images: Images in them, among them those that are duplicates or unreadable.
        new_duplicates: Images in them whose bytes were known already.
        new_unreadable: Images in them that could not be read.
        total_images: Images in the ledger now.
    """

    new_shards: tuple[str, ...]
    new_images: int
    new_duplicates: int
    new_unreadable: int
    total_images: int


def append_new_images(
    storage: Storage,
    source: str,
    settings: ImageSettings,
    *,
    progress: Progress | None = None,
    limit: int | None = None,
) -> AppendReport:
    """Enters the files of a source that the ledger does not know yet, in the source's order, in new shards.

    When it is stopped, the shards written so far stay and the next call goes on with the rest. A file that was
    unreadable before and can be read now is entered anew, with a number of its own.

    Args:
        storage: Where the ledger lies, in the folder `ledger`.
        source: As in `list_source`.
        settings: `images_per_shard` and `max_pixels`.
        progress: Shows the reading and hashing of new files.
        limit: Enter no more than so many images.

    Raises:
        SourceError: The source does not exist or cannot be reached.
        StorageError: The ledger cannot be written, or somebody else is appending to it.
    """
    known = _Known.read(storage)
    unknown = [file for file in list_source(source) if file.uri not in known.hashed]
    tracked = (progress or SilentProgress()).track(unknown, description="hashing new images", total=len(unknown))
    new_files = itertools.islice(_hash_new(tracked, known, settings), limit)
    shards: list[str] = []
    images = duplicates = unreadable = 0
    for batch in _batched(new_files, settings.images_per_shard):
        shard = f"{known.next_shard:06d}"
        entries = [known.enter(file, sha256, shard) for file, sha256 in batch]
        _write_shard(storage, shard, entries)
        known.next_shard += 1
        shards.append(shard)
        images += len(entries)
        duplicates += sum(entry.duplicate_of is not None for entry in entries)
        unreadable += sum(entry.sha256 is None for entry in entries)
    return AppendReport(tuple(shards), images, duplicates, unreadable, known.next_image_id - 1)


def list_shards(storage: Storage) -> list[str]:
    """Names of all shards, in order."""
    return [name.rsplit("/", 1)[-1].removesuffix(".parquet") for name in storage.list(LEDGER, ".parquet")]


def ledger_name(shard: str) -> str:
    """Name of a shard's ledger file within the storage root."""
    return f"{LEDGER}/{shard}.parquet"


def read_ledger_shard(storage: Storage, shard: str) -> list[LedgerEntry]:
    """Reads the images of one shard, in order.

    Raises:
        StorageError: There is no such shard.
        ArtifactError: Its file is damaged.
    """
    name = ledger_name(shard)
    try:
        rows = pq.read_table(io.BytesIO(storage.read_bytes(name))).to_pylist()
        return [LedgerEntry(**row) for row in rows]
    except (pa.ArrowException, ValidationError, TypeError) as error:
        raise ArtifactError(
            f"{storage.url_of(name)} is damaged ({error}); restore it from a backup: it gives images their numbers."
        ) from error


def read_ledger(storage: Storage) -> Iterator[LedgerEntry]:
    """Yields all images, in the order of their numbers."""
    for shard in list_shards(storage):
        yield from read_ledger_shard(storage, shard)


def max_file_bytes(settings: ImageSettings) -> int:
    """Size beyond which a file is not read: no image within `max_pixels` needs it."""
    return settings.max_pixels * _MAX_BYTES_PER_PIXEL


@dataclass
class _Known:
    """What the ledger holds, and the numbers that come next."""

    hashed: set[str]
    unhashed: set[str]
    first_with: dict[str, int]
    next_image_id: int = 1
    next_shard: int = 0

    @classmethod
    def read(cls, storage: Storage) -> "_Known":
        known = cls(set(), set(), {})
        for entry in read_ledger(storage):
            known._remember(entry)
            known.next_shard = int(entry.shard) + 1
        return known

    def enter(self, file: SourceFile, sha256: str | None, shard: str) -> LedgerEntry:
        # Empty files all have the same bytes; "empty" says more about them than "duplicate".
        original = self.first_with.get(sha256) if sha256 and file.size_bytes else None
        entry = LedgerEntry(
            image_id=self.next_image_id,
            shard=shard,
            source_uri=file.uri,
            sha256=sha256,
            size_bytes=file.size_bytes,
            duplicate_of=original,
        )
        self._remember(entry)
        return entry

    def _remember(self, entry: LedgerEntry) -> None:
        self.next_image_id = entry.image_id + 1
        if entry.sha256 is None:
            self.unhashed.add(entry.source_uri)
        else:
            self.hashed.add(entry.source_uri)
            self.first_with.setdefault(entry.sha256, entry.image_id)


def _hash_new(
    files: Iterator[SourceFile], known: _Known, settings: ImageSettings
) -> Iterator[tuple[SourceFile, str | None]]:
    max_bytes = max_file_bytes(settings)
    seen: set[str] = set()
    with SourceReader() as reader:
        for file in files:
            if file.uri in seen:  # a tar may hold a name twice
                continue
            seen.add(file.uri)
            try:
                data = reader.read(file.uri, size_bytes=file.size_bytes, max_bytes=max_bytes)
            except ImageRejected:
                if file.uri not in known.unhashed:
                    yield file, None
            else:
                yield SourceFile(file.uri, len(data)), hashlib.sha256(data).hexdigest()


def _batched(
    files: Iterator[tuple[SourceFile, str | None]], size: int
) -> Iterator[list[tuple[SourceFile, str | None]]]:
    while batch := list(itertools.islice(files, size)):
        yield batch


def _write_shard(storage: Storage, shard: str, entries: list[LedgerEntry]) -> None:
    name = ledger_name(shard)
    if storage.exists(name):
        raise StorageError(
            f"{storage.url_of(name)} appeared while its images were being read: another append is running. "
            "Let it finish, then run this one again."
        )
    buffer = io.BytesIO()
    table = pa.Table.from_pylist([entry.model_dump() for entry in entries], schema=_SCHEMA)
    pq.write_table(table, buffer, compression="zstd")
    storage.write_bytes(name, buffer.getvalue())
