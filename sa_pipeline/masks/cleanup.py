"""Clean-up of masks: small holes filled, small islands removed.

It works on run lengths, column by column, and never sees the pixels: its time grows with a mask's outline, not with the
image.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sa_pipeline.compiled import compiled
from sa_pipeline.masks.rle import Runs


@dataclass(frozen=True)
class CleanMask:
    """A mask after clean-up.

    Attributes:
        runs: (R,) int64, its run lengths, background first.
        hole_area_filled: px that were added.
        island_area_removed: px that were taken away.
        largest_component_is_small: Whether even the largest component is below the area, so that the paper drops the
            mask.
    """

    runs: Runs
    hole_area_filled: int
    island_area_removed: int
    largest_component_is_small: bool

    @property
    def changed(self) -> bool:
        """Whether any pixel differs from the mask before."""
        return self.hole_area_filled > 0 or self.island_area_removed > 0


def clean_runs(runs: Runs, height: int, min_area: int) -> CleanMask:
    """Fills holes and then removes islands below `min_area` px, 8-connected (paper, Appendix B, "Postprocessing").

    The largest island always stays, as in `segment_anything`; the paper drops such a mask, which the result tells.

    Args:
        runs: (R,) int64, background first.
        height: H, rows of the image in px.
        min_area: px.
    """
    return CleanMask(*_clean(runs, height, min_area))


@compiled
def _pieces(runs: Any, height: int) -> tuple[Any, Any]:
    """Splits runs where columns end: first pixels, behind them the number of all, and which are foreground."""
    total = runs.sum()
    most = len(runs) + total // height
    firsts, values = np.empty(most + 1, np.int64), np.empty(most, np.bool_)
    count, pixel = 0, 0
    for run in range(len(runs)):
        end = pixel + runs[run]
        while pixel < end:
            firsts[count], values[count] = pixel, run % 2 == 1
            count += 1
            pixel = min(end, (pixel // height + 1) * height)
    firsts[count] = total
    return firsts[: count + 1], values[:count]


@compiled
def _root(parents: Any, piece: int) -> int:
    while parents[piece] != piece:
        parents[piece] = parents[parents[piece]]
        piece = parents[piece]
    return piece


@compiled
def _components(firsts: Any, values: Any, wanted: bool, height: int) -> tuple[Any, Any]:
    """For each piece with the `wanted` value one piece that stands for its component, and that one's area in px."""
    parents = np.arange(len(values))
    near = 0
    for piece in range(len(values)):
        if values[piece] != wanted:
            continue
        first, last = firsts[piece], firsts[piece + 1] - 1
        column = first - first % height
        if first > column and values[piece - 1] == wanted:
            parents[piece] = _root(parents, piece - 1)
        # What touches it in the column before, corners as well.
        low, high = max(first - 1, column) - height, min(last + 1, column + height - 1) - height
        while near < piece and firsts[near + 1] <= low:
            near += 1
        other = near
        while other < piece and firsts[other] <= high:
            if values[other] == wanted:
                parents[_root(parents, piece)] = _root(parents, other)
            other += 1
    areas = np.zeros(len(values), np.int64)
    for piece in range(len(values)):
        parents[piece] = _root(parents, piece)
        if values[piece] == wanted:
            areas[parents[piece]] += firsts[piece + 1] - firsts[piece]
    return parents, areas


@compiled
def _largest(firsts: Any, parents: Any, areas: Any, height: int) -> int:
    """The largest component; of equal ones that which OpenCV numbers first, 2x2 px by 2x2 px and row by row."""
    width = firsts[-1] // height
    places = np.full(len(areas), firsts[-1])
    for piece in range(len(areas)):
        column, row = divmod(firsts[piece], height)
        places[parents[piece]] = min(places[parents[piece]], row // 2 * width + column // 2)
    best = int(np.argmax(areas))
    for piece in range(len(areas)):
        if areas[piece] == areas[best] and places[piece] < places[best]:
            best = piece
    return best


@compiled
def _joined(firsts: Any, values: Any) -> Any:
    """Run lengths of pieces."""
    runs = np.zeros(len(values) + 1, np.int64)
    run = 0
    for piece in range(len(values)):
        if values[piece] != (run % 2 == 1):
            run += 1
        runs[run] += firsts[piece + 1] - firsts[piece]
    return runs[: run + 1]


@compiled
def _clean(runs: Any, height: int, min_area: int) -> tuple[Any, int, int, bool]:
    firsts, values = _pieces(runs, height)
    parents, areas = _components(firsts, values, False, height)
    filled, removed = 0, 0
    for piece in range(len(values)):
        if not values[piece] and areas[parents[piece]] < min_area:
            values[piece] = True
            filled += firsts[piece + 1] - firsts[piece]
    parents, areas = _components(firsts, values, True, height)
    small = values.any() and areas.max() < min_area
    largest = _largest(firsts, parents, areas, height) if small else -1
    for piece in range(len(values)):
        if values[piece] and areas[parents[piece]] < min_area and parents[piece] != largest:
            values[piece] = False
            removed += firsts[piece + 1] - firsts[piece]
    return _joined(firsts, values), filled, removed, small
