"""From a shard's ledger entries to its raw images: each file becomes an image, or a row that says why not."""

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from sa_pipeline.images.decoding import decode_image
from sa_pipeline.images.ledger import LedgerEntry, max_file_bytes
from sa_pipeline.images.reading import SourceReader
from sa_pipeline.images.rejection import ImageRejected, RejectReason
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.settings import ImageSettings

MAX_DECODING_THREADS = 4
"""Each may hold a decoded image of `max_pixels`."""


@dataclass(frozen=True)
class RawImage:
    """A row of `raw_images`; sizes, format and jpeg are None for a rejected file, reason and detail for an image."""

    image_id: int
    file_name: str
    source_uri: str
    sha256: str | None
    width: int | None
    height: int | None
    source_width: int | None
    source_height: int | None
    format: str | None
    status: Literal["ok", "rejected"]
    reason: RejectReason | None
    detail: str | None
    jpeg: bytes | None


def ingest_image(entry: LedgerEntry, reader: SourceReader, settings: ImageSettings) -> RawImage:
    """Reads and decodes one image.

    Args:
        entry: From the ledger.
        reader: Kept open over the images of a shard.
        settings: Bounds and JPEG quality.

    Returns:
        The image, or a rejected row; a bad file raises nothing.

    Raises:
        SourceError: The remote storage fails, which is no fault of the file.
    """
    return _decode(entry, _read(entry, reader, settings), settings)


def ingest_shard(
    entries: Sequence[LedgerEntry], settings: ImageSettings, progress: Progress | None = None
) -> Iterator[RawImage]:
    """Yields the raw images of a shard in the order of its ledger.

    Files are read one after another and decoded side by side; no more than twice `MAX_DECODING_THREADS` files are in
    memory at once.

    Raises:
        SourceError: The remote storage fails.
    """
    shard = entries[0].shard if entries else ""
    images = _ingest_side_by_side(entries, settings)
    return (progress or SilentProgress()).track(images, description=f"raw_images {shard}", total=len(entries))


def _ingest_side_by_side(entries: Iterable[LedgerEntry], settings: ImageSettings) -> Iterator[RawImage]:
    threads = min(MAX_DECODING_THREADS, os.cpu_count() or 1)
    pending: deque[Future[RawImage]] = deque()
    with SourceReader() as reader, ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        try:
            for entry in entries:
                pending.append(pool.submit(_decode, entry, _read(entry, reader, settings), settings))
                if len(pending) >= 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _read(entry: LedgerEntry, reader: SourceReader, settings: ImageSettings) -> bytes | ImageRejected:
    try:
        if entry.duplicate_of is not None:
            raise ImageRejected(RejectReason.DUPLICATE, f"the same bytes as image {entry.duplicate_of}")
        data = reader.read(entry.source_uri, size_bytes=entry.size_bytes, max_bytes=max_file_bytes(settings))
        if entry.sha256 is None:
            raise ImageRejected(
                RejectReason.UNREADABLE,
                "it could not be read when it was entered in the ledger; the next append enters it anew",
            )
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise ImageRejected(
                RejectReason.CHANGED,
                "its bytes are no longer those entered in the ledger; add the new version under another name",
            )
    except ImageRejected as rejection:
        return rejection
    return data


def _decode(entry: LedgerEntry, data: bytes | ImageRejected, settings: ImageSettings) -> RawImage:
    if isinstance(data, ImageRejected):
        return _rejected(entry, data)
    try:
        image = decode_image(data, settings)
    except ImageRejected as rejection:
        return _rejected(entry, rejection)
    return RawImage(
        image_id=entry.image_id,
        file_name=_file_name(entry),
        source_uri=entry.source_uri,
        sha256=entry.sha256,
        width=image.width,
        height=image.height,
        source_width=image.source_width,
        source_height=image.source_height,
        format=image.source_format,
        status="ok",
        reason=None,
        detail=None,
        jpeg=image.jpeg,
    )


def _rejected(entry: LedgerEntry, rejection: ImageRejected) -> RawImage:
    return RawImage(
        image_id=entry.image_id,
        file_name=_file_name(entry),
        source_uri=entry.source_uri,
        sha256=entry.sha256,
        width=None,
        height=None,
        source_width=None,
        source_height=None,
        format=None,
        status="rejected",
        reason=rejection.reason,
        detail=rejection.detail,
        jpeg=None,
    )


def _file_name(entry: LedgerEntry) -> str:
    return f"sa_{entry.image_id}.jpg"
