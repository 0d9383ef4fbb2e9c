"""Any pixel layout to 8-bit RGB: high bit depths, greys, palettes, transparency, CMYK and colour profiles."""

import io
import logging

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageCms

_log = logging.getLogger(__name__)


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts a decoded image to sRGB.

    Transparent pixels are composited over white. An embedded colour profile other than sRGB is applied. 16-bit greys
    are divided by 257; 32-bit integers and floats, whose white is nowhere stated, are stretched over their own range.

    Args:
        image: Of any mode, loaded.

    Returns:
        Mode RGB, same size.
    """
    if image.mode == "RGB" and not image.has_transparency_data:
        flat = image
    elif image.mode.startswith(("I", "F")):
        flat = Image.fromarray(scale_to_8_bit(np.asarray(image)))
    elif image.has_transparency_data:
        flat = _over_white(image)
    elif image.mode == "CMYK":
        flat = _with_ink_as_ink(image)
    elif image.mode == "P":
        flat = image.convert("RGB")
    else:
        flat = image
    return _apply_profile(flat, image.info.get("icc_profile")).convert("RGB")


def has_foreign_profile(image: Image.Image) -> bool:
    """Whether the image carries a usable colour profile other than sRGB."""
    return _read_foreign_profile(image.info.get("icc_profile"), image.mode) is not None


def scale_to_8_bit(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Brings greys of more than 8 bits to 0..255.

    Args:
        values: (H, W); uint16 is divided by 257, int32 and floats are stretched from their least to their greatest
            finite value. NaN and minus infinity become 0, plus infinity 255; a constant image becomes 0.

    Returns:
        (H, W) uint8.
    """
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    wide = values.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    if high == low:
        return np.zeros(values.shape, dtype=np.uint8)
    unit = np.nan_to_num((wide - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0)
    return np.rint(unit * 255).astype(np.uint8)


def _over_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _with_ink_as_ink(image: Image.Image) -> Image.Image:
    """CMYK with 255 for full ink.

    Adobe stores CMYK JPEGs inverted and says so in a marker of its own. Pillow turns every CMYK JPEG round, also those
    without the marker, which follow the standard.
    """
    if image.format == "JPEG" and "adobe" not in image.info:
        return ImageChops.invert(image)
    return image


def _apply_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    foreign = _read_foreign_profile(profile, image.mode)
    if foreign is None:
        return image
    try:
        converted = ImageCms.profileToProfile(image, foreign, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, ValueError) as error:
        _log.debug("colour profile ignored: %s", error)
        return image
    return converted if converted is not None else image


def _read_foreign_profile(profile: bytes | None, mode: str) -> ImageCms.ImageCmsProfile | None:
    """The profile, if it can be read, is meant for the mode and is not sRGB."""
    if not profile or mode not in ("RGB", "CMYK"):
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        description = ImageCms.getProfileDescription(opened)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        _log.debug("colour profile ignored: %s", error)
        return None
    if opened.profile.xcolor_space.strip() != mode or "srgb" in description.lower():
        return None
    return opened
