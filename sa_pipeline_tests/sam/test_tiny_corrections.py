"""The shipped `tiny` heeds background clicks, answers boxes and comes closer with each click, on a photograph."""

import cv2
import numpy as np
import pytest
import skimage.data
from segment_anything import SamPredictor

from sa_pipeline.evaluation.interactive import segment_by_clicks
from sa_pipeline.sam.inference import encode_image
from sa_pipeline.sam.registry import LoadedModel

FACE = np.array([150.0, 30.0, 300.0, 220.0])
"""A box around the cat's face in `chelsea`, XYXY in px."""


@pytest.fixture(scope="module")
def predictor(tiny: LoadedModel) -> SamPredictor:
    predictor = SamPredictor(tiny.sam)
    predictor.set_image(skimage.data.chelsea())
    return predictor


@pytest.mark.parametrize(("x", "y"), [(120, 200), (300, 230), (220, 120), (250, 200)])
def test_a_background_click_takes_what_a_click_there_selects_out_of_the_mask_and_hardly_more(
    predictor: SamPredictor, x: int, y: int
):
    drawn = np.full((1, 128, 128), -10.0, np.float32)
    drawn[0, 10:80, 15:100] = 10.0
    clicks = np.array([[60, 60]])
    before, _, _ = predictor.predict(clicks, np.array([1]), mask_input=drawn, multimask_output=False)
    after, _, _ = predictor.predict(
        np.vstack([clicks, [[x, y]]]), np.array([1, 0]), mask_input=drawn, multimask_output=False
    )
    one, _, _ = predictor.predict(np.array([[x, y]]), np.array([1]), multimask_output=False)
    three, _, _ = predictor.predict(np.array([[x, y]]), np.array([1]))
    selected, related = one[0], one[0] | three.any(axis=0)
    assert selected.sum() > 200
    assert before[0][selected].mean() > 0.95
    assert after[0][selected].mean() < 0.1
    # A pixel of the logits, 4 px wide, that lies partly in the regions there is taken out, too.
    beside = cv2.dilate(related.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert after[0][before[0] & ~beside].mean() > 0.99


@pytest.mark.parametrize("label", [0, 1])
def test_no_click_is_without_effect_at_its_own_place(predictor: SamPredictor, label: int):
    """Also where the image's regions say otherwise."""
    earlier = np.full((1, 128, 128), -10.0 if label else 10.0, np.float32)
    random = np.random.default_rng(0)
    heeded = 0
    for x, y in zip(random.integers(451, size=60), random.integers(300, size=60), strict=True):
        clicks, labels = np.array([[225, 150], [x, y]]), np.array([1 - label, label])
        masks, _, _ = predictor.predict(clicks, labels, mask_input=earlier, multimask_output=False)
        heeded += masks[0, y, x] == label
    assert heeded >= 59


def test_a_box_gives_a_mask_that_lies_within_it(predictor: SamPredictor):
    masks, _, _ = predictor.predict(box=FACE, multimask_output=False)
    left, top, right, bottom = FACE.astype(int)
    within = masks[0, top - 12 : bottom + 12, left - 12 : right + 12].sum()
    assert masks[0].sum() > 0.15 * (right - left) * (bottom - top)
    assert within > 0.9 * masks[0].sum()


def test_clicks_bring_masks_closer_to_what_is_meant(tiny: LoadedModel):
    """Of objects that the region tree does not know: tiles of the photograph."""
    photo = skimage.data.coffee()
    rows, columns = np.mgrid[: photo.shape[0], : photo.shape[1]]
    cup = ((columns - 305) / 125) ** 2 + ((rows - 180) / 100) ** 2 < 1
    targets = [cup, columns < 150, rows > 300]
    found = list(segment_by_clicks(tiny.sam, encode_image(tiny.sam, photo), targets, 9))
    ious = {n: np.mean([mask.iou for mask in found if mask.chosen and mask.clicks == n]) for n in (1, 3, 9)}
    assert ious[9] > ious[1] + 0.1
    assert ious[9] > 0.5
