"""Verdicts: which candidates are confident, stable and whole enough to keep, and why the others are not."""

import enum
from collections import Counter

import numpy as np
import pyarrow as pa

from sa_pipeline.generation.columns import boxes, floats, integers
from sa_pipeline.masks.boxes import touches_crop_edge, xywh_to_xyxy
from sa_pipeline.schemas import FILTERED_MASKS
from sa_pipeline.settings import MaskSettings


class FilterRule(enum.StrEnum):
    """Why a candidate is dropped, in the order in which the rules are asked (paper §4 and Appendix B)."""

    PREDICTED_IOU = "predicted_iou"
    STABILITY = "stability"
    CROP_EDGE = "crop_edge"
    COVERS_IMAGE = "covers_image"
    AREA = "area"


def judge_candidates(candidates: pa.Table, settings: MaskSettings) -> pa.Table:
    """Gives each candidate a verdict.

    Args:
        candidates: Table with the schema `CANDIDATE_MASKS`, N rows, of any number of images.
        settings: Thresholds; a predicted IoU must be above its threshold, a stability score at least at its own.

    Returns:
        Table with the schema `FILTERED_MASKS`, N rows in the same order. `dropped_by` names the first rule failed.
    """
    sizes = boxes(candidates, "size")
    pixels = sizes[:, 0] * sizes[:, 1]
    area = integers(candidates, "area")
    mask_boxes = xywh_to_xyxy(boxes(candidates, "bbox"))
    crop_boxes = xywh_to_xyxy(boxes(candidates, "crop_box"))
    nothing = np.zeros(candidates.num_rows, np.bool_)
    # Compared in float32, as torch compares a float32 tensor with a number.
    iou_thresh, stability_thresh = np.float32(settings.pred_iou_thresh), np.float32(settings.stability_score_thresh)
    cover = settings.max_image_cover
    failed = {
        FilterRule.PREDICTED_IOU: ~(floats(candidates, "predicted_iou") > iou_thresh) if iou_thresh > 0 else nothing,
        FilterRule.STABILITY: (
            ~(floats(candidates, "stability_score") >= stability_thresh) if stability_thresh > 0 else nothing
        ),
        FilterRule.CROP_EDGE: touches_crop_edge(mask_boxes, crop_boxes, sizes),
        FilterRule.COVERS_IMAGE: area >= cover * pixels if cover is not None else nothing,
        FilterRule.AREA: area < settings.min_area,
    }
    dropped_by = np.full(candidates.num_rows, "", object)
    for rule, fails in reversed(failed.items()):
        dropped_by[fails] = rule.value
    kept = dropped_by == ""
    return pa.table(
        {
            "mask_id": candidates["mask_id"],
            "image_id": candidates["image_id"],
            "kept": kept,
            "dropped_by": pa.array(dropped_by, pa.string(), mask=kept),
        },
        schema=FILTERED_MASKS,
    )


def count_verdicts(verdicts: pa.Table) -> Counter[str]:
    """Counts kept masks and those dropped by each rule, as `kept` and `dropped_{rule}`."""
    counts = Counter(f"dropped_{rule}" for rule in verdicts["dropped_by"].to_pylist() if rule is not None)
    counts["kept"] = verdicts.num_rows - counts.total()
    return counts
