"""Overlays colour the masks' own pixels and no others."""

import numpy as np

from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.report.overlays import draw_masks, mask_colour


def test_only_masked_pixels_change_and_small_masks_lie_on_top() -> None:
    image = np.full((40, 50, 3), 100, np.uint8)
    large, small = np.zeros((40, 50), bool), np.zeros((40, 50), bool)
    large[5:30, 5:30], small[10:20, 10:20] = True, True
    drawn = draw_masks(image, [mask_to_counts(small), mask_to_counts(large)])
    assert (drawn[~large] == 100).all()
    tinted = 0.5 * (0.5 * 100 + 0.5 * np.array(mask_colour(1))) + 0.5 * np.array(mask_colour(0))
    np.testing.assert_allclose(drawn[15, 15], tinted, atol=1)


def test_an_image_without_masks_is_left_as_it_is() -> None:
    image = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    np.testing.assert_array_equal(draw_masks(image, []), image)
