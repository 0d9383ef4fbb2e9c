"""Clean-up fills small holes, removes small islands, and says what it did."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from segment_anything.utils.amg import remove_small_regions

from sa_pipeline.masks.cleanup import clean_mask


def test_fills_a_hole_removes_an_island_and_counts_the_pixels() -> None:
    mask = np.zeros((30, 30), bool)
    mask[5:20, 5:20] = True
    mask[10:12, 10:12] = False
    mask[25, 25:28] = True
    cleaned = clean_mask(mask, 10)
    assert (cleaned.hole_area_filled, cleaned.island_area_removed) == (4, 3)
    assert cleaned.mask.sum() == 15 * 15
    assert cleaned.mask[10, 10]
    assert not cleaned.mask[25, 25]


def test_a_mask_of_specks_keeps_its_largest_and_says_that_it_is_small() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:4, 2:4] = True
    mask[10:13, 10:13] = True
    cleaned = clean_mask(mask, 100)
    assert cleaned.largest_component_is_small
    assert cleaned.mask.sum() == 9


@given(arrays(bool, (12, 15)), st.integers(0, 12))
def test_equals_the_official_clean_up(mask, min_area) -> None:
    expected, holes_changed = remove_small_regions(mask, min_area, mode="holes")
    expected, islands_changed = remove_small_regions(expected, min_area, mode="islands")
    cleaned = clean_mask(mask, min_area)
    np.testing.assert_array_equal(cleaned.mask, expected)
    if cleaned.changed:
        assert holes_changed or islands_changed
