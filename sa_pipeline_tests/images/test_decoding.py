"""What becomes of every kind of file: its pixels, or the reason of its rejection."""

import io
import warnings

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies
from PIL import Image

from sa_pipeline.images.decoding import decode_image
from sa_pipeline.images.jpeg import decode_jpeg
from sa_pipeline.images.rejection import ImageRejected, RejectReason
from sa_pipeline.settings import ImageSettings
from sa_pipeline_tests.images import samples

DEFAULTS = ImageSettings()
FILES = samples.broken_and_odd_files()
GREYS = np.tile(np.linspace(0, 255, 128).astype(np.uint8), (64, 1))


def mean_difference(left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8]) -> float:
    assert left.shape == right.shape
    return float(np.abs(left.astype(int) - right).mean())


def pixels_or_reason(content: bytes, settings: ImageSettings) -> npt.NDArray[np.uint8] | RejectReason:
    try:
        return decode_image(content, settings).pixels
    except ImageRejected as rejection:
        return rejection.reason


def as_rgb(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.stack([grey] * 3, axis=2)


@pytest.mark.parametrize("name", [name for name, (_, outcome) in FILES.items() if outcome == "ok"])
def test_an_odd_but_whole_file_becomes_an_rgb_image(name):
    content, _ = FILES[name]
    image = decode_image(content, DEFAULTS)
    assert image.pixels.shape == (image.height, image.width, 3)
    assert image.pixels.dtype == np.uint8
    assert image.jpeg.startswith(b"\xff\xd8")
    np.testing.assert_array_equal(image.pixels, decode_jpeg(image.jpeg))


@pytest.mark.parametrize("name", [name for name, (_, outcome) in FILES.items() if outcome != "ok"])
def test_a_broken_file_is_rejected_for_the_right_reason(name):
    content, outcome = FILES[name]
    with pytest.raises(ImageRejected) as caught:
        decode_image(content, DEFAULTS)
    assert caught.value.reason == outcome
    assert caught.value.detail


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_image_stands_upright_however_the_camera_was_held(orientation, image_format):
    upright = samples.quadrants()
    held = np.ascontiguousarray(samples.as_held(upright, orientation))
    options = {"quality": 95} if image_format == "JPEG" else {"lossless": True} if image_format == "WEBP" else {}
    content = samples.encode(held, image_format, exif=samples.with_exif(orientation=orientation), **options)
    image = decode_image(content, DEFAULTS)
    assert (image.source_width, image.source_height) == (96, 64)
    assert mean_difference(image.pixels, upright) < 3


@pytest.mark.parametrize("name", ["cmyk.jpg", "cmyk.tif", "lab.tif", "rgba.png", "rgba.webp", "rgb_16_bit.png"])
def test_colours_survive_the_conversion(name):
    assert mean_difference(decode_image(FILES[name][0], DEFAULTS).pixels, samples.photo()) < 3


@pytest.mark.parametrize("name", ["stereo.mpo", "animated.webp", "animated.png", "pages.tif", "jpeg_in.tif"])
def test_of_several_frames_the_first_is_taken(name):
    assert mean_difference(decode_image(FILES[name][0], DEFAULTS).pixels, samples.photo()) < 6


def test_cmyk_that_is_not_inverted_as_adobe_does_gives_the_same_colours():
    photo = Image.fromarray(samples.photo()).convert("CMYK")
    turned = Image.fromarray(255 - np.asarray(photo), mode="CMYK")
    standard = samples.without_adobe_marker(samples.encode(turned, "JPEG", quality=95))
    assert mean_difference(decode_image(standard, DEFAULTS).pixels, samples.photo()) < 3


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(samples.encode(GREYS.astype(np.uint16) * 257, "PNG"), id="16-bit PNG"),
        pytest.param(samples.encode(GREYS.astype(np.uint16) * 257, "TIFF"), id="16-bit TIFF"),
        pytest.param(samples.encode(GREYS.astype(np.int32) * 70_000 - 9, "TIFF"), id="32-bit TIFF"),
        pytest.param(samples.encode(GREYS.astype(np.float32) / 1000 - 0.1, "TIFF"), id="float TIFF"),
        pytest.param(samples.encode(GREYS, "JPEG", quality=95), id="grey JPEG"),
        pytest.param(samples.encode(GREYS, "BMP"), id="grey BMP"),
    ],
)
def test_greys_of_any_depth_span_black_to_white(content):
    assert mean_difference(decode_image(content, DEFAULTS).pixels, as_rgb(GREYS)) < 1.5


def test_not_a_number_in_a_float_image_is_black():
    values = GREYS.astype(np.float32)
    values[:32, :64] = np.nan
    pixels = decode_image(samples.encode(values, "TIFF"), DEFAULTS).pixels
    assert pixels[8:24, 8:56].max() <= 3
    assert pixels[40:, 120:].min() > 230


def test_a_float_image_of_one_value_is_accepted():
    assert decode_image(samples.encode(np.full((32, 32), np.nan, np.float32), "TIFF"), DEFAULTS).pixels.max() == 0


def test_transparent_pixels_become_white():
    rgba = np.dstack([samples.photo(), np.full((96, 128), 255, np.uint8)])
    rgba[:48] = (10, 20, 30, 0)
    for content in (samples.encode(rgba, "PNG"), samples.encode(rgba, "WEBP", lossless=True)):
        pixels = decode_image(content, DEFAULTS).pixels
        assert pixels[:40].min() >= 250
        assert mean_difference(pixels[56:], samples.photo()[56:]) < 3


def test_a_transparent_palette_colour_becomes_white():
    palette = Image.new("P", (64, 64), 1)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    palette.paste(0, (0, 0, 32, 64))
    pixels = decode_image(samples.encode(palette, "PNG", transparency=0), DEFAULTS).pixels
    assert pixels[:, :28].min() >= 250
    assert np.abs(pixels[32, 48].astype(int) - (200, 0, 0)).max() <= 3


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_a_foreign_colour_profile_is_applied(image_format):
    red = np.full((64, 64, 3), (200, 20, 20), np.uint8)
    profile = samples.swapped_profile()
    pixels = decode_image(samples.encode(red, image_format, icc_profile=profile), DEFAULTS).pixels
    assert pixels[32, 32, 1] > 150 > pixels[32, 32, 0]


def test_a_damaged_colour_profile_is_ignored():
    content = samples.encode(samples.photo(), "JPEG", icc_profile=b"no profile at all", quality=95)
    assert mean_difference(decode_image(content, DEFAULTS).pixels, samples.photo()) < 3


def test_a_plain_jpeg_is_stored_byte_for_byte():
    for options in ({}, {"progressive": True}, {"subsampling": "4:4:4"}, {"restart_marker_blocks": 2}):
        content = samples.encode(samples.photo(), "JPEG", **options)
        assert decode_image(content, DEFAULTS).jpeg == content


@pytest.mark.parametrize(
    "options",
    [
        {"exif": samples.with_exif(gps=True)},
        {"comment": b"Aunt Mary's garden"},
        {"xmp": b"<x:xmpmeta/>"},
        {"dpi": (300, 300), "exif": samples.with_exif(gps=True), "comment": b"private"},
    ],
)
def test_metadata_goes_and_the_pixels_of_a_jpeg_stay_exactly(options):
    plain = samples.encode(samples.photo(), "JPEG")
    image = decode_image(samples.encode(samples.photo(), "JPEG", **options), DEFAULTS)
    np.testing.assert_array_equal(image.pixels, decode_jpeg(plain))
    with Image.open(io.BytesIO(image.jpeg)) as stored:
        assert not stored.getexif()
        assert not {"exif", "xmp", "comment", "icc_profile"} & stored.info.keys()
    for word in (b"Camera maker", b"private", b"garden", b"xmpmeta", b"Exif"):
        assert word not in image.jpeg


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_no_metadata_comes_through_when_an_image_is_encoded_again(image_format):
    exif = samples.with_exif(orientation=6, gps=True)
    image = decode_image(samples.encode(samples.photo(), image_format, exif=exif), DEFAULTS)
    with Image.open(io.BytesIO(image.jpeg)) as stored:
        assert not stored.getexif()
        assert stored.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert b"Camera maker" not in image.jpeg


def test_what_follows_the_end_of_a_jpeg_is_not_stored():
    content = samples.encode(samples.photo(), "JPEG")
    assert decode_image(content + b"a hidden film", DEFAULTS).jpeg == content


def test_a_large_image_is_brought_down_and_a_small_one_never_up():
    bounded = ImageSettings(max_shorter_side=64)
    image = decode_image(samples.encode(samples.photo(96, 144), "PNG"), bounded)
    assert (image.width, image.height) == (96, 64)
    assert (image.source_width, image.source_height) == (144, 96)
    assert mean_difference(image.pixels, samples.photo(64, 96)) < 5
    small = decode_image(samples.encode(samples.photo(50, 200), "PNG"), bounded)
    assert (small.width, small.height) == (200, 50)
    unbounded = decode_image(samples.encode(samples.photo(96, 144), "PNG"), ImageSettings(max_shorter_side=None))
    assert (unbounded.width, unbounded.height) == (144, 96)


def test_the_same_file_always_gives_the_same_bytes():
    content = samples.encode(samples.photo(), "PNG")
    assert decode_image(content, DEFAULTS).jpeg == decode_image(content, DEFAULTS).jpeg


@pytest.mark.parametrize("name", ["cmyk.tif", "palette.png", "grey_16_bit.png", "held_6.jpg", "float.tif"])
def test_an_image_is_stored_with_full_colour_resolution(name):
    with Image.open(io.BytesIO(decode_image(FILES[name][0], DEFAULTS).jpeg)) as stored:
        assert [component[1:3] for component in stored.layer] == [(1, 1)] * 3


def test_pixels_are_writeable_so_that_torch_takes_them():
    assert decode_image(FILES["grey.jpg"][0], DEFAULTS).pixels.flags.writeable


def test_the_bound_on_pixels_is_the_settings_and_no_warning_leaks():
    content = samples.encode(np.zeros((100, 101, 3), np.uint8), "PNG")
    with pytest.raises(ImageRejected) as caught:
        decode_image(content, ImageSettings(max_pixels=10_000))
    assert caught.value.reason is RejectReason.TOO_LARGE
    large = samples.encode(Image.new("1", (9500, 9500)), "PNG")  # Pillow itself would warn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageRejected, match="too_small"):
            decode_image(large, ImageSettings(min_side=10_000))


def test_an_image_longer_than_a_jpeg_can_be_is_too_large():
    with pytest.raises(ImageRejected) as caught:
        decode_image(samples.encode(Image.new("L", (66_000, 16)), "PNG"), DEFAULTS)
    assert caught.value.reason is RejectReason.TOO_LARGE


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("TIFF", {"compression": "packbits"}),
        ("BMP", {}),
    ],
)
def test_a_file_cut_anywhere_is_noticed(image_format, options):
    content = samples.encode(samples.photo(48, 64), image_format, **options)
    whole = decode_image(content, DEFAULTS).pixels
    for length in (*range(20, len(content) - 1, max(1, len(content) // 60)), len(content) - 3, len(content) - 40):
        outcome = pixels_or_reason(content[:length], DEFAULTS)
        if isinstance(outcome, np.ndarray):
            # Only what comes after the last pixel was lost.
            assert mean_difference(outcome, whole) < 1, length
        else:
            assert outcome is RejectReason.TRUNCATED, length


@settings(max_examples=150, deadline=None)
@given(
    strategies.sampled_from(["photo.jpg", "photo.png", "photo.webp", "photo.tif", "photo.bmp"]),
    strategies.lists(strategies.tuples(strategies.floats(0, 0.999), strategies.integers(0, 255)), max_size=12),
    strategies.floats(0, 1),
)
def test_a_damaged_file_is_decoded_or_rejected_and_raises_nothing_else(name, damages, kept):
    content = bytearray(DAMAGEABLE[name])
    for where, value in damages:
        content[int(where * where * len(content))] = value  # more of it in the header
    del content[int(len(content) * (0.3 + kept)) :]
    outcome = pixels_or_reason(bytes(content), ImageSettings(max_pixels=1_000_000))
    assert isinstance(outcome, RejectReason) or outcome.shape[2] == 3


DAMAGEABLE = {
    "photo.jpg": samples.encode(samples.photo(40, 48), "JPEG", exif=samples.with_exif(orientation=6, gps=True)),
    "photo.png": samples.encode(samples.photo(40, 48), "PNG"),
    "photo.webp": samples.encode(samples.photo(40, 48), "WEBP"),
    "photo.tif": samples.encode(samples.photo(40, 48), "TIFF", compression="tiff_lzw"),
    "photo.bmp": samples.encode(samples.photo(40, 48), "BMP"),
}
