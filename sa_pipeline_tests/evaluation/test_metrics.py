"""The numbers on cases that can be reckoned by hand."""

import math

import numpy as np
import pytest

from sa_pipeline.evaluation.metrics import average_best_overlap, average_recall, calibrate, recall, reliability


@pytest.mark.parametrize(
    ("best", "overlap", "average", "at_half"),
    [
        ([1.0, 1.0], 1.0, 1.0, 1.0),
        ([0.0], 0.0, 0.0, 0.0),
        ([0.5], 0.5, 0.1, 1.0),  # only the threshold 0.50 is reached
        ([0.72, 0.2], 0.46, 0.25, 0.5),  # five of ten thresholds by one of two segments
        ([0.49999], 0.49999, 0.0, 0.0),
    ],
)
def test_proposals(best, overlap, average, at_half) -> None:
    ious = np.array(best)
    assert average_best_overlap(ious) == pytest.approx(overlap)
    assert average_recall(ious) == pytest.approx(average)
    assert recall(ious, 0.5) == pytest.approx(at_half)


def test_no_segments_give_no_number() -> None:
    assert math.isnan(average_best_overlap(np.zeros(0)))
    assert math.isnan(average_recall(np.zeros(0)))


def test_calibration_tells_order_from_proportion() -> None:
    real = np.array([0.1, 0.2, 0.3, 0.9])
    perfect = calibrate(real, real)
    assert (perfect.pearson, perfect.spearman) == (pytest.approx(1.0), pytest.approx(1.0))
    monotonous = calibrate(real**4, real)
    assert monotonous.spearman == pytest.approx(1.0)
    assert monotonous.pearson < 0.99
    assert calibrate(-real, real).pearson == pytest.approx(-1.0)
    assert math.isnan(calibrate(np.full(4, 0.5), real).pearson)
    assert (perfect.count, perfect.mean_real) == (4, pytest.approx(0.375))


def test_reliability_groups_by_predicted_iou() -> None:
    bars = reliability(np.array([0.05, 0.55, 0.58, 1.02, -0.1]), np.array([0.2, 0.4, 0.6, 1.0, 0.0]))
    assert [(bar.low, bar.high, bar.count) for bar in bars] == [(0.0, 0.1, 2), (0.5, 0.6, 2), (0.9, 1.0, 1)]
    assert [bar.mean_real for bar in bars] == [pytest.approx(0.1), pytest.approx(0.5), pytest.approx(1.0)]
