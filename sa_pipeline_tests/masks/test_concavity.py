"""Concavity as the paper defines it, on shapes whose hull is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.morphology import convex_hull_image

from sa_pipeline.masks.concavity import concavity


def drawn(*lines: str) -> np.ndarray:
    return np.array([[character == "#" for character in line] for line in lines])


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (drawn("#"), 0.0),
        (drawn("....", ".##.", ".##."), 0.0),
        (drawn("#.", "##"), 1 - 3 / 3.5),
        (drawn("###", "#..", "###"), 1 - 7 / 9),
        (drawn("###", "#.#", "###"), 1 - 8 / 9),  # a hole is filled by the hull
        (drawn("#...#"), 1 - 2 / 5),  # parts that lie apart share a hull
    ],
)
def test_known_shapes(mask, expected) -> None:
    assert concavity(mask) == pytest.approx(expected)


def test_an_empty_mask_has_no_shape() -> None:
    with pytest.raises(ValueError, match="foreground"):
        concavity(np.zeros((3, 3), bool))


@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))).filter(lambda mask: mask.any()))
def test_no_shape_is_more_than_convex_and_none_depends_on_its_position(mask) -> None:
    value = concavity(mask)
    assert 0.0 <= value < 1.0
    assert concavity(np.pad(mask, ((2, 1), (3, 0)))) == value
    assert concavity(mask.T) == pytest.approx(value)


def test_it_agrees_with_another_implementation_on_a_large_shape() -> None:
    y, x = np.mgrid[:300, :300]
    moon = ((y - 150) ** 2 + (x - 150) ** 2 <= 120**2) & ((y - 150) ** 2 + (x - 220) ** 2 > 100**2)
    expected = 1 - moon.sum() / convex_hull_image(moon, offset_coordinates=True).sum()
    assert concavity(moon) == pytest.approx(expected, abs=0.01)
