"""The decoder of an untrained `tiny` answers clicks."""

import cv2
import numpy as np
import pytest
import torch
from segment_anything import SamPredictor

from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.training.initial_weights import bind_positions, bind_regions


@pytest.fixture(scope="module")
def predictor() -> SamPredictor:
    torch.manual_seed(3)
    sam = build_tiny()
    bind_positions(sam)
    bind_regions(sam)
    return SamPredictor(sam)


@pytest.mark.parametrize(("x", "y", "radius"), [(200, 150, 60), (350, 260, 90), (420, 80, 40)])
def test_before_any_training_one_of_three_masks_is_the_disc_that_was_clicked(
    predictor: SamPredictor, x: int, y: int, radius: int
):
    image = np.full((400, 500, 3), (40, 90, 160), np.uint8)
    image[:200] = (90, 140, 60)
    cv2.circle(image, (x, y), radius, (230, 180, 60), -1)
    disc = np.zeros((400, 500), np.uint8)
    cv2.circle(disc, (x, y), radius, 1, -1)
    predictor.set_image(image)
    masks, _, _ = predictor.predict(np.array([[x, y]]), np.array([1]))
    ious = [(mask & (disc > 0)).sum() / (mask | (disc > 0)).sum() for mask in masks]
    assert max(ious) > 0.5
