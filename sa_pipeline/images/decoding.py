"""A file's bytes to the image that is stored: upright, RGB, of bounded size, without metadata; or why not."""

import functools
import io
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from sa_pipeline.images.colour import has_foreign_profile, to_rgb
from sa_pipeline.images.formats import ImageFormat, check_container, is_cut_short, recognise_format
from sa_pipeline.images.jpeg import MAX_JPEG_SIDE, decode_jpeg, encode_jpeg, strip_jpeg
from sa_pipeline.images.rejection import ImageRejected, RejectReason
from sa_pipeline.settings import ImageSettings

# What Pillow warns about (odd metadata, many pixels) is judged here and ends in the image's row. A filter instead of
# warnings.catch_warnings, which threads that decode side by side would restore in the wrong order.
warnings.filterwarnings("ignore", module=r"PIL\.")

# The readers themselves instead of Image.open, whose limit on pixels is a global that others may need otherwise.
_READERS: dict[ImageFormat, type[ImageFile.ImageFile]] = {
    ImageFormat.JPEG: JpegImageFile,
    ImageFormat.PNG: PngImageFile,
    ImageFormat.WEBP: WebPImageFile,
    ImageFormat.TIFF: TiffImageFile,
    ImageFormat.BMP: BmpImageFile,
}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_TIFF_NEW_SUBFILE_TYPE, _TIFF_DNG_VERSION = 254, 50706
_UNSUPPORTED_PHRASES = ("unknown pixel mode", "unknown data organization", "cannot handle", "unsupported", "unknown")


@dataclass(frozen=True)
class DecodedImage:
    """An accepted image.

    Attributes:
        jpeg: The bytes that are stored, and that every later step and the export decode.
        width: px, of the stored image.
        height: px, of the stored image.
        source_format: Format of the file it came from, such as "PNG".
        source_width: px, upright, before downsizing.
        source_height: px, upright, before downsizing.
    """

    jpeg: bytes
    width: int
    height: int
    source_format: str
    source_width: int
    source_height: int

    @functools.cached_property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB: the decoding of `jpeg`."""
        return decode_jpeg(self.jpeg)


def decode_image(data: bytes, settings: ImageSettings) -> DecodedImage:
    """Turns the bytes of a JPEG, PNG, WebP, TIFF or BMP file into the image that is stored.

    The first frame is taken, turned upright by its EXIF orientation, converted to sRGB and, where its shorter side is
    larger than `max_shorter_side`, brought down to it (SA-1B, paper §5). An 8-bit colour JPEG that needs none of this
    keeps its coded pixels and loses only its metadata; everything else is encoded anew.

    Args:
        data: The whole file.
        settings: Bounds and JPEG quality.

    Raises:
        ImageRejected: With the reason; a file never raises anything else.
    """
    image_format = recognise_format(data)
    check_container(image_format, data)
    try:
        with _READERS[image_format](io.BytesIO(data)) as image:
            _check_header(image, settings)
            return _decode(image, image_format, data, settings)
    except (ImageRejected, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise ImageRejected(RejectReason.TOO_LARGE, str(error)) from error
    except Exception as error:
        # Pillow raises nearly anything on damaged files; none of it may stop a shard.
        raise _rejection(error, image_format, data) from error


def _decode(
    image: ImageFile.ImageFile, image_format: ImageFormat, data: bytes, settings: ImageSettings
) -> DecodedImage:
    if image_format is ImageFormat.JPEG and (kept := _keep_coded_pixels(image, data, settings)) is not None:
        width, height = image.size
        kept_pixels = JpegImageFile(io.BytesIO(kept))
        kept_pixels.load()  # notices a file that breaks off
        return DecodedImage(kept, width, height, image_format, width, height)
    image.load()
    upright = _turn_upright(to_rgb(image), _orientation(image, image_format))
    stored = _bring_down(upright, settings.max_shorter_side)
    if max(stored.size) > MAX_JPEG_SIDE:
        raise ImageRejected(
            RejectReason.TOO_LARGE,
            f"{stored.width} x {stored.height} px; the longer side may have {MAX_JPEG_SIDE} px at most",
        )
    jpeg = encode_jpeg(stored, settings.jpeg_quality)
    return DecodedImage(jpeg, stored.width, stored.height, image_format, upright.width, upright.height)


def _check_header(image: ImageFile.ImageFile, settings: ImageSettings) -> None:
    width, height = image.size
    if width * height > settings.max_pixels:
        raise ImageRejected(
            RejectReason.TOO_LARGE,
            f"{width} x {height} px are more than images.max_pixels = {settings.max_pixels}",
        )
    if min(width, height) < settings.min_side:
        raise ImageRejected(
            RejectReason.TOO_SMALL,
            f"{width} x {height} px; no side may be below images.min_side = {settings.min_side}",
        )
    if isinstance(image, TiffImageFile):
        tags = image.tag_v2
        # Camera raws are TIFFs whose first page is a thumbnail: better no image than a stamp-sized one.
        if _TIFF_DNG_VERSION in tags or tags.get(_TIFF_NEW_SUBFILE_TYPE, 0) & 1:
            raise ImageRejected(
                RejectReason.UNSUPPORTED_FORMAT,
                "the first page is a preview, as in camera raw files; develop it to JPEG or TIFF",
            )


def _keep_coded_pixels(image: ImageFile.ImageFile, data: bytes, settings: ImageSettings) -> bytes | None:
    """The stripped file if its pixels can stay as they are, else None."""
    as_stored = (
        image.mode == "RGB"
        and _orientation(image, ImageFormat.JPEG) == 1
        and (settings.max_shorter_side is None or min(image.size) <= settings.max_shorter_side)
        # Components that are RGB already, not YCbCr, are decoded wrongly by some readers.
        and image.info.get("adobe_transform", 1) == 1
        and not has_foreign_profile(image)
    )
    return strip_jpeg(data) if as_stored else None


def _orientation(image: ImageFile.ImageFile, image_format: ImageFormat) -> int:
    if image_format is ImageFormat.TIFF:
        return 1  # Pillow has turned it while loading
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged metadata is no reason to lose the pixels
        return 1


def _turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)


def _bring_down(image: Image.Image, max_shorter_side: int | None) -> Image.Image:
    shorter = min(image.size)
    if max_shorter_side is None or shorter <= max_shorter_side:
        return image
    width, height = (max(1, round(side * max_shorter_side / shorter)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _rejection(error: Exception, image_format: ImageFormat, data: bytes) -> ImageRejected:
    text = str(error) or type(error).__name__
    if is_cut_short(image_format, data) or "truncated" in text.lower():
        return ImageRejected(
            RejectReason.TRUNCATED, f"the {image_format} file ends early, after {len(data)} bytes: {text}"
        )
    if any(phrase in text.lower() for phrase in _UNSUPPORTED_PHRASES):
        return ImageRejected(RejectReason.UNSUPPORTED_FORMAT, f"{image_format} of a kind that is not read: {text}")
    return ImageRejected(RejectReason.CORRUPT, f"the {image_format} file is damaged: {text}")
