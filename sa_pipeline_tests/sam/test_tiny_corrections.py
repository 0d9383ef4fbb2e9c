"""The shipped `tiny` heeds background clicks, answers boxes and comes closer with each click, on a photograph."""

import numpy as np
import numpy.typing as npt
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


def around(mask: npt.NDArray[np.bool_], x: int, y: int) -> float:
    return float(mask[y - 8 : y + 9, x - 8 : x + 9].mean())


@pytest.mark.parametrize(("x", "y"), [(120, 200), (300, 230), (220, 120)])
def test_a_background_click_takes_its_place_out_of_the_mask(predictor: SamPredictor, x: int, y: int):
    drawn = np.full((1, 128, 128), -10.0, np.float32)
    drawn[0, 10:80, 15:100] = 10.0
    clicks = np.array([[60, 60]])
    before, _, _ = predictor.predict(clicks, np.array([1]), mask_input=drawn, multimask_output=False)
    after, _, _ = predictor.predict(
        np.vstack([clicks, [[x, y]]]), np.array([1, 0]), mask_input=drawn, multimask_output=False
    )
    assert around(before[0], x, y) > 0.5
    assert around(after[0], x, y) < 0.1


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
