"""Distributions add up, and their distance is that of the definition."""

import numpy as np
import pytest
from scipy import stats

from sa_pipeline.quality.distribution import BIN_WIDTH, QUANTILES, ScoreDistribution


def normal_scores(mean: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 0.05, 4000).astype(np.float32)


def test_quantiles_are_numpys_to_within_a_bin() -> None:
    scores = normal_scores(0.8)
    found = ScoreDistribution.of(scores).quantiles()
    assert found == pytest.approx(np.quantile(scores, QUANTILES), abs=BIN_WIDTH)


def test_the_sum_of_parts_is_the_distribution_of_the_whole() -> None:
    scores = normal_scores(0.7)
    parts = [ScoreDistribution.of(part) for part in np.array_split(scores, 3)]
    assert ScoreDistribution.sum_of(parts) == ScoreDistribution.of(scores)


def test_the_distance_is_scipys_statistic_of_the_binned_scores() -> None:
    first, second = normal_scores(0.8), normal_scores(0.77, seed=1)
    expected = stats.ks_2samp(np.floor(first / BIN_WIDTH), np.floor(second / BIN_WIDTH)).statistic
    assert ScoreDistribution.of(first).distance_to(ScoreDistribution.of(second)) == pytest.approx(expected, abs=0.003)


def test_scores_that_are_no_scores_are_left_out() -> None:
    assert ScoreDistribution.of(np.array([np.nan, np.inf, -1.0, 9.0, 0.5], np.float32)).total == 1
