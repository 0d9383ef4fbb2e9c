"""Masks for given boxes: what an annotator of the semi-automatic stage finds pre-filled (paper §4)."""

import enum
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from segment_anything.modeling import Sam

from sa_pipeline.generation.deduplication import suppress_duplicates
from sa_pipeline.generation.stable_masks import StableMasks, measure_stable_masks
from sa_pipeline.masks.boxes import xyxy_to_xywh
from sa_pipeline.masks.crops import Crop
from sa_pipeline.sam.inference import decode_boxes
from sa_pipeline.settings import MaskSettings, PrefillSettings


class BoxRule(enum.StrEnum):
    """Why a box gives no mask, in the order in which the rules are asked."""

    BOX_SCORE = "box_score"
    EMPTY = "empty"
    PREDICTED_IOU = "predicted_iou"
    STABILITY = "stability"
    COVERS_IMAGE = "covers_image"
    DUPLICATE = "duplicate"


@dataclass(frozen=True)
class BoxMasks:
    """The masks of one image that were kept, the highest predicted IoU first, and what became of all boxes.

    Attributes:
        boxes: (K, 4) float32 XYXY of the prompts, px.
        box_scores: (K,) float32.
        predicted_ious: (K,) float32.
        stability_scores: (K,) float32.
        bboxes: (K, 4) int64 XYWH around the masks, px, in SA-1B's convention.
        areas: (K,) int64 px.
        counts: K COCO compressed run lengths.
        tally: `boxes`, `masks`, and `dropped_{rule}` for each of `BoxRule`.
    """

    boxes: npt.NDArray[np.float32]
    box_scores: npt.NDArray[np.float32]
    predicted_ious: npt.NDArray[np.float32]
    stability_scores: npt.NDArray[np.float32]
    bboxes: npt.NDArray[np.int64]
    areas: npt.NDArray[np.int64]
    counts: list[str]
    tally: Counter[str]


def masks_of_boxes(
    sam: Sam,
    embedding: torch.Tensor,
    boxes: npt.NDArray[np.float32],
    box_scores: npt.NDArray[np.float32],
    image_size: tuple[int, int],
    settings: PrefillSettings,
    masks: MaskSettings,
) -> BoxMasks:
    """Prompts SAM with each box and keeps the masks that are confident, stable and no duplicates (paper §4).

    Args:
        sam: The model.
        embedding: (1, C, h, w) of the image.
        boxes: (N, 4) float32 XYXY, px of the image.
        box_scores: (N,) float32, how sure the detector is.
        image_size: Height and width of the image in px.
        settings: Thresholds of confidence and stability.
        masks: How stability is measured, how much of the image a mask may cover, which masks are duplicates, and how
            many boxes are decoded at once.
    """
    tally = Counter({"boxes": len(boxes), "masks": 0, **{f"dropped_{rule}": 0 for rule in BoxRule}})
    asked = np.flatnonzero(box_scores >= np.float32(settings.min_box_score))
    boxes, box_scores = boxes[asked], box_scores[asked]
    tally[f"dropped_{BoxRule.BOX_SCORE}"] = tally["boxes"] - len(asked)
    predicted, measured = _ask(sam, embedding, boxes, image_size, masks)
    dropped_by = _judge(predicted, measured, image_size, settings, masks)
    kept = np.flatnonzero(dropped_by == "")
    found = suppress_duplicates(
        [measured.counts[index] for index in kept], image_size, measured.boxes[kept], predicted[kept], masks
    )
    best = kept[found.kept]
    tally.update(f"dropped_{rule}" for rule in dropped_by if rule)
    tally[f"dropped_{BoxRule.DUPLICATE}"] = len(kept) - len(best)
    tally["masks"] = len(best)
    return BoxMasks(
        boxes=boxes[best],
        box_scores=box_scores[best],
        predicted_ious=predicted[best],
        stability_scores=measured.stability_scores[best],
        bboxes=xyxy_to_xywh(measured.boxes[best]),
        areas=measured.areas[best],
        counts=[measured.counts[index] for index in best],
        tally=tally,
    )


def _ask(
    sam: Sam,
    embedding: torch.Tensor,
    boxes: npt.NDArray[np.float32],
    image_size: tuple[int, int],
    masks: MaskSettings,
) -> tuple[npt.NDArray[np.float32], StableMasks]:
    """Predicted IoU of the N masks, and what is known of them all, stable or not."""
    height, width = image_size
    image = Crop(0, 0, (0, 0, width, height))
    every = masks.model_copy(update={"stability_score_floor": 0.0})
    embedding = embedding.to(sam.device, torch.float32)
    predicted, parts = [np.zeros(0, np.float32)], []
    for start in range(0, len(boxes), masks.points_per_batch):
        logits, ious = decode_boxes(sam, embedding, boxes[start : start + masks.points_per_batch], image_size)
        predicted.append(ious.cpu().numpy())
        parts.append(measure_stable_masks(sam, logits.cpu().contiguous(), image, image_size, every))
    return np.concatenate(predicted), _joined(parts)


def _joined(parts: list[StableMasks]) -> StableMasks:
    return StableMasks(
        indices=np.arange(sum(len(part.areas) for part in parts)),
        stability_scores=np.concatenate([np.zeros(0, np.float32), *(part.stability_scores for part in parts)]),
        boxes=np.concatenate([np.zeros((0, 4), np.int64), *(part.boxes for part in parts)]),
        areas=np.concatenate([np.zeros(0, np.int64), *(part.areas for part in parts)]),
        counts=[counts for part in parts for counts in part.counts],
    )


def _judge(
    predicted: npt.NDArray[np.float32],
    measured: StableMasks,
    image_size: tuple[int, int],
    settings: PrefillSettings,
    masks: MaskSettings,
) -> npt.NDArray[np.object_]:
    """The rule that drops each mask, empty for none. Thresholds hold as those of the automatic stage do."""
    iou_thresh, stability_thresh = np.float32(settings.pred_iou_thresh), np.float32(settings.stability_score_thresh)
    nothing = np.zeros(len(predicted), np.bool_)
    cover = masks.max_image_cover
    failed = {
        BoxRule.EMPTY: measured.areas == 0,
        BoxRule.PREDICTED_IOU: ~(predicted > iou_thresh) if iou_thresh > 0 else nothing,
        BoxRule.STABILITY: ~(measured.stability_scores >= stability_thresh) if stability_thresh > 0 else nothing,
        BoxRule.COVERS_IMAGE: measured.areas >= cover * image_size[0] * image_size[1] if cover is not None else nothing,
    }
    dropped_by = np.full(len(predicted), "", object)
    for rule, fails in reversed(failed.items()):
        dropped_by[fails] = rule.value
    return dropped_by
