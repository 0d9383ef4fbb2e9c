"""YOLO networks of one's own."""

import numpy as np
import pytest

from sa_pipeline.errors import SettingsError
from sa_pipeline.privacy.detection import Kind
from sa_pipeline.privacy.yolo import YoloFile, decode
from sa_pipeline_tests.privacy.yellow import write_yellow_finder

EXPECTED = [[10, 20, 30, 40, 0.75]]


@pytest.mark.parametrize(
    "output",
    [
        np.array([[0, 10, 20, 40, 60, 3, 0.75]], np.float32),
        np.array([[[10, 20, 40, 60, 0.75, 3]]], np.float32),
        np.array([[[25], [40], [30], [40], [0.75], [0.1]]], np.float32),
    ],
    ids=["end to end", "suppressed", "raw"],
)
def test_the_three_forms_of_output_give_the_same_box(output) -> None:
    np.testing.assert_allclose(decode(output), EXPECTED)


def test_another_form_of_output_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gives \(2, 3\); expected"):
        decode(np.zeros((2, 3), np.float32))


@pytest.mark.parametrize("box", [(40, 30, 60, 20), (300, 410, 50, 25), (10, 12, 500, 400)])
def test_a_network_of_ones_own_finds_plates_in_a_picture_larger_than_its_input(tmp_path, box) -> None:
    detector = YoloFile(write_yellow_finder(tmp_path / "yellow.onnx"), Kind.LICENSE_PLATE, 0.5)
    x, y, w, h = box
    image = np.full((500, 600, 3), 90, np.uint8)
    image[y : y + h, x : x + w] = (250, 220, 10)
    (found,) = detector.detect(image)
    assert (detector.name, found.kind) == ("yellow", Kind.LICENSE_PLATE)
    np.testing.assert_allclose(found.bbox, box, atol=8)
    assert detector.detect(np.full((500, 600, 3), 90, np.uint8)) == []


def test_a_file_that_is_no_network_is_refused(tmp_path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    detector = YoloFile(tmp_path / "bad.onnx", Kind.FACE, 0.5)
    with pytest.raises(SettingsError, match=r"bad\.onnx is not a network in ONNX"):
        detector.detect(np.zeros((10, 10, 3), np.uint8))
