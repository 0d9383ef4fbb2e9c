"""The decoder of an untrained `tiny` answers corrections and boxes."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from segment_anything import SamPredictor

from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.training.initial_corrections import bind_corrections
from sa_pipeline.training.initial_weights import bind_positions, bind_regions

BLUE, ORANGE = (140, 150, 90), (350, 230, 80)
"""Two discs: column and row of the centre, radius, in px."""


def disc(column: int, row: int, radius: int) -> npt.NDArray[np.bool_]:
    drawn = np.zeros((384, 512), np.uint8)
    return cv2.circle(drawn, (column, row), radius, 1, -1) > 0


def covered(mask: npt.NDArray[np.bool_], place: npt.NDArray[np.bool_]) -> float:
    return float(mask[place].mean())


@pytest.fixture(scope="module")
def predictor() -> SamPredictor:
    torch.manual_seed(3)
    sam = build_tiny()
    bind_positions(sam)
    bind_regions(sam)
    bind_corrections(sam)
    image = np.full((384, 512, 3), (110, 120, 110), np.uint8)
    image[disc(*BLUE)] = (40, 70, 200)
    image[disc(*ORANGE)] = (230, 140, 40)
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    return predictor


def earlier_mask(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """A mask of the 512 px wide image as (1, 128, 128) logits."""
    logits = np.full((1, 128, 128), -10.0, np.float32)
    logits[0, :96] = np.where(mask[2::4, 2::4], 10.0, -10.0)
    return logits


@pytest.mark.parametrize(("wrong", "right"), [(BLUE, ORANGE), (ORANGE, BLUE)])
def test_a_background_click_takes_its_place_out_of_the_earlier_mask_and_nothing_else(
    predictor: SamPredictor, wrong: tuple[int, int, int], right: tuple[int, int, int]
):
    both = earlier_mask(disc(*BLUE) | disc(*ORANGE))
    masks, _, _ = predictor.predict(
        np.array([right[:2], wrong[:2]]), np.array([1, 0]), mask_input=both, multimask_output=False
    )
    assert covered(masks[0], disc(*wrong)) < 0.1
    assert covered(masks[0], disc(*right)) > 0.8


def test_a_foreground_click_adds_its_place_to_the_earlier_mask(predictor: SamPredictor):
    masks, _, _ = predictor.predict(
        np.array([BLUE[:2], ORANGE[:2]]),
        np.array([1, 1]),
        mask_input=earlier_mask(disc(*BLUE)),
        multimask_output=False,
    )
    assert covered(masks[0], disc(*BLUE)) > 0.8
    assert covered(masks[0], disc(*ORANGE)) > 0.5
    assert covered(masks[0], ~(disc(*BLUE) | disc(*ORANGE))) < 0.1


@pytest.mark.parametrize(("column", "row", "radius"), [BLUE, ORANGE])
def test_a_box_around_a_disc_gives_the_disc(predictor: SamPredictor, column: int, row: int, radius: int):
    box = np.array([column - radius, row - radius, column + radius, row + radius])
    masks, _, _ = predictor.predict(box=box, multimask_output=False)
    target = disc(column, row, radius)
    assert (masks[0] & target).sum() / (masks[0] | target).sum() > 0.5
