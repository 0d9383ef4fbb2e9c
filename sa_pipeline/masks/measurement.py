"""Full-size masks measured from low-resolution logits, without ever being there in full.

A mask's box, area, stability and run lengths are found tile by tile. A bilinear value lies between the logits around
it, so that a tile whose logits are all above or all below the thresholds needs no evaluation; only the tiles that a
border runs through do, and those in float32, rounded exactly as torch rounds on a CPU.
"""

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sa_pipeline.masks.enlargement import AxisTables, Enlargement
from sa_pipeline.masks.tile_kernels import enlarge_mask, measure_batch

MASKS_AT_ONCE = 8
"""Masks that a thread takes at a time."""


@dataclass(frozen=True)
class Rounding:
    """How each of the two enlargements adds four weighted values up, which decides about the last bit.

    Attributes:
        to_input: Whether the first interpolates along lines and then between them; else it adds all four in a row.
        to_image: The same of the second.
    """

    to_input: bool = True
    to_image: bool = True


@dataclass(frozen=True)
class Placement:
    """Where the crop whose masks are measured lies: its left and upper px and the height of the full image."""

    x: int
    y: int
    image_height: int


@dataclass(frozen=True)
class Measurements:
    """What is known of N masks.

    Attributes:
        boxes: (N, 4) int64 XYXY, px of the crop, both ends inclusive; zeros for an empty mask.
        areas: (N,) int64, px above the threshold.
        areas_raised: (N,) int64, px above the raised threshold.
        areas_lowered: (N,) int64, px above the lowered threshold.
        transitions: For each mask (T,) int64: the positions on the full image, counted column by column, at which
            foreground begins and ends by turns; what `transitions_to_runs` takes.
    """

    boxes: npt.NDArray[np.int64]
    areas: npt.NDArray[np.int64]
    areas_raised: npt.NDArray[np.int64]
    areas_lowered: npt.NDArray[np.int64]
    transitions: list[npt.NDArray[np.int64]]


def measure_masks(
    logits: npt.NDArray[np.float32],
    enlargement: Enlargement,
    placement: Placement,
    *,
    threshold: float,
    offset: float,
    rounding: Rounding,
    threads: int = 1,
) -> Measurements:
    """Measures the masks that low-resolution logits make at full size (paper §4, "stable masks").

    Args:
        logits: (N, h, w) float32.
        enlargement: Sizes on the way to full size.
        placement: Where the crop lies on the full image, for the run lengths.
        threshold: Logits above are foreground.
        offset: Shift of the threshold, both ways, for the stability score.
        rounding: Which of torch's two ways either enlargement takes.
        threads: Masks are independent of each other and are spread over so many threads.
    """
    thresholds = np.array([threshold, threshold + offset, threshold - offset], np.float32)
    where = np.array([placement.x, placement.y, placement.image_height], np.int64)
    rows, columns = _flat(enlargement.rows), _flat(enlargement.columns)
    lines_first = np.array([rounding.to_input, rounding.to_image])
    word_bytes = -(-int(np.diff(enlargement.columns.edges).max()) // 8) * 8

    def measure(start: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        part = np.ascontiguousarray(logits[start : start + MASKS_AT_ONCE])
        bits = np.zeros((2, word_bytes), np.uint8)
        return measure_batch(part, rows, columns, lines_first, thresholds, where, bits, bits.view(np.uint64))

    starts = range(0, len(logits), MASKS_AT_ONCE)
    if threads == 1 or len(starts) <= 1:
        parts = [measure(start) for start in starts]
    else:
        parts = list(_pool(threads, os.getpid()).map(measure, starts))
    numbers = np.concatenate([part[0] for part in parts]) if parts else np.zeros((0, 8), np.int64)
    transitions = [piece for part in parts for piece in np.split(part[1], np.cumsum(part[0][:-1, 7]))]
    return Measurements(numbers[:, :4], numbers[:, 4], numbers[:, 5], numbers[:, 6], transitions)


def enlarge(logits: npt.NDArray[np.float32], enlargement: Enlargement, rounding: Rounding) -> npt.NDArray[np.float32]:
    """Every value that `measure_masks` would compare: (h, w) float32 logits -> (H, W) float32."""
    lines_first = np.array([rounding.to_input, rounding.to_image])
    return enlarge_mask(np.ascontiguousarray(logits), _flat(enlargement.rows), _flat(enlargement.columns), lines_first)


def transitions_to_runs(transitions: npt.NDArray[np.int64], pixels: int) -> npt.NDArray[np.int64]:
    """Run lengths, background first, of a mask on an image of so many pixels.

    Example:
        >>> transitions_to_runs(np.array([1, 4]), 6).tolist()
        [1, 3, 2]
    """
    if len(transitions) and transitions[-1] == pixels:
        return np.diff(transitions, prepend=0)
    return np.diff(transitions, prepend=0, append=pixels)


_FlatTables = tuple[npt.NDArray[Any], ...]


def _flat(axis: AxisTables) -> _FlatTables:
    first, second = axis.to_input, axis.to_image
    return (first.lower, first.upper, first.weights, second.lower, second.upper, second.weights, axis.edges)


@functools.lru_cache(maxsize=4)
def _pool(threads: int, _process: int) -> ThreadPoolExecutor:
    # By process, since threads do not survive a fork.
    return ThreadPoolExecutor(threads, thread_name_prefix="measure_masks")
