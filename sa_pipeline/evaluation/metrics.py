"""The numbers of an evaluation, each from plain arrays."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

RECALL_THRESHOLDS = np.arange(50, 100, 5) / 100
"""0.50, 0.55 ... 0.95, as COCO's average recall has them."""

RELIABILITY_BINS = 10


def average_best_overlap(best_ious: Floats) -> float:
    """Mean over N segments (N,) of the IoU with the proposal that covers each best; NaN without segments."""
    return float(np.mean(best_ious)) if len(best_ious) else float("nan")


def recall(best_ious: Floats, threshold: float) -> float:
    """Share of N segments (N,) whose best proposal has an IoU of at least `threshold`; NaN without segments."""
    return float(np.mean(best_ious >= threshold)) if len(best_ious) else float("nan")


def average_recall(best_ious: Floats) -> float:
    """Mean recall over the IoU thresholds 0.50 to 0.95 in steps of 0.05. One proposal may find several segments."""
    return float(np.mean([recall(best_ious, threshold) for threshold in RECALL_THRESHOLDS]))


@dataclass(frozen=True)
class Calibration:
    """How predicted IoU goes with the real IoU over `count` masks; correlations are NaN where one does not vary."""

    count: int
    pearson: float
    spearman: float
    mean_predicted: float
    mean_real: float


def calibrate(predicted: Floats, real: Floats) -> Calibration:
    """Compares predicted with real IoU of N masks, (N,) each."""
    from scipy import stats

    if len(predicted) < 2 or np.ptp(predicted) == 0 or np.ptp(real) == 0:
        pearson = spearman = float("nan")
    else:
        pearson = float(stats.pearsonr(predicted, real).statistic)
        spearman = float(stats.spearmanr(predicted, real).statistic)
    mean_predicted, mean_real = average_best_overlap(predicted), average_best_overlap(real)
    return Calibration(len(predicted), pearson, spearman, mean_predicted, mean_real)


@dataclass(frozen=True)
class Reliability:
    """One bar of a reliability plot: masks whose predicted IoU lies in [low, high), the last bar's high included."""

    low: float
    high: float
    count: int
    mean_predicted: float
    mean_real: float


def reliability(predicted: Floats, real: Floats) -> list[Reliability]:
    """Mean real IoU by bin of predicted IoU, for N masks (N,); bins without masks are left out.

    Predictions below 0 or above 1, which the model's head can give, are counted in the first and the last bin.
    """
    bins = np.clip((predicted * RELIABILITY_BINS).astype(np.int64), 0, RELIABILITY_BINS - 1)
    bars = []
    for index in np.unique(bins):
        within = bins == index
        low, high = index / RELIABILITY_BINS, (index + 1) / RELIABILITY_BINS
        means = float(predicted[within].mean()), float(real[within].mean())
        bars.append(Reliability(float(low), float(high), int(within.sum()), *means))
    return bars
