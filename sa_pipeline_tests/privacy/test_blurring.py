"""Blurring: what is left, and what is not touched."""

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from sa_pipeline.privacy.blurring import CELLS, blur_detections
from sa_pipeline.privacy.centerface import CenterFace
from sa_pipeline.privacy.detection import Detection, Kind


def plate(*bbox: float) -> Detection:
    return Detection(Kind.LICENSE_PLATE, 1.0, bbox)


def test_the_face_is_no_longer_found_and_the_rest_of_the_picture_is_untouched() -> None:
    image = skimage.data.astronaut()
    detector = CenterFace(min_score=0.4, min_height=24)
    found = detector.detect(image)
    blurred = blur_detections(image, found, 1.3)
    assert detector.detect(blurred) == []
    x, y, w, h = found[0].bbox
    changed = np.nonzero((blurred != image).any(axis=2))
    assert changed[0].min() > y - 0.35 * h
    assert changed[0].max() < y + 1.35 * h
    assert changed[1].min() > x - 0.35 * w
    assert changed[1].max() < x + 1.35 * w
    np.testing.assert_array_equal(blurred, blur_detections(image, found, 1.3))


def test_of_the_pixels_under_a_plate_nothing_is_kept_but_a_handful_of_means() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 256, (115, 115, 3), np.uint8)  # the feather reaches 115 of the 100 px
    other = one.copy()
    cells = [slice(start, stop) for start, stop in zip((0, 29, 58, 87), (28, 57, 86, 115), strict=True)]
    for rows in cells:
        for columns in cells:
            inner = other[rows, columns]
            other[rows, columns] = inner[::-1, ::-1]
    assert np.abs(one.astype(int) - other).mean() > 50
    blurred = [blur_detections(image, [plate(7.5, 7.5, 100, 100)], 1.0)[8:107, 8:107] for image in (one, other)]
    assert np.abs(blurred[0].astype(int) - blurred[1]).max() <= 4
    assert len(cells) == CELLS


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.floats(-50, 90), st.floats(-50, 90), st.floats(0, 200), st.floats(0, 200)),
    st.sampled_from(Kind),
    st.floats(1, 3),
)
def test_any_box_can_be_blurred_also_beyond_the_edges(bbox, kind, enlargement) -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    blurred = blur_detections(image, [Detection(kind, 0.5, bbox)], enlargement)
    assert blurred.shape == image.shape
    assert blurred.dtype == np.uint8


@pytest.mark.parametrize("bbox", [(70, 10, 5, 5), (-20, 10, 5, 5)])
def test_a_box_outside_the_picture_changes_nothing(bbox) -> None:
    image = np.random.default_rng(2).integers(0, 256, (40, 60, 3), np.uint8)
    np.testing.assert_array_equal(blur_detections(image, [plate(*bbox)], 1.0), image)
