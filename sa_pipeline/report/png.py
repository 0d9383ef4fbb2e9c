"""Pictures as bytes, and as markdown for Dagster's metadata pane."""

import base64
import io

from PIL import Image

MAX_MARKDOWN_SIDE = 900
"""px; larger pictures are brought down, so that the event log stays small."""
MAX_MARKDOWN_BYTES = 150_000
"""Of the encoded picture, which the event log keeps for every materialization."""
JPEG_QUALITY = 80


def png_bytes(image: Image.Image) -> bytes:
    """Encodes a picture as PNG; equal pictures give equal bytes."""
    sink = io.BytesIO()
    image.save(sink, "PNG", optimize=True)
    return sink.getvalue()


def jpeg_bytes(image: Image.Image) -> bytes:
    """Encodes a picture as JPEG; equal pictures give equal bytes."""
    sink = io.BytesIO()
    image.convert("RGB").save(sink, "JPEG", quality=JPEG_QUALITY)
    return sink.getvalue()


def markdown_image(image: Image.Image, max_side: int = MAX_MARKDOWN_SIDE) -> str:
    """Markdown that shows the picture without another file.

    Args:
        image: Any picture.
        max_side: px; a larger picture is brought down to it, and further until it fits in `MAX_MARKDOWN_BYTES`.
    """
    small = image.convert("RGB")
    small.thumbnail((max_side, max_side))
    encoded = base64.b64encode(jpeg_bytes(small))
    while len(encoded) > MAX_MARKDOWN_BYTES:
        side = max(small.size)
        small.thumbnail((side * 4 // 5, side * 4 // 5))
        encoded = base64.b64encode(jpeg_bytes(small))
    return f"![](data:image/jpeg;base64,{encoded.decode('ascii')})"
