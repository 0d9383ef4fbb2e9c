"""Areas and boxes of many masks at once, straight from their COCO compressed strings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sa_pipeline.masks.rle_kernels import AREA, BOTTOM, COLUMNS, LEFT, measure_strings


@dataclass(frozen=True, eq=False)
class MeasuredMasks:
    """Areas and boxes of N masks.

    Attributes:
        sound: (N,) bool, whether the string describes a mask of its size. Where not, area and box mean nothing, and
            `rle.decode_counts` or `rle.check_runs` says what is wrong.
        areas: (N,) int64, foreground pixels.
        boxes: (N, 4) int64, XYWH as in SA-1B: width is x_max - x_min of foreground pixels; zeros without any.
    """

    sound: npt.NDArray[np.bool_]
    areas: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.int64]


def measure_masks(counts: Sequence[str], sizes: npt.ArrayLike) -> MeasuredMasks:
    """Measures masks as `rle.area_from_runs` and `rle.box_from_runs` do, one after another in compiled code.

    Args:
        counts: N COCO compressed strings.
        sizes: (N, 2), height and width of each mask's image in px, at least 1.

    Example:
        >>> measure_masks(["132"], [(2, 3)]).boxes.tolist()
        [[0, 0, 1, 1]]
    """
    # A string with characters outside ASCII becomes one that the alphabet lacks.
    strings = [text.encode("ascii") if text.isascii() else b"\xff" for text in counts]
    ends = np.cumsum([len(string) for string in strings], dtype=np.int64)
    rows = np.zeros((len(strings), COLUMNS), np.int64)
    sound = np.zeros(len(strings), np.bool_)
    codes = np.frombuffer(b"".join(strings), np.uint8)
    measure_strings(codes, ends, np.asarray(sizes, np.int64).reshape(-1, 2), rows, sound)
    boxes = rows[:, LEFT : BOTTOM + 1].copy()
    boxes[:, 2:] -= boxes[:, :2]
    return MeasuredMasks(sound, rows[:, AREA], boxes)
