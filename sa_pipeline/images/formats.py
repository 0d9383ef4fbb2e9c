"""Image formats told apart by content, never by suffix, and files that end too early told from damaged ones."""

import enum
import re
import struct
import zlib
from collections.abc import Iterator

from sa_pipeline.images.jpeg import jpeg_segments
from sa_pipeline.images.rejection import ImageRejected, RejectReason


class ImageFormat(enum.StrEnum):
    """The formats that are read."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    TIFF = "TIFF"
    BMP = "BMP"


_ACCEPTED = (
    (ImageFormat.JPEG, re.compile(rb"\xff\xd8\xff")),
    (ImageFormat.PNG, re.compile(rb"\x89PNG\r\n\x1a\n")),
    (ImageFormat.WEBP, re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    (ImageFormat.TIFF, re.compile(rb"II[*+]\0|MM\0[*+]")),
    # "BM" alone also starts texts; the size of the second header settles it.
    (ImageFormat.BMP, re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)),
)

_RECOGNISED = (
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("AVIF", re.compile(rb".{4}ftypavi[fs]", re.DOTALL)),
    ("HEIC", re.compile(rb".{4}ftyp(?:hei|hev|mif1|msf1)", re.DOTALL)),
    ("Canon CR3 raw", re.compile(rb".{4}ftypcrx", re.DOTALL)),
    ("Canon CR2 raw", re.compile(rb"II\*\0.{4}CR", re.DOTALL)),
    ("JPEG 2000", re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51")),
    ("JPEG XL", re.compile(rb"\0\0\0\x0cJXL |\xff\x0a")),
    ("PDF", re.compile(rb"%PDF-")),
    ("PostScript", re.compile(rb"%!PS")),
    ("Photoshop", re.compile(rb"8BPS")),
    ("OpenEXR", re.compile(rb"\x76\x2f\x31\x01")),
    ("DICOM", re.compile(rb".{128}DICM", re.DOTALL)),
    ("icon", re.compile(rb"\0\0[\x01\x02]\0[^\0]\0")),
    ("PNM", re.compile(rb"P[1-7]\s+[#0-9W]")),
    ("SVG", re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!DOCTYPE svg[^>]*>\s*)?<svg\b",
                       re.DOTALL)),
)  # fmt: skip

_HEAD_BYTES = 4096


def recognise_format(data: bytes) -> ImageFormat:
    """Tells a file's format by its first bytes.

    Args:
        data: The whole file.

    Raises:
        ImageRejected: empty, unsupported_format or not_an_image.
    """
    if not data:
        raise ImageRejected(RejectReason.EMPTY, "the file has no bytes")
    head = data[:_HEAD_BYTES]
    for name, pattern in _RECOGNISED:
        if pattern.match(head):
            raise ImageRejected(
                RejectReason.UNSUPPORTED_FORMAT,
                f"this is {name}; accepted are {', '.join(ImageFormat)}, so convert it to one of them",
            )
    for image_format, pattern in _ACCEPTED:
        if pattern.match(head):
            return image_format
    raise ImageRejected(
        RejectReason.NOT_AN_IMAGE,
        f"the content is of no image format (it begins with {head[:12]!r}); accepted are {', '.join(ImageFormat)}",
    )


def check_container(image_format: ImageFormat, data: bytes) -> None:
    """Checks what decoders overlook: that a PNG or WebP file is complete, and a PNG's checksums.

    Raises:
        ImageRejected: truncated or corrupt.
    """
    if image_format in (ImageFormat.PNG, ImageFormat.WEBP) and is_cut_short(image_format, data):
        raise ImageRejected(RejectReason.TRUNCATED, f"the file ends early, after {len(data)} bytes")
    if image_format is ImageFormat.PNG:
        for name, content, checksum in _png_chunks(data):
            is_ancillary = name[0] & 0x20
            if not is_ancillary and zlib.crc32(content, zlib.crc32(name)) != checksum:
                raise ImageRejected(RejectReason.CORRUPT, f"the checksum of a {name.decode('latin-1')} chunk is wrong")


def is_cut_short(image_format: ImageFormat, data: bytes) -> bool:
    """Whether the structure of the file reaches beyond its last byte."""
    try:
        match image_format:
            case ImageFormat.JPEG:
                return not any(segment.is_end for segment in jpeg_segments(data))
            case ImageFormat.PNG:
                return not any(name == b"IEND" for name, _, _ in _png_chunks(data))
            case ImageFormat.WEBP:
                return len(data) < int.from_bytes(data[4:8], "little") + 8
            case ImageFormat.TIFF:
                return _tiff_end(data) > len(data)
            case ImageFormat.BMP:
                return int.from_bytes(data[2:6], "little") > len(data)
    except struct.error:  # a field lies beyond the end
        return True


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Yields name, content and stated checksum of each complete chunk."""
    position = 8
    view = memoryview(data)
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            return
        yield name, view[position + 8 : end], int.from_bytes(data[end : end + 4], "big")
        if name == b"IEND":
            return
        position = end + 4


_TIFF_OFFSETS_TO_SIZES = {273: 279, 324: 325}  # StripOffsets: StripByteCounts, TileOffsets: TileByteCounts
_TIFF_INTEGERS = {3: "H", 4: "I"}


def _tiff_end(data: bytes) -> int:
    """Last byte that the first page of a classic TIFF refers to; 0 for a BigTIFF."""
    order = "<" if data[:2] == b"II" else ">"
    magic, directory = struct.unpack_from(f"{order}HI", data, 2)
    if magic != 42:
        return 0
    (entry_count,) = struct.unpack_from(f"{order}H", data, directory)
    values: dict[int, tuple[int, ...]] = {}
    for index in range(entry_count):
        position = directory + 2 + 12 * index
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, position)
        if kind not in _TIFF_INTEGERS or count > len(data):
            continue
        layout = f"{order}{count}{_TIFF_INTEGERS[kind]}"
        inline = struct.calcsize(layout) <= 4
        where = position + 8 if inline else struct.unpack_from(f"{order}I", data, position + 8)[0]
        values[tag] = struct.unpack_from(layout, data, where)
    return max(
        (
            offset + size
            for offsets, sizes in _TIFF_OFFSETS_TO_SIZES.items()
            for offset, size in zip(values.get(offsets, ()), values.get(sizes, ()), strict=False)
        ),
        default=0,
    )
