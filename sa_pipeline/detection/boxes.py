"""Images with boxes: what a detector is trained on and measured by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]
"""(N, 4) XYXY in px between pixels: the last column of a box is the one after its last pixel's."""


@dataclass(frozen=True)
class BoxedImage:
    """An image and the boxes of its masks.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        people: The boxes of each person who segmented the image, `Boxes`.
    """

    pixels: npt.NDArray[np.uint8]
    people: tuple[Boxes, ...]

    @property
    def boxes(self) -> Boxes:
        """Everybody's."""
        return np.concatenate([np.zeros((0, 4), np.float32), *self.people])


class BoxSource(Protocol):
    """Images by number; one is read when it is asked for, so that the source need not fit in memory."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def read(self, index: int) -> BoxedImage:
        """Reads one image.

        Raises:
            SaPipelineError: It cannot be read.
        """
        ...


def boxes_from_xywh(boxes: Sequence[Sequence[int]]) -> Boxes:
    """(N, 4) XYWH in SA-1B's convention, w = x_max - x_min of pixels -> `Boxes`.

    Example:
        >>> boxes_from_xywh([[2, 3, 0, 4]]).tolist()
        [[2.0, 3.0, 3.0, 8.0]]
    """
    found = np.asarray(boxes, np.float32).reshape(-1, 4).copy()
    found[:, 2:] += found[:, :2] + 1
    return found


def to_pixels(boxes: Boxes) -> Boxes:
    """XYXY of first and last pixels, as SAM is asked with: the way back from `boxes_from_xywh`, whole pixels or not."""
    found = boxes.copy()
    found[:, 2:] = np.maximum(boxes[:, 2:] - 1, boxes[:, :2])
    return found


def mirrored(boxes: Boxes, width: int) -> Boxes:
    """Boxes of an image of that width in px, mirrored left to right with it."""
    turned = boxes.copy()
    turned[:, 0], turned[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    return turned


def box_ious(first: Boxes, second: Boxes) -> npt.NDArray[np.float32]:
    """IoU of every one of N boxes with every one of M: (N, M) float32."""
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.maximum(bottom_right - top_left, 0).prod(axis=2)
    areas = [np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0), np.float32)
