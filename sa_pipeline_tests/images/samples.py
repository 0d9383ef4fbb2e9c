"""Files to read in tests: good ones, odd ones and broken ones, all made on the fly."""

import io
import struct
import zipfile
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, TiffImagePlugin
from skimage import data

ODD_NAMES = (
    "with space.png",
    "ünïcødé 漢字.png",
    "hash#tag.png",
    "100%.png",
    "%23.png",
    "plus+&=?.png",
    "line\nbreak.png",
)


def photo(height: int = 96, width: int = 128) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8: a photograph of a cat."""
    return np.asarray(Image.fromarray(data.chelsea()).resize((width, height), Image.Resampling.LANCZOS))


def quadrants(height: int = 64, width: int = 96) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8: red, green, blue and white quarters, so that every rotation can be told from the others."""
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    pixels[: height // 2, : width // 2] = (220, 30, 30)
    pixels[: height // 2, width // 2 :] = (30, 200, 30)
    pixels[height // 2 :, : width // 2] = (30, 30, 220)
    pixels[height // 2 :, width // 2 :] = (240, 240, 240)
    return pixels


def encode(image: Image.Image | npt.NDArray[np.generic], image_format: str, **options: object) -> bytes:
    """Bytes of a file in the format that Pillow knows by that name."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def with_exif(*, orientation: int = 1, gps: bool = False) -> Image.Exif:
    """EXIF that says how the camera was held and, if asked, where."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Camera maker"
    if gps:
        exif.get_ifd(0x8825).update({1: "N", 2: (47.0, 22.0, 1.0), 3: "E", 4: (8.0, 32.0, 1.0)})
    return exif


def as_held(upright: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """The pixels as a camera held that way stores them, so that applying the orientation gives `upright`."""
    match orientation:
        case 2:
            return upright[:, ::-1]
        case 3:
            return upright[::-1, ::-1]
        case 4:
            return upright[::-1]
        case 5:
            return upright.transpose(1, 0, 2)
        case 6:
            return np.rot90(upright, 1)
        case 7:
            return upright[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            return np.rot90(upright, -1)
    return upright


def png_claiming(width: int, height: int) -> bytes:
    """A tiny PNG whose header claims to unpack to width x height pixels."""
    return _png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), zlib.compress(bytes(1000)))


def png_16_bit_rgb(values: npt.NDArray[np.uint16]) -> bytes:
    """A PNG of 16 bits a channel from (H, W, 3) uint16."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return _png(struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0), zlib.compress(rows))


def without_adobe_marker(cmyk_jpeg: bytes) -> bytes:
    """A CMYK JPEG that follows the standard: no Adobe segment (its ink is for the caller to turn round)."""
    start = cmyk_jpeg.index(b"\xff\xee\x00\x0eAdobe")
    return cmyk_jpeg[:start] + cmyk_jpeg[start + 16 :]


def swapped_profile() -> bytes:
    """A working ICC profile, not sRGB, in which red and green primaries are exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {
        bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * struct.unpack_from(">I", profile, 128)[0], 12)
    }
    red, green = (bytes(profile[tags[name] + 4 : tags[name] + 12]) for name in (b"rXYZ", b"gXYZ"))
    profile[tags[b"rXYZ"] + 4 : tags[b"rXYZ"] + 12] = green
    profile[tags[b"gXYZ"] + 4 : tags[b"gXYZ"] + 12] = red
    description = struct.unpack_from(">I", profile, tags[b"desc"] + 4)[0]
    return bytes(
        profile[:description] + profile[description:].replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    )


def zip_file() -> bytes:
    """A zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("photo.jpg", b"...")
    return buffer.getvalue()


def broken_and_odd_files() -> dict[str, tuple[bytes, str]]:
    """Files by name, each with what becomes of it: "ok" or the reason of its rejection."""
    pixels = photo()
    image = Image.fromarray(pixels)
    jpeg, png = encode(image, "JPEG"), encode(image, "PNG")
    webp, tiff = encode(image, "WEBP"), encode(image, "TIFF")
    lzw = encode(image, "TIFF", compression="tiff_lzw")
    grey = image.convert("L")
    files: dict[str, tuple[bytes, str]] = {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"BMW is a maker of cars, and this is no bitmap\n" * 9, "not_an_image"),
        "page.png": (b"<!DOCTYPE html><html><body>404</body></html>", "not_an_image"),
        "archive.jpg": (zip_file(), "not_an_image"),
        "noise.tif": (np.random.default_rng(3).bytes(2000), "not_an_image"),
        "zeros.jpg": (bytes(4096), "not_an_image"),
        "no_suffix_text": (b"a text", "not_an_image"),
        "film.mp4": (b"\0\0\0\x20ftypisom\0\0\2\0" + bytes(99), "not_an_image"),
        "animation.gif": (encode(image, "GIF"), "unsupported_format"),
        "gif_named.jpg": (encode(image.rotate(9), "GIF"), "unsupported_format"),
        "drawing.svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported_format"),
        "phone.heic": (b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + bytes(99), "unsupported_format"),
        "paper.pdf": (b"%PDF-1.7\n%binary", "unsupported_format"),
        "photo.jp2": (encode(image, "JPEG2000"), "unsupported_format"),
        "float_rgb.tif": (_float_rgb_tiff(), "unsupported_format"),
        "raw.dng": (encode(image, "TIFF", tiffinfo=_tags({50706: bytes((1, 4, 0, 0))})), "unsupported_format"),
        "raw.nef": (encode(image, "TIFF", tiffinfo=_tags({254: 1})), "unsupported_format"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "cut_progressive.jpg": (encode(image, "JPEG", progressive=True)[:-400], "truncated"),
        "cut_in_header.jpg": (jpeg[:40], "truncated"),
        "cut.png": (png[: len(png) // 2], "truncated"),
        "cut_in_header.png": (png[:20], "truncated"),
        "cut.webp": (webp[: len(webp) // 2], "truncated"),
        "cut.tif": (tiff[: len(tiff) // 2], "truncated"),
        "cut_lzw.tif": (lzw[: len(lzw) // 2], "truncated"),
        "cut_in_header.tif": (tiff[:6], "truncated"),
        "cut.bmp": (encode(image, "BMP")[:-3000], "truncated"),
        "flipped_bits.png": (_with_flipped_bits(png), "corrupt"),
        "hollow.jpg": (b"\xff\xd8\xff\xd9", "corrupt"),
        "bomb.png": (png_claiming(100_000, 100_000), "too_large"),
        "thin.png": (encode(image.resize((1, 200)), "PNG"), "too_small"),
        "dot.png": (encode(image.resize((1, 1)), "PNG"), "too_small"),
        "thumbnail.jpg": (encode(image.resize((15, 15)), "JPEG"), "too_small"),
        "grey_16_bit.png": (encode(np.asarray(grey).astype(np.uint16) * 257, "PNG"), "ok"),
        "grey_16_bit.tif": (encode(np.asarray(grey).astype(np.uint16) * 257, "TIFF"), "ok"),
        "rgb_16_bit.png": (png_16_bit_rgb(pixels.astype(np.uint16) * 257), "ok"),
        "float.tif": (encode(np.asarray(grey).astype(np.float32) / 255, "TIFF"), "ok"),
        "cmyk.jpg": (encode(image.convert("CMYK"), "JPEG", quality=95), "ok"),
        "cmyk.tif": (encode(image.convert("CMYK"), "TIFF"), "ok"),
        "lab.tif": (encode(image.convert("LAB"), "TIFF"), "ok"),
        "palette.png": (encode(image.convert("P"), "PNG"), "ok"),
        "palette_transparent.png": (encode(image.convert("P"), "PNG", transparency=3), "ok"),
        "grey_alpha.png": (encode(image.convert("LA"), "PNG"), "ok"),
        "rgba.png": (encode(image.convert("RGBA"), "PNG", compress_level=1), "ok"),
        "rgba.webp": (encode(image.convert("RGBA"), "WEBP", lossless=True), "ok"),
        "one_bit.png": (encode(image.convert("1"), "PNG"), "ok"),
        "fax.tif": (encode(image.convert("1"), "TIFF", compression="group4"), "ok"),
        "grey.jpg": (encode(grey, "JPEG"), "ok"),
        "progressive.jpg": (encode(image, "JPEG", progressive=True), "ok"),
        "located.jpg": (encode(image, "JPEG", exif=with_exif(gps=True)), "ok"),
        "stereo.mpo": (encode(image, "MPO", save_all=True, append_images=[image.rotate(180)]), "ok"),
        "animated.webp": (encode(image, "WEBP", save_all=True, append_images=[image.rotate(180)], duration=9), "ok"),
        "animated.png": (encode(image, "PNG", save_all=True, append_images=[image.rotate(180)]), "ok"),
        "pages.tif": (encode(image, "TIFF", save_all=True, append_images=[image.rotate(180)]), "ok"),
        "jpeg_in.tif": (encode(image, "TIFF", compression="jpeg"), "ok"),
        "bitmap.bmp": (encode(image, "BMP"), "ok"),
        "png_named.jpg": (encode(image, "PNG", compress_level=2), "ok"),
        "UPPER.JPG": (encode(image, "JPEG", quality=80), "ok"),
        "no_suffix": (encode(image, "JPEG", quality=81), "ok"),
    }
    for orientation in range(1, 9):
        held = Image.fromarray(np.ascontiguousarray(as_held(quadrants(), orientation)))
        exif = with_exif(orientation=orientation)
        files[f"held_{orientation}.jpg"] = (encode(held, "JPEG", exif=exif, quality=95), "ok")
    for index, name in enumerate(ODD_NAMES):
        files[name] = (encode(image.rotate(index + 1), "PNG"), "ok")
    return files


def _png(header: bytes, pixels: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _with_flipped_bits(png: bytes) -> bytes:
    middle = len(png) // 2
    return png[:middle] + bytes(byte ^ 0xFF for byte in png[middle : middle + 8]) + png[middle + 8 :]


def _tags(values: dict[int, object]) -> TiffImagePlugin.ImageFileDirectory_v2:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in values.items():
        if isinstance(value, bytes):
            directory.tagtype[tag] = 1
        else:
            directory.tagtype[tag] = 4
        directory[tag] = value
    return directory


def _float_rgb_tiff() -> bytes:
    """An uncompressed TIFF of three 32-bit float channels, as from high dynamic range photography."""
    pixels = (photo(32, 48).astype("<f4") / 255).tobytes()
    entries = [
        (256, 3, 1, 48), (257, 3, 1, 32), (258, 3, 3, 200), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 300),
        (277, 3, 1, 3), (278, 3, 1, 32), (279, 4, 1, len(pixels)), (339, 3, 3, 210),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    arrays = {200: struct.pack("<3H", 32, 32, 32), 210: struct.pack("<3H", 3, 3, 3), 300: pixels}
    file = b"II*\0" + struct.pack("<I", 8) + directory
    for offset, content in arrays.items():
        file = file.ljust(offset, b"\0") + content
    return file
