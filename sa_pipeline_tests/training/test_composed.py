"""Composed scenes know the objects pasted into them, and find the regions of what is left."""

import cv2
import numpy as np
import pytest
import skimage.data

from sa_pipeline.training.composed import compose_scene
from sa_pipeline.training.photographs import Library


@pytest.fixture(scope="module")
def library() -> Library:
    disc = np.zeros((80, 80, 4), np.uint8)
    disc[..., 0] = 255
    alpha = np.zeros((80, 80), np.uint8)
    cv2.circle(alpha, (40, 40), 38, 255, -1)
    disc[..., 3] = alpha
    return Library([skimage.data.chelsea(), skimage.data.coffee()], [disc])


def test_the_same_seed_composes_the_same_scene(library: Library):
    first, again = (compose_scene((1, 5), (96, 128), library, objects=2) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.masks, again.masks)


def test_pasted_objects_come_first_with_full_weight_and_no_region_cuts_through_them(library: Library):
    found = 0
    for index in range(6):
        scene = compose_scene((2, index), (96, 128), library, objects=2)
        known = scene.masks[scene.weights == 1.0]
        found += len(known)
        for region in scene.masks[scene.weights < 1.0]:
            for thing in known:
                common = float((region & thing).sum())
                apart_or_within = not 0.1 < common / region.sum() < 0.9
                assert apart_or_within or common / thing.sum() > 0.9
    assert found >= 6
