"""Boxes of masks: XYXY and XYWH, and whether a box touches the edge of its crop."""

import numpy as np
import numpy.typing as npt

CROP_EDGE_TOLERANCE = 20.0
"""px; a side this close to its crop's edge counts as touching it (`segment_anything.utils.amg`)."""


def masks_to_boxes(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Boxes around masks.

    Args:
        masks: (N, H, W) bool.

    Returns:
        (N, 4) int64 XYXY, first and last foreground column and row, both inclusive. An empty mask gives zeros.
    """
    count, height, width = masks.shape
    rows, columns = np.any(masks, axis=2), np.any(masks, axis=1)
    boxes = np.stack(
        [
            columns.argmax(axis=1),
            rows.argmax(axis=1),
            width - 1 - columns[:, ::-1].argmax(axis=1),
            height - 1 - rows[:, ::-1].argmax(axis=1),
        ],
        axis=1,
    ).astype(np.int64)
    boxes[~rows.any(axis=1)] = 0
    return boxes.reshape(count, 4)


def xyxy_to_xywh(boxes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(N, 4) XYXY -> (N, 4) XYWH with width = x_max - x_min, the convention of SA-1B."""
    converted = boxes.copy()
    converted[:, 2:] -= boxes[:, :2]
    return converted


def xywh_to_xyxy(boxes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(N, 4) XYWH -> (N, 4) XYXY with x_max = x_min + width."""
    converted = boxes.copy()
    converted[:, 2:] += boxes[:, :2]
    return converted


def touches_crop_edge(
    boxes: npt.NDArray[np.int64], crop_boxes: npt.NDArray[np.int64], image_sizes: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Whether boxes touch an edge of their crop that is not an edge of the image (paper, Appendix B, "Cropping").

    Args:
        boxes: (N, 4) XYXY, px of the full image.
        crop_boxes: (N, 4) XYXY, px of the full image.
        image_sizes: (N, 2) height, width in px.

    Returns:
        (N,) bool.
    """
    image_boxes = np.zeros_like(boxes)
    image_boxes[:, 2:] = image_sizes[:, ::-1]
    near_crop_edge = np.abs(boxes - crop_boxes) <= CROP_EDGE_TOLERANCE
    near_image_edge = np.abs(boxes - image_boxes) <= CROP_EDGE_TOLERANCE
    return np.any(near_crop_edge & ~near_image_edge, axis=1)
