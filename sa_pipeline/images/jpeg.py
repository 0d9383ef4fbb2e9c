"""JPEG bytes, the form in which images are stored: encode, decode, and strip of all that is not pixels."""

import io
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from sa_pipeline.images.rejection import ImageRejected, RejectReason

MAX_JPEG_SIDE = 65_500
"""px; libjpeg refuses to write more."""

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_APP0, _APP14 = 0xE0, 0xEE
# Baseline, extended and progressive frames, Huffman and quantisation tables, restart interval, scans.
_PIXEL_MARKERS = frozenset((0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, _SOS))
_PLAIN_JFIF_BYTES = 14  # without the thumbnail that may follow
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")


class JpegSegment(NamedTuple):
    """One marker of a JPEG file with its parameters and, for a scan, the coded pixels that follow."""

    marker: int
    payload: bytes
    content: bytes

    @property
    def is_end(self) -> bool:
        """Whether this is the end-of-image marker."""
        return self.marker == _EOI


def encode_jpeg(image: Image.Image, quality: int) -> bytes:
    """Encodes without metadata and without chroma subsampling, so that mask edges keep their colours.

    Args:
        image: Mode RGB.
        quality: libjpeg's scale, 1 to 100.

    Returns:
        The file; equal pixels give equal bytes.
    """
    buffer = io.BytesIO()
    bare = image.copy()
    bare.info = {}  # what stands here would be written along
    bare.save(buffer, "JPEG", quality=quality, subsampling="4:4:4")
    return buffer.getvalue()


def decode_jpeg(jpeg: bytes) -> npt.NDArray[np.uint8]:
    """Decodes a stored image. Everything downstream reads pixels through this function.

    Args:
        jpeg: The file's bytes.

    Returns:
        (H, W, 3) uint8 RGB, writeable.

    Raises:
        ImageRejected: The bytes are not a whole JPEG image.
    """
    try:
        # The class itself instead of Image.open, whose limit on pixels is global; ours was applied on ingestion.
        with JpegImageFile(io.BytesIO(jpeg)) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageRejected(RejectReason.CORRUPT, f"the stored JPEG cannot be decoded: {error}") from error


def jpeg_segments(data: bytes) -> Iterator[JpegSegment]:
    """Yields the segments of a JPEG file up to and including end-of-image, or up to where the file breaks off."""
    position = 2
    while match := _MARKER.search(data, position):
        marker = match[1][0]
        if marker == _EOI:
            yield JpegSegment(marker, b"", b"\xff\xd9")
            return
        start = match.end()
        position = start + int.from_bytes(data[start : start + 2], "big")
        if position > len(data):
            return
        end = position
        if marker == _SOS:
            following = _MARKER.search(data, position)
            end = following.start() if following else len(data)
        yield JpegSegment(marker, data[start + 2 : position], data[start - 2 : end])
        position = end


def strip_jpeg(data: bytes) -> bytes | None:
    """Removes all that a decoder does not need: EXIF (with its GPS position), XMP, comments, previews, what follows.

    The coded pixels stay as they are, so the image decodes to the very same values. A file that has nothing to remove
    comes back unchanged.

    Args:
        data: A JPEG file.

    Returns:
        The stripped file; None when it breaks off or uses a coding that not every decoder reads.
    """
    kept = [b"\xff\xd8"]
    has_end = False
    for marker, payload, content in jpeg_segments(data):
        if marker == _APP0 and payload.startswith(b"JFIF\0"):
            if len(payload) != _PLAIN_JFIF_BYTES:
                content = _without_thumbnail(payload)
        elif marker == _APP14 and payload.startswith(b"Adobe"):
            pass  # says how colours are coded
        elif 0xE0 <= marker <= 0xEF or marker == 0xFE:
            continue
        elif marker not in _PIXEL_MARKERS and marker != _EOI:
            return None
        has_end = marker == _EOI
        kept.append(content)
    return b"".join(kept) if has_end else None


def _without_thumbnail(jfif: bytes) -> bytes:
    return b"\xff\xe0\x00\x10" + jfif[:12].ljust(12, b"\0") + b"\0\0"
