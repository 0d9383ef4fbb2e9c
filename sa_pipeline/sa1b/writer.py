"""Writing SA-1B: a flat tar of images and their records, the same bytes for the same images."""

import hashlib
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from sa_pipeline.errors import RecordError
from sa_pipeline.sa1b.index import ExportIndex, IndexedFile, IndexedImage
from sa_pipeline.sa1b.records import Record, dump_record, image_name, record_name


@dataclass(frozen=True)
class ExportImage:
    """An image as it is exported: the JPEG's bytes and its record."""

    jpeg: bytes
    record: Record


def write_shard(file: BinaryIO | Path, images: Iterable[ExportImage]) -> ExportIndex:
    """Writes a tar as SA-1B's are: flat, `sa_N.jpg` and then `sa_N.json` for each image.

    An image without masks is written too, with an empty list of annotations. Images are taken one at a time, so that
    memory stays at one image.

    Args:
        file: Where to write: a file open for writing in binary mode, at its start, or a path. A path is written in
            place; to publish the tar whole or not at all, hand over one that lies aside and rename it.
        images: By rising image id.

    Returns:
        The tar's index, without a header.

    Raises:
        RecordError: An image id is not larger than the one before.
    """
    if isinstance(file, Path):
        with file.open("wb") as opened:
            return write_shard(cast(BinaryIO, opened), images)
    sink = _DigestingSink(file)
    indexed: list[IndexedImage] = []
    with tarfile.open(fileobj=cast(BinaryIO, sink), mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for image in images:
            image_id = image.record.image.image_id
            if indexed and image_id <= indexed[-1].image_id:
                raise RecordError(
                    f"{image_name(image_id)} follows {image_name(indexed[-1].image_id)}; expected rising image ids."
                )
            indexed.append(
                IndexedImage(
                    image_id=image_id,
                    annotations=len(image.record.annotations),
                    jpeg=_add(tar, image_name(image_id), image.jpeg),
                    record=_add(tar, record_name(image_id), dump_record(image.record)),
                )
            )
    return ExportIndex(tar_size=sink.tell(), tar_sha256=sink.hexdigest(), images=tuple(indexed))


class _DigestingSink:
    """Passes bytes on to a file, counting and digesting them, so that the tar need not be read again."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = 0
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> IndexedFile:
    # TarInfo's defaults (no time, no owner, mode 644) are written out since equal bytes depend on them.
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mtime, info.mode = 0, 0o644
    info.uid, info.gid, info.uname, info.gname = 0, 0, "", ""
    offset = tar.offset + tarfile.BLOCKSIZE  # the header of a plain file is one block
    tar.addfile(info, io.BytesIO(data))
    return IndexedFile(name=name, offset=offset, size=len(data), sha256=hashlib.sha256(data).hexdigest())
