"""The decoder of an untrained `tiny` answers clicks, boxes and corrections."""

import itertools

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from segment_anything import SamPredictor

from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.training.initial_weights import bind_decoder

BLUE, ORANGE = (140, 150, 90), (350, 230, 80)
"""Two discs: column and row of the centre, radius, in px."""

Disc = tuple[int, int, int]
Mask = npt.NDArray[np.bool_]


def disc(column: int, row: int, radius: int, size: tuple[int, int] = (384, 512)) -> Mask:
    return cv2.circle(np.zeros(size, np.uint8), (column, row), radius, 1, -1) > 0


def iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


def covered(mask: Mask, place: Mask) -> float:
    return float(mask[place].mean())


@pytest.fixture(scope="module")
def untrained() -> SamPredictor:
    torch.manual_seed(3)
    sam = build_tiny()
    bind_decoder(sam)
    return SamPredictor(sam)


@pytest.fixture
def predictor(untrained: SamPredictor) -> SamPredictor:
    image = np.full((384, 512, 3), (110, 120, 110), np.uint8)
    image[disc(*BLUE)] = (40, 70, 200)
    image[disc(*ORANGE)] = (230, 140, 40)
    untrained.set_image(image)
    return untrained


def earlier_mask(mask: Mask) -> npt.NDArray[np.float32]:
    """A mask of the 512 px wide image as (1, 128, 128) logits."""
    logits = np.full((1, 128, 128), -10.0, np.float32)
    logits[0, :96] = np.where(mask[2::4, 2::4], 10.0, -10.0)
    return logits


@pytest.mark.parametrize(("x", "y", "radius"), [(200, 150, 60), (350, 260, 90), (420, 80, 40)])
def test_before_any_training_one_of_three_masks_is_the_disc_that_was_clicked(
    untrained: SamPredictor, x: int, y: int, radius: int
):
    image = np.full((400, 500, 3), (40, 90, 160), np.uint8)
    image[:200] = (90, 140, 60)
    cv2.circle(image, (x, y), radius, (230, 180, 60), -1)
    untrained.set_image(image)
    masks, _, _ = untrained.predict(np.array([[x, y]]), np.array([1]))
    assert max(iou(mask, disc(x, y, radius, (400, 500))) for mask in masks) > 0.8


@pytest.mark.parametrize(("column", "row"), [(140, 150), (350, 230), (110, 120), (380, 260), (250, 40), (30, 350)])
def test_of_three_masks_each_contains_the_one_before(predictor: SamPredictor, column: int, row: int):
    masks, _, _ = predictor.predict(np.array([[column, row]]), np.array([1]))
    for smaller, larger in itertools.pairwise(masks):
        assert smaller.any()
        assert smaller.sum() <= 1.01 * larger.sum()
        assert covered(larger, smaller) > 0.98


@pytest.mark.parametrize(("wrong", "right", "left"), [(BLUE, ORANGE, 0.5), (ORANGE, BLUE, 0.05)])
def test_a_background_click_takes_its_place_out_of_the_earlier_mask_and_nothing_else(
    predictor: SamPredictor, wrong: Disc, right: Disc, left: float
):
    """All of a disc that is one thing to the model, and what a click there selects of one that is several."""
    selected, _, _ = predictor.predict(np.array([wrong[:2]]), np.array([1]), multimask_output=False)
    both = earlier_mask(disc(*BLUE) | disc(*ORANGE))
    masks, _, _ = predictor.predict(
        np.array([right[:2], wrong[:2]]), np.array([1, 0]), mask_input=both, multimask_output=False
    )
    assert not masks[0][wrong[1], wrong[0]]
    assert covered(masks[0], selected[0] & disc(*wrong)) < 0.1
    assert covered(masks[0], disc(*wrong)) < left
    assert covered(masks[0], disc(*right)) > 0.95


@pytest.mark.parametrize(("column", "row"), [(140, 70), (205, 150), (60, 170), (350, 300), (290, 215)])
def test_a_background_click_takes_its_own_place_out_at_the_edge_of_a_disc_too(
    predictor: SamPredictor, column: int, row: int
):
    everything = earlier_mask(np.ones((384, 512), np.bool_))
    masks, _, _ = predictor.predict(
        np.array([[250, 40], [column, row]]), np.array([1, 0]), mask_input=everything, multimask_output=False
    )
    assert not masks[0][row, column]


def test_a_foreground_click_adds_its_place_to_the_earlier_mask(predictor: SamPredictor):
    masks, _, _ = predictor.predict(
        np.array([BLUE[:2], ORANGE[:2]]),
        np.array([1, 1]),
        mask_input=earlier_mask(disc(*BLUE)),
        multimask_output=False,
    )
    assert covered(masks[0], disc(*BLUE)) > 0.8
    assert covered(masks[0], disc(*ORANGE)) > 0.8
    assert covered(masks[0], ~(disc(*BLUE) | disc(*ORANGE))) < 0.1


def test_a_drawn_mask_is_kept_where_clicks_say_nothing_else(predictor: SamPredictor):
    drawn = np.zeros((384, 512), np.bool_)
    drawn[40:300, 60:300] = True
    drawn[100:180, 100:180] = False
    masks, _, _ = predictor.predict(
        np.array([ORANGE[:2]]), np.array([1]), mask_input=earlier_mask(drawn), multimask_output=False
    )
    assert iou(masks[0], drawn | disc(*ORANGE)) > 0.9
    assert covered(masks[0], drawn) > 0.9
    assert masks[0][100:180, 100:180].mean() < 0.1


@pytest.mark.parametrize(("column", "row", "radius"), [BLUE, ORANGE])
def test_a_box_around_a_disc_gives_the_disc(predictor: SamPredictor, column: int, row: int, radius: int):
    box = np.array([column - radius, row - radius, column + radius, row + radius])
    masks, _, _ = predictor.predict(box=box, multimask_output=False)
    assert iou(masks[0], disc(column, row, radius)) > 0.8


@pytest.mark.parametrize("box", [(60, 60, 130, 230), (200, 40, 380, 380), (0, 0, 256, 384)])
def test_a_box_gives_a_mask_within_it(predictor: SamPredictor, box: tuple[int, int, int, int]):
    masks, _, _ = predictor.predict(box=np.array(box), multimask_output=False)
    left, top, right, bottom = box
    allowed = np.zeros(masks[0].shape, np.bool_)
    allowed[max(top - 16, 0) : bottom + 16, max(left - 16, 0) : right + 16] = True
    assert masks[0].any()
    assert (masks[0] & allowed).sum() > 0.98 * masks[0].sum()
