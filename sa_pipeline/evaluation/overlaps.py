"""IoU of many masks with many others, from run lengths: the cost follows the masks' outlines, not the pixels."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from sa_pipeline.masks.rle import decode_counts

Ious = npt.NDArray[np.float64]


def encode_masks(masks: npt.NDArray[np.bool_]) -> list[str]:
    """COCO compressed run lengths of masks (N, H, W) bool."""
    if len(masks) == 0:
        return []
    # pycocotools reads column by column: (N, W, H) in C order is (H, W, N) in Fortran order without a copy.
    columns = np.ascontiguousarray(masks.transpose(0, 2, 1)).view(np.uint8)
    return [rle["counts"].decode("ascii") for rle in coco_mask.encode(columns.transpose(2, 1, 0))]


def pairwise_ious(first: Sequence[str], second: Sequence[str], size: tuple[int, int]) -> Ious:
    """IoU of every mask with every other.

    Args:
        first: N masks as COCO compressed run lengths.
        second: M masks likewise.
        size: Height and width in px of all of them.

    Returns:
        (N, M) float64 in [0, 1]; 0 where a mask is empty.
    """
    if not first or not second:
        return np.zeros((len(first), len(second)))
    ious = coco_mask.iou(_rles(first, size), _rles(second, size), [0] * len(second))
    return np.asarray(ious, np.float64)


def best_ious(segments: Sequence[str], masks: Sequence[str], size: tuple[int, int]) -> Ious:
    """For each of N segments, its IoU with the mask that covers it best: (N,) float64, 0 where there is no mask."""
    return pairwise_ious(segments, masks, size).max(axis=1, initial=0.0)


def areas_of(masks: Sequence[str]) -> npt.NDArray[np.int64]:
    """(N,) px."""
    return np.array([int(decode_counts(counts)[1::2].sum()) for counts in masks], np.int64)


def _rles(masks: Sequence[str], size: tuple[int, int]) -> list[dict[str, object]]:
    return [{"size": list(size), "counts": counts.encode("ascii")} for counts in masks]
