"""The JPEG bytes that are stored."""

import numpy as np
import pytest
from PIL import Image

from sa_pipeline.images.jpeg import decode_jpeg, encode_jpeg, strip_jpeg
from sa_pipeline.images.rejection import ImageRejected
from sa_pipeline_tests.images import samples


def test_a_jpeg_without_metadata_has_nothing_to_strip():
    content = samples.encode(samples.photo(), "JPEG")
    assert strip_jpeg(content) == content


def test_a_preview_in_the_jfif_header_is_stripped():
    content = samples.encode(samples.photo(), "JPEG")
    preview = b"\xff\xe0" + (16 + 12).to_bytes(2, "big") + content[6:18] + b"\x02\x02" + b"secret_pixel"
    assert strip_jpeg(content[:2] + preview + content[20:]) == content


def test_a_jpeg_that_breaks_off_is_not_stripped():
    assert strip_jpeg(samples.encode(samples.photo(), "JPEG")[:-2]) is None


def test_metadata_in_an_image_object_is_not_written():
    image = Image.fromarray(samples.photo())
    plain = encode_jpeg(image, 90)
    image.info.update(comment=b"private", dpi=(300, 300))
    assert encode_jpeg(image, 90) == plain


def test_stored_bytes_that_are_damaged_are_refused_in_a_sentence():
    with pytest.raises(ImageRejected, match="stored JPEG cannot be decoded"):
        decode_jpeg(samples.encode(samples.photo(), "JPEG")[:300])


def test_a_grey_jpeg_decodes_to_three_channels():
    assert decode_jpeg(samples.encode(np.full((20, 30), 99, np.uint8), "JPEG")).shape == (20, 30, 3)
