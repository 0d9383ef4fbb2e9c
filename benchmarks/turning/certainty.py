"""How sure the measured IoU of a step is: the bootstrap over the photographs, whose segments hang together."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

BEST = "best of three"
_RESAMPLES = 2000
_LEVEL = 95
_SEED = 0

PerImage = list[list[float]]
"""IoU of each segment of each photograph."""


def certainty_table(folder: Path, steps: Sequence[str]) -> str:
    """IoU at one click and of the best of its three masks, and their changes since the step before, in Markdown.

    Args:
        folder: Of a turn.
        steps: Those that were measured, in their order.
    """
    titles = ["step"]
    for what in ("one click", "best of three"):
        titles += [what, f"{_LEVEL} %", "change", f"{_LEVEL} %"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    before: dict[str, PerImage] = {}
    for step in steps:
        row = [step]
        for key in ("1", BEST):
            ious = _read(folder / "validation" / f"{step}.jsonl", key)
            row += [f"{mean(ious):.3f}", _text(interval(ious), "")]
            if key in before:
                change = mean(ious) - mean(before[key])
                row += [f"{change:+.3f}", _text(interval(ious, before[key]), "+")]
            else:
                row += ["", ""]
            before[key] = ious
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def mean(ious: PerImage) -> float:
    """Over all segments."""
    return float(np.mean([iou for of_image in ious for iou in of_image]))


def interval(ious: PerImage, before: PerImage | None = None) -> tuple[float, float]:
    """Bounds of the mean over segments, or of its difference to another one of the same segments.

    Photographs are drawn with replacement, since the segments of one are alike.
    """
    sums = np.array([sum(of_image) for of_image in ious])
    if before is not None:
        sums = sums - np.array([sum(of_image) for of_image in before])
    counts = np.array([len(of_image) for of_image in ious])
    drawn = np.random.default_rng(_SEED).integers(len(sums), size=(_RESAMPLES, len(sums)))
    means: npt.NDArray[np.float64] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [(100 - _LEVEL) / 2, (100 + _LEVEL) / 2])
    return float(low), float(high)


def _read(path: Path, key: str) -> PerImage:
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return [of_image for line in lines if (of_image := json.loads(line)[key])]


def _text(bounds: tuple[float, float], sign: str) -> str:
    return " to ".join(f"{bound:{sign}.3f}" for bound in bounds)
