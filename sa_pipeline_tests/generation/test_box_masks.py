"""Masks for boxes: those that SAM's own predictor gives, kept or dropped with a reason."""

import numpy as np
import pytest
import skimage.data
import torch
from segment_anything import SamPredictor

from sa_pipeline.generation.box_masks import BoxMasks, BoxRule, masks_of_boxes
from sa_pipeline.masks.rle import counts_to_mask
from sa_pipeline.sam.inference import encode_image
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.settings import MaskSettings, PrefillSettings

IMAGE = np.ascontiguousarray(skimage.data.coffee()[::2, ::2])
"""200 x 300 px."""

SIZE = IMAGE.shape[0], IMAGE.shape[1]

BOXES = np.array(
    [[0, 0, 300, 200], [0, 0, 299, 199], [20, 10, 120, 90], [100, 40, 260, 180], [150, 0, 290, 110], [5, 100, 90, 190]],
    np.float32,
)
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.05], np.float32)

EVERYTHING = PrefillSettings(min_box_score=0.0, pred_iou_thresh=0.0, stability_score_thresh=0.0)


@pytest.fixture(scope="module")
def embedding(tiny: LoadedModel) -> torch.Tensor:
    return encode_image(tiny.sam, IMAGE)


@pytest.fixture
def found(tiny: LoadedModel, embedding: torch.Tensor):
    def find(settings: PrefillSettings = EVERYTHING, **changes) -> BoxMasks:
        return masks_of_boxes(tiny.sam, embedding, BOXES, SCORES, SIZE, settings, MaskSettings(**changes))

    return find


def test_every_mask_is_the_one_that_sams_own_predictor_gives_for_the_box(tiny: LoadedModel, found) -> None:
    masks = found(box_nms_thresh=1.0)
    predictor = SamPredictor(tiny.sam)
    predictor.set_image(IMAGE)
    expected = {}
    for box in BOXES:
        (mask,), (predicted_iou,), _ = predictor.predict(box=box, multimask_output=False)
        if mask.any():
            expected[tuple(box)] = mask, predicted_iou
    assert len(expected) > 0
    assert {tuple(box) for box in masks.boxes} == set(expected)
    assert masks.tally == {
        "boxes": len(BOXES),
        "masks": len(expected),
        **{f"dropped_{rule}": len(BOXES) - len(expected) if rule is BoxRule.EMPTY else 0 for rule in BoxRule},
    }
    for box, counts, predicted_iou, area, bbox in zip(
        masks.boxes, masks.counts, masks.predicted_ious, masks.areas, masks.bboxes, strict=True
    ):
        mask, iou = expected[tuple(box)]
        assert np.array_equal(counts_to_mask(counts, SIZE), mask)
        assert (predicted_iou, area) == (pytest.approx(iou, abs=1e-5), mask.sum())
        rows, columns = np.nonzero(mask)
        left, top = columns.min(), rows.min()
        assert bbox.tolist() == [left, top, columns.max() - left, rows.max() - top]
    assert masks.predicted_ious.tolist() == sorted(masks.predicted_ious.tolist(), reverse=True)


def test_boxes_are_dropped_by_the_first_rule_that_they_fail(found) -> None:
    everything = found()
    assert everything.tally["masks"] > 0
    assert found(PrefillSettings(min_box_score=0.55, pred_iou_thresh=0.0, stability_score_thresh=0.0)).tally[
        f"dropped_{BoxRule.BOX_SCORE}"
    ] == 2  # fmt: skip
    painted = len(BOXES) - everything.tally[f"dropped_{BoxRule.EMPTY}"]
    unsure = EVERYTHING.model_copy(update={"pred_iou_thresh": 1.0})
    assert found(unsure).tally[f"dropped_{BoxRule.PREDICTED_IOU}"] == painted
    highest = float(found(box_nms_thresh=1.0).stability_scores.max())
    shaky = EVERYTHING.model_copy(update={"stability_score_thresh": min(1.0, highest + 1e-4)})
    if highest < 1.0:
        assert found(shaky).tally[f"dropped_{BoxRule.STABILITY}"] == painted
    assert found(max_image_cover=1e-9).tally[f"dropped_{BoxRule.COVERS_IMAGE}"] == painted


def test_of_two_boxes_of_one_object_one_mask_stays(found) -> None:
    # The first two boxes differ by a pixel, so that their masks are nearly the same.
    alone = found(box_nms_thresh=1.0)
    either = {tuple(BOXES[0]), tuple(BOXES[1])}
    assert {tuple(box) for box in alone.boxes} >= either
    for rule in ({"box_nms_thresh": 0.5}, {"mask_nms_thresh": 0.5}):
        masks = found(**rule)
        assert len({tuple(box) for box in masks.boxes} & either) == 1
        assert masks.tally[f"dropped_{BoxRule.DUPLICATE}"] >= 1


def test_no_box_gives_no_mask(tiny: LoadedModel, embedding: torch.Tensor) -> None:
    nothing = masks_of_boxes(tiny.sam, embedding, BOXES[:0], SCORES[:0], SIZE, EVERYTHING, MaskSettings())
    assert (nothing.counts, nothing.tally["boxes"], nothing.bboxes.shape) == ([], 0, (0, 4))
