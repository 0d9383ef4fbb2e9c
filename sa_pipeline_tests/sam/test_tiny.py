"""The shipped weights of `tiny` work with segment_anything's own predictor."""

import cv2
import numpy as np
import pytest
import skimage.data
from safetensors.torch import load_file
from segment_anything import SamPredictor

from sa_pipeline.generation.generate import generate_masks
from sa_pipeline.masks.rle import counts_to_mask
from sa_pipeline.sam.registry import checkpoint_path
from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.settings import preset


@pytest.fixture(scope="module")
def predictor() -> SamPredictor:
    sam = build_tiny()
    sam.load_state_dict(load_file(checkpoint_path("tiny")))
    return SamPredictor(sam)


def test_the_shipped_weights_are_small_enough_for_a_wheel():
    assert checkpoint_path("tiny").stat().st_size < 5_000_000


@pytest.mark.parametrize(("x", "y", "radius"), [(200, 150, 70), (350, 260, 90)])
def test_one_of_three_masks_for_a_click_in_the_middle_of_a_drawn_disc_is_the_disc(
    predictor: SamPredictor, x: int, y: int, radius: int
):
    image = np.full((400, 500, 3), (40, 90, 160), np.uint8)
    cv2.circle(image, (x, y), radius, (230, 180, 60), -1)
    disc = np.zeros((400, 500), np.uint8)
    cv2.circle(disc, (x, y), radius, 1, -1)

    predictor.set_image(image)
    masks, _, _ = predictor.predict(np.array([[x, y]]), np.array([1]))

    ious = [(mask & (disc > 0)).sum() / (mask | (disc > 0)).sum() for mask in masks]
    assert max(ious) > 0.95


def test_large_masks_have_no_gaps_along_the_borders_of_their_parts(predictor: SamPredictor):
    image, settings = skimage.data.astronaut(), preset("fast")
    masks = generate_masks(image, predictor.model, settings.masks, arithmetic=settings.arithmetic)
    large = [found for found in masks if found["area"] > 0.02 * image.shape[0] * image.shape[1]]

    gaps = []
    for found in large:
        mask = np.pad(counts_to_mask(found["segmentation"]["counts"], image.shape[:2]).astype(np.uint8), 20)
        gaps.append(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)).sum() / mask.sum() - 1)

    assert len(gaps) > 20
    assert max(gaps) < 0.03
