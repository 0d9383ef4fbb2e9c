"""What the verifier sees of a mask: the scores that are kept with it, and its shape."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sa_pipeline.masks.concavity import concavity
from sa_pipeline.masks.rle import box_from_runs, decode_counts, runs_to_mask

COLUMNS = ("image_id", "mask_id", "predicted_iou", "stability_score", "area", "size", "counts")
"""Of `DEDUPLICATED_MASKS` and `PREFILLED_MASKS`, that the features are told from."""

FEATURES = (
    "predicted_iou",
    "stability_score",
    "relative_size",
    "concavity",
    "raggedness",
    "islands",
    "box_fill",
    "elongation",
    "edges",
)
"""In the order of the columns of `mask_features`: the two scores; the square root of the mask's share of the image
(paper §5); its concavity (§5); the logarithm of its perimeter over that of a disc of its area; the logarithm of the
number of its parts; its share of its box; the logarithm of its box's longer side over the shorter; and how many of the
image's edges it touches."""

Features = npt.NDArray[np.float64]


def mask_features(rows: Sequence[Mapping[str, Any]]) -> Features:
    """The features of masks.

    Args:
        rows: N masks with the columns `COLUMNS`, none of them empty.

    Returns:
        (N, F) float64, F as in `FEATURES`.
    """
    return np.array([_features(row) for row in rows], np.float64).reshape(len(rows), len(FEATURES))


def _features(row: Mapping[str, Any]) -> list[float]:
    height, width = row["size"]
    runs = decode_counts(row["counts"])
    left, top, right, bottom = box_from_runs(runs, height)
    mask = np.ascontiguousarray(runs_to_mask(runs, (height, width))[top : bottom + 1, left : right + 1])
    sides = (bottom + 1 - top, right + 1 - left)
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts, _ = cv2.connectedComponents(mask.view(np.uint8))
    perimeter = sum(cv2.arcLength(outline, closed=True) for outline in outlines) + 4.0
    return [
        row["predicted_iou"],
        row["stability_score"],
        float(np.sqrt(row["area"] / (height * width))),
        concavity(mask),
        float(np.log(perimeter / np.sqrt(4 * np.pi * row["area"]))),
        float(np.log(parts - 1)),
        row["area"] / (sides[0] * sides[1]),
        float(np.log(max(sides) / min(sides))),
        float((left == 0) + (top == 0) + (right == width - 1) + (bottom == height - 1)),
    ]
