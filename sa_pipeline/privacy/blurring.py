"""Blurring that nobody can undo.

A Gaussian blur alone can be undone in part: it scales frequencies and drops few. Here the region is first averaged into
a handful of cells, whatever its size, and drawn from these alone, so that a face of any resolution keeps no more than
`CELLS` by `CELLS` colours.
"""

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from sa_pipeline.privacy.detection import Detection, Kind

CELLS = 4
"""Along the longer side of a region; the eyes of a face fall into one row of cells."""

FEATHER = 0.15
"""Of the region's half-axes, beyond it: how far the transition to the untouched picture reaches."""


def blur_detections(
    image: npt.NDArray[np.uint8], detections: Iterable[Detection], enlargement: float
) -> npt.NDArray[np.uint8]:
    """A copy of an image with every detection blurred: an ellipse for a face, a rectangle for a licence plate.

    Args:
        image: (H, W, 3) uint8.
        detections: What to blur.
        enlargement: Factor on the sides of each box, about its centre.

    Returns:
        (H, W, 3) uint8. Equal arguments give equal pixels; pixels away from all boxes are those of `image`.
    """
    blurred = image.copy()
    for detection in detections:
        _blur(blurred, detection, enlargement)
    return blurred


def _blur(image: npt.NDArray[np.uint8], detection: Detection, enlargement: float) -> None:
    height, width = image.shape[:2]
    x, y, w, h = detection.bbox
    half_w, half_h = max(w, 2.0) * enlargement / 2, max(h, 2.0) * enlargement / 2
    center_x, center_y = x + w / 2, y + h / 2
    reach_w, reach_h = half_w * (1 + FEATHER), half_h * (1 + FEATHER)
    x0, y0 = max(0, int(np.floor(center_x - reach_w))), max(0, int(np.floor(center_y - reach_h)))
    x1, y1 = min(width, int(np.ceil(center_x + reach_w))), min(height, int(np.ceil(center_y + reach_h)))
    if x1 <= x0 or y1 <= y0:
        return
    region = image[y0:y1, x0:x1]
    across = (np.arange(x0, x1) + 0.5 - center_x) / half_w
    down = (np.arange(y0, y1) + 0.5 - center_y) / half_h
    if detection.kind is Kind.FACE:
        distance = np.hypot(across[None, :], down[:, None])
    else:
        distance = np.maximum(np.abs(across)[None, :], np.abs(down)[:, None])
    weight = np.clip((1 + FEATHER - distance) / FEATHER, 0.0, 1.0)[..., None]
    region[:] = np.rint(weight * _coarse(region) + (1 - weight) * region)


def _coarse(region: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    height, width = region.shape[:2]
    longer = max(height, width)
    cells = [max(1, min(side, round(CELLS * side / longer))) for side in (width, height)]
    averaged = cv2.resize(region.astype(np.float64), cells, interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(averaged, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.float64).reshape(region.shape)
