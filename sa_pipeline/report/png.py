"""Pictures as bytes, and as markdown for Dagster's metadata pane."""

import base64
import io

from PIL import Image

MAX_MARKDOWN_SIDE = 900
"""px; larger pictures are brought down, so that the event log stays small."""
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
    """Markdown that shows the picture without another file."""
    small = image.copy()
    small.thumbnail((max_side, max_side))
    return f"![](data:image/jpeg;base64,{base64.b64encode(jpeg_bytes(small)).decode('ascii')})"
