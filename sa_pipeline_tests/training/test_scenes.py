"""Scenes are the same for the same seed, and their masks are what a segmenter may be asked for."""

import cv2
import numpy as np
import pytest

from sa_pipeline.training.scenes import MAX_VISIBLE_FRACTION, MIN_VISIBLE_FRACTION, draw_scene


@pytest.mark.parametrize("difficulty", [0.0, 1.0])
def test_the_same_seed_draws_the_same_scene_and_another_seed_another(difficulty: float):
    first = draw_scene((3, 1), (96, 128), difficulty)
    again = draw_scene((3, 1), (96, 128), difficulty)
    other = draw_scene((3, 2), (96, 128), difficulty)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_masks_are_connected_and_of_sensible_size(difficulty: float):
    for index in range(8):
        scene = draw_scene((5, index), (128, 128), difficulty)
        assert scene.image.shape == (128, 128, 3)
        assert scene.image.dtype == np.uint8
        for mask in scene.masks:
            assert MIN_VISIBLE_FRACTION < mask.mean() < MAX_VISIBLE_FRACTION
            assert cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] == 2


def test_two_masks_are_apart_or_one_lies_within_the_other():
    nested = 0
    for index in range(8):
        masks = draw_scene((6, index), (128, 128), 0.5).masks.reshape(-1, 128 * 128).astype(np.int64)
        areas = masks.sum(axis=1)
        overlaps = (masks @ masks.T)[np.triu_indices(len(masks), 1)]
        smaller = np.minimum.outer(areas, areas)[np.triu_indices(len(masks), 1)]
        assert ((overlaps == 0) | (overlaps == smaller)).all()
        nested += int((overlaps > 0).sum())
    assert nested > 0


def test_a_flat_scene_has_few_colours_and_a_hard_one_many():
    flat, hard = (draw_scene((8, 0), (128, 128), d).image.reshape(-1, 3) for d in (0.0, 1.0))
    assert len(np.unique(hard, axis=0)) > 2 * len(np.unique(flat, axis=0))
