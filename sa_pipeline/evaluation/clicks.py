"""Simulated clicks: where a person would click next, decided by distance alone (paper §7.1 and Appendix D.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Click:
    """A click on the pixel in column x and row y; foreground or background."""

    x: int
    y: int
    foreground: bool


def centre_click(target: npt.NDArray[np.bool_]) -> Click:
    """The first click: the pixel of the object farthest from its boundary.

    Args:
        target: (H, W) bool, not empty. Outside the image is background. Of equally far pixels the first by rows.
    """
    x, y, _ = _farthest(target, ())
    return Click(x, y, foreground=True)


def correction_click(
    predicted: npt.NDArray[np.bool_], target: npt.NDArray[np.bool_], earlier: Sequence[Click] = ()
) -> Click | None:
    """The next click: the pixel farthest from the boundary of the error region.

    It is a foreground click where the mask misses something and a background click where it has too much, whichever
    region's innermost pixel lies deeper.

    Args:
        predicted: (H, W) bool, the mask so far.
        target: (H, W) bool, the mask wanted.
        earlier: Pixels that are not clicked again.

    Returns:
        None where no pixel is wrong but those clicked already.
    """
    miss_x, miss_y, missed = _farthest(target & ~predicted, earlier)
    excess_x, excess_y, excess = _farthest(predicted & ~target, earlier)
    if max(missed, excess) == 0:
        return None
    return Click(miss_x, miss_y, True) if missed >= excess else Click(excess_x, excess_y, False)


def _farthest(region: npt.NDArray[np.bool_], forbidden: Sequence[Click]) -> tuple[int, int, float]:
    """Column, row and squared distance to the boundary, px², of the region's innermost pixel; 0 if there is none."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if len(rows) == 0:
        return 0, 0, 0.0
    top, left = rows[0], columns[0]
    window = region[top : rows[-1] + 1, left : columns[-1] + 1]
    padded = np.pad(window, 1).astype(np.uint8)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    # Its last bits depend on where the array lies in memory, and would choose among equals; its squares are whole.
    squared = np.rint(np.square(distance, dtype=np.float64))
    for click in forbidden:
        row, column = click.y - top, click.x - left
        if 0 <= row < window.shape[0] and 0 <= column < window.shape[1]:
            squared[row, column] = 0
    row, column = divmod(int(squared.argmax()), window.shape[1])
    return int(left + column), int(top + row), float(squared[row, column])
