"""Where the simulated annotator clicks."""

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from sa_pipeline.evaluation.clicks import Click, centre_click, correction_click


def square(side: int, top: int, left: int, size: int = 40) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_first_click_lies_at_the_centre_of_the_largest_part() -> None:
    target = square(11, 5, 20) | square(3, 35, 0)
    assert centre_click(target) == Click(25, 10, True)


def test_the_border_of_the_image_is_a_boundary() -> None:
    target = np.zeros((40, 40), bool)
    target[:, :11] = True
    assert centre_click(target).x == 5


def test_correction_goes_to_the_deepest_error() -> None:
    target = square(11, 2, 2)
    assert correction_click(target | square(15, 20, 20), target) == Click(27, 27, False)
    assert correction_click(square(3, 30, 30), target) == Click(7, 7, True)
    assert correction_click(np.zeros_like(target), target) == centre_click(target)


def test_no_error_no_click_and_no_pixel_twice() -> None:
    target = square(5, 10, 10)
    assert correction_click(target, target) is None
    hole = target.copy()
    hole[12, 12] = False
    first = correction_click(hole, target)
    assert first == Click(12, 12, True)
    assert correction_click(hole, target, [first]) is None


def test_of_equally_far_pixels_the_first_is_clicked() -> None:
    random = np.random.default_rng(0)
    for _ in range(100):
        noise = random.normal(size=random.integers(10, 60, 2)).astype(np.float32)
        target = np.tile(np.pad(cv2.GaussianBlur(noise, (0, 0), 5) > -0.02, 1), (2, 2))
        squared = np.rint(distance_transform_edt(target) ** 2)
        row, column = np.unravel_index(squared.argmax(), squared.shape)
        assert centre_click(target) == Click(column, row, foreground=True)
