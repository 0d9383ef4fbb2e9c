"""Scaling of greys deeper than 8 bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays

from sa_pipeline.images.colour import scale_to_8_bit


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 128, 129, 257, 65535]], np.uint16), [[0, 0, 1, 1, 255]]),
        (np.array([[-5, 0, 5]], np.int32), [[0, 128, 255]]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [[0, 128, 255]]),
        (np.array([[np.nan, -np.inf, np.inf, 2.0, 4.0]], np.float32), [[0, 0, 255, 0, 255]]),
        (np.array([[7.0, 7.0]], np.float32), [[0, 0]]),
        (np.array([[-3e38, 3e38]], np.float32), [[0, 255]]),
    ],
)
def test_greys_are_scaled_to_8_bits(values, expected):
    assert scale_to_8_bit(values).tolist() == expected


@given(arrays.arrays(np.uint8, (3, 5)))
def test_8_bit_greys_stored_in_16_bits_come_back_exactly(values):
    np.testing.assert_array_equal(scale_to_8_bit(values.astype(np.uint16) * 257), values)
