"""The append-only ledger: which image has which number and lies in which shard, for good.

A shard is one immutable list of images, one Parquet file. An image never changes its shard, and a shard never grows:
what is appended later goes to new shards, so the last shard of an append may hold fewer images than the others.
"""

import hashlib
import io
import itertools
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sa_pipeline.errors import ArtifactError, LedgerBusyError, StorageError, describe_validation_error
from sa_pipeline.images.ledger_index import LedgerIndex
from sa_pipeline.images.reading import SourceReader
from sa_pipeline.images.rejection import ImageRejected
from sa_pipeline.images.sources import SourceFile, list_source
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.settings import ImageSettings
from sa_pipeline.storage import Storage

LEDGER = "ledger"
IMAGE_ID_LIMIT = 2**33
"""Keeps mask ids, a million an image, below 2**53, so that JavaScript reads them."""

FILES_PER_QUESTION = 10_000
"""Files of the source's listing that the index is asked about at once."""

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
    index: Path | None = None,
    progress: Progress | None = None,
    limit: int | None = None,
) -> AppendReport:
    """Enters the files of a source that the ledger does not know yet, in the source's order, in new shards.

    When it is stopped, the shards written so far stay and the next call goes on with the rest. A file that was
    unreadable before and can be read now is entered anew, with a number of its own. Of two calls at once, one goes on
    and the other stops before it writes anything (`Storage.create_bytes` says on which storage this holds).

    Args:
        storage: Where the ledger lies, in the folder `ledger`.
        source: As in `list_source`.
        settings: `images_per_shard` and `max_pixels`.
        index: File on this machine in which is kept, from one call to the next, what the ledger holds; only shards
            written since are read. It may be deleted. None reads the whole ledger.
        progress: Shows the reading and hashing of new files.
        limit: Enter no more than so many images.

    Raises:
        SourceError: The source does not exist or cannot be reached.
        LedgerBusyError: Somebody else appended at the same time.
        StorageError: The ledger or the index cannot be written.
        ArtifactError: A shard of the ledger is damaged.
    """
    try:
        with LedgerIndex(index) as known:
            _catch_up(known, storage)
            appending = _Appending(storage, known, settings.images_per_shard, known.shards, known.last_image_id + 1)
            unknown = (progress or SilentProgress()).track(_unknown_files(source, known), description="hashing images")
            for file, sha256 in itertools.islice(_hash_new(unknown, appending, settings), limit):
                appending.enter(file, sha256)
            return appending.finish()
    except sqlite3.Error as error:
        raise StorageError(f"The ledger's index {index} cannot be used ({error}); delete it and try again.") from error


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
        return [LedgerEntry(**row) for row in _parse(storage.read_bytes(name)).to_pylist()]
    except pa.ArrowException as error:
        raise _damaged(storage, name, str(error)) from error
    except ValidationError as error:
        raise _damaged(storage, name, describe_validation_error(error, name="a row")) from None


def read_ledger(storage: Storage) -> Iterator[LedgerEntry]:
    """Yields all images, in the order of their numbers."""
    for shard in list_shards(storage):
        yield from read_ledger_shard(storage, shard)


def max_file_bytes(settings: ImageSettings) -> int:
    """Size beyond which a file is not read: no image within `max_pixels` needs it."""
    return settings.max_pixels * _MAX_BYTES_PER_PIXEL


def _parse(data: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(data), schema=_SCHEMA)


def _damaged(storage: Storage, name: str, reason: str) -> ArtifactError:
    return ArtifactError(
        f"{storage.url_of(name)} is damaged ({reason}); restore it from a backup: it gives images their numbers."
    )


def _catch_up(known: LedgerIndex, storage: Storage) -> None:
    """Brings the index up to the ledger; one that was made of another ledger is made anew."""
    shards = list_shards(storage)
    held = known.shards
    if held > len(shards) or (held and known.last_digest != storage.digest(ledger_name(shards[held - 1]))):
        known.clear()
        held = 0
    for shard in shards[held:]:
        name = ledger_name(shard)
        data = storage.read_bytes(name)
        try:
            table = _parse(data)
        except pa.ArrowException as error:
            raise _damaged(storage, name, str(error)) from error
        columns = (table[column].to_pylist() for column in ("image_id", "source_uri", "sha256"))
        known.add_shard(int(shard), hashlib.sha256(data).hexdigest(), list(zip(*columns, strict=True)))


def _unknown_files(source: str, known: LedgerIndex) -> Iterator[SourceFile]:
    listing = list_source(source)
    while files := list(itertools.islice(listing, FILES_PER_QUESTION)):
        yield from known.not_readable_before(files)


@dataclass
class _Appending:
    """The shard that is being filled, and what was appended before it.

    The numbers are counted on from those at the start, not asked of the index again: when somebody else appends
    meanwhile, the number of the next shard is taken, which is how it is noticed.
    """

    storage: Storage
    known: LedgerIndex
    images_per_shard: int
    next_shard: int
    next_image_id: int
    entries: list[LedgerEntry] = field(default_factory=list)
    uris: set[str] = field(default_factory=set)
    first_with: dict[str, int] = field(default_factory=dict)
    shards: list[str] = field(default_factory=list)
    images: int = 0
    duplicates: int = 0
    unreadable: int = 0

    def is_entered(self, uri: str) -> bool:
        return uri in self.uris or self.known.is_entered(uri)

    def enter(self, file: SourceFile, sha256: str | None) -> None:
        original = None
        # Empty files all have the same bytes; "empty" says more about them than "duplicate".
        if sha256 and file.size_bytes:
            original = self.known.first_with(sha256) or self.first_with.get(sha256)
            self.first_with.setdefault(sha256, self.next_image_id)
        entry = LedgerEntry(
            image_id=self.next_image_id,
            shard=f"{self.next_shard:06d}",
            source_uri=file.uri,
            sha256=sha256,
            size_bytes=file.size_bytes,
            duplicate_of=original,
        )
        self.next_image_id += 1
        self.entries.append(entry)
        self.uris.add(file.uri)
        if len(self.entries) == self.images_per_shard:
            self._write()

    def finish(self) -> AppendReport:
        if self.entries:
            self._write()
        return AppendReport(tuple(self.shards), self.images, self.duplicates, self.unreadable, self.next_image_id - 1)

    def _write(self) -> None:
        shard = self.entries[0].shard
        data = _serialise(self.entries)
        if not self.storage.create_bytes(ledger_name(shard), data):
            raise LedgerBusyError(
                f"{self.storage.url_of(ledger_name(shard))} appeared while its images were being read: another append "
                "is running. Let it finish, then run this one again."
            )
        images = [(entry.image_id, entry.source_uri, entry.sha256) for entry in self.entries]
        self.known.add_shard(int(shard), hashlib.sha256(data).hexdigest(), images)
        self.next_shard += 1
        self.shards.append(shard)
        self.images += len(self.entries)
        self.duplicates += sum(entry.duplicate_of is not None for entry in self.entries)
        self.unreadable += sum(entry.sha256 is None for entry in self.entries)
        self.entries, self.uris, self.first_with = [], set(), {}


def _hash_new(
    files: Iterator[SourceFile], appending: _Appending, settings: ImageSettings
) -> Iterator[tuple[SourceFile, str | None]]:
    max_bytes = max_file_bytes(settings)
    with SourceReader() as reader:
        for file in files:
            if file.uri in appending.uris:  # a tar may hold a name twice
                continue
            try:
                data = reader.read(file.uri, size_bytes=file.size_bytes, max_bytes=max_bytes)
            except ImageRejected:
                if not appending.is_entered(file.uri):
                    yield file, None
            else:
                yield SourceFile(file.uri, len(data)), hashlib.sha256(data).hexdigest()


def _serialise(entries: list[LedgerEntry]) -> bytes:
    buffer = io.BytesIO()
    table = pa.Table.from_pylist([entry.model_dump() for entry in entries], schema=_SCHEMA)
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
