"""Non-maximum suppression: which of several near-duplicates stays, and which one each other gives way to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from sa_pipeline.masks.boxes import xyxy_to_xywh
from sa_pipeline.masks.rle import area_from_runs, decode_counts

NOT_SUPPRESSED = -1

TORCHVISION_BOXES_AT_ONCE = 1000
"""Up to so many boxes on a CPU `torchvision.ops.batched_nms` keeps the order of equal scores."""

Overlaps = Callable[[int, npt.NDArray[np.int64]], npt.NDArray[np.bool_]]
"""(index of the better one, (M,) indices of others) -> (M,) bool: is each other a duplicate of the better one."""

Sort = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]
"""(K,) float32 scores -> (K,) int64, their indices from the highest to the lowest."""


@dataclass(frozen=True)
class Suppression:
    """Outcome of greedy suppression over N masks.

    Attributes:
        kept: (K,) int64, indices of those that stay, best first; `suppress` keeps the order of equal scores.
        suppressed_by: (N,) int64, index of the mask that each gives way to, `NOT_SUPPRESSED` for those that stay.
    """

    kept: npt.NDArray[np.int64]
    suppressed_by: npt.NDArray[np.int64]


def suppress(scores: npt.NDArray[np.float32], overlaps: Overlaps) -> Suppression:
    """Greedy suppression: from the best score on, every kept one suppresses the later ones that it overlaps.

    Args:
        scores: (N,) float32; higher is better.
        overlaps: Says which others duplicate a kept one.
    """
    order = np.argsort(-scores, kind="stable").astype(np.int64)
    suppressed_by = np.full(len(scores), NOT_SUPPRESSED, np.int64)
    remaining = order
    while len(remaining):
        best, remaining = int(remaining[0]), remaining[1:]
        duplicate = overlaps(best, remaining)
        suppressed_by[remaining[duplicate]] = best
        remaining = remaining[~duplicate]
    return Suppression(order[suppressed_by[order] == NOT_SUPPRESSED], suppressed_by)


def suppress_by_box(boxes: npt.NDArray[np.int64], scores: npt.NDArray[np.float32], threshold: float) -> Suppression:
    """Greedy box NMS, equal to `torchvision.ops.nms` index for index (paper, Appendix B, "Postprocessing").

    Args:
        boxes: (N, 4) XYXY.
        scores: (N,) float32.
        threshold: Boxes whose IoU is above it are duplicates. The IoU is reckoned in float32, as torchvision does.
    """
    boxes = boxes.astype(np.float32)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

    def overlaps(best: int, others: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        top_left = np.maximum(boxes[best, :2], boxes[others, :2])
        bottom_right = np.minimum(boxes[best, 2:], boxes[others, 2:])
        sides = np.maximum(bottom_right - top_left, np.float32(0))
        intersections = sides[:, 0] * sides[:, 1]
        with np.errstate(invalid="ignore"):
            ious = intersections / (areas[best] + areas[others] - intersections)
        return np.asarray(ious.astype(np.float64) > threshold)

    return suppress(scores, overlaps)


def as_torchvision_orders(outcome: Suppression, scores: npt.NDArray[np.float32], sort: Sort) -> Suppression:
    """The same outcome with equal scores in the order of `torchvision.ops.batched_nms`.

    Of more than 1,000 boxes it sorts those that stay once more, with a sort that is not stable.

    Args:
        outcome: Of `suppress_by_box`, for boxes of one category.
        scores: (N,) float32, the same.
        sort: That sort.
    """
    if len(scores) <= TORCHVISION_BOXES_AT_ONCE:
        return outcome
    kept = np.sort(outcome.kept)
    return Suppression(kept[sort(scores[kept])], outcome.suppressed_by)


def suppress_by_mask(
    counts: Sequence[str],
    size: tuple[int, int],
    boxes: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    iou_threshold: float,
    containment_threshold: float | None,
) -> Suppression:
    """Greedy suppression judged by the masks' own overlap, which tells a ring from the disc that it surrounds.

    Args:
        counts: N COCO compressed run lengths.
        size: Height and width of the image in px.
        boxes: (N, 4) XYXY around the masks, to pass over pairs that cannot overlap.
        scores: (N,) float32.
        iou_threshold: Masks whose IoU is above it are duplicates.
        containment_threshold: If given, so are masks when more than this share of the smaller lies in the other.
    """
    rles = [{"size": list(size), "counts": item.encode("ascii")} for item in counts]
    # Not coco_mask.area: with NumPy 2 it refuses more than 255 masks.
    areas = np.array([area_from_runs(decode_counts(item)) for item in counts], np.float64)

    def overlaps(best: int, others: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        near = np.all(boxes[others, :2] <= boxes[best, 2:], axis=1) & np.all(
            boxes[others, 2:] >= boxes[best, :2], axis=1
        )
        if containment_threshold is None:
            # The IoU of two masks is never more than the ratio of their areas.
            near &= np.minimum(areas[best], areas[others]) > iou_threshold * np.maximum(areas[best], areas[others])
        duplicate = np.zeros(len(others), np.bool_)
        candidates = others[near]
        if len(candidates) == 0:
            return duplicate
        within = coco_mask.iou([rles[i] for i in candidates], [rles[best]], [1])[:, 0]
        intersections = within * areas[candidates]
        unions = areas[best] + areas[candidates] - intersections
        verdict = intersections > iou_threshold * unions
        if containment_threshold is not None:
            verdict |= intersections > containment_threshold * np.minimum(areas[best], areas[candidates])
        duplicate[near] = verdict
        return duplicate

    return suppress(scores, overlaps)


def box_areas(boxes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(N, 4) XYXY -> (N,) px."""
    sides = xyxy_to_xywh(boxes)[:, 2:]
    return np.asarray(sides[:, 0] * sides[:, 1])
