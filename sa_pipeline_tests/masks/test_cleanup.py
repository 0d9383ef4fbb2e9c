"""Clean-up fills small holes, removes small islands, and says what it did."""

import cv2
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from segment_anything.utils.amg import remove_small_regions

from sa_pipeline.masks.cleanup import CleanMask, clean_runs
from sa_pipeline.masks.rle import mask_to_runs, runs_to_mask


def _cleaned(mask: np.ndarray, min_area: int) -> tuple[CleanMask, np.ndarray]:
    cleaned = clean_runs(mask_to_runs(mask), len(mask), min_area)
    return cleaned, runs_to_mask(cleaned.runs, mask.shape)


def test_fills_a_hole_removes_an_island_and_counts_the_pixels() -> None:
    mask = np.zeros((30, 30), bool)
    mask[5:20, 5:20] = True
    mask[10:12, 10:12] = False
    mask[25, 25:28] = True
    cleaned, pixels = _cleaned(mask, 10)
    assert (cleaned.hole_area_filled, cleaned.island_area_removed) == (4, 3)
    assert pixels.sum() == 15 * 15
    assert pixels[10, 10]
    assert not pixels[25, 25]


def test_a_mask_of_specks_keeps_its_largest_and_says_that_it_is_small() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:4, 2:4] = True
    mask[10:13, 10:13] = True
    cleaned, pixels = _cleaned(mask, 100)
    assert cleaned.largest_component_is_small
    assert pixels.sum() == 9


@given(arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 15))), st.integers(0, 12))
@example(np.ones((3, 4), bool), 20)
@example(np.zeros((3, 4), bool), 20)
@example(np.array([[0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], bool), 5)
def test_equals_the_official_clean_up(mask, min_area) -> None:
    expected, holes_changed = remove_small_regions(mask, min_area, mode="holes")
    expected, islands_changed = remove_small_regions(expected, min_area, mode="islands")
    cleaned, pixels = _cleaned(mask, min_area)
    np.testing.assert_array_equal(pixels, expected)
    if cleaned.changed:
        assert holes_changed or islands_changed


def test_equals_the_official_clean_up_on_blobs_of_a_large_image() -> None:
    mask = np.asarray(cv2.GaussianBlur(np.random.default_rng(0).normal(size=(333, 517)), (0, 0), 2.5)) > 0.02
    expected, _ = remove_small_regions(mask, 60, mode="holes")
    expected, _ = remove_small_regions(expected, 60, mode="islands")
    cleaned, pixels = _cleaned(mask, 60)
    np.testing.assert_array_equal(pixels, expected)
    assert cleaned.hole_area_filled > 100
    assert cleaned.island_area_removed > 100
