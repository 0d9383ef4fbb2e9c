"""Confidence intervals of shares over groups."""

import math

import numpy as np
import pytest
import scipy.stats

from sa_pipeline.quality.bootstrap import share_interval

GIVEN = {"seed": 0, "resamples": 5000, "confidence": 0.95}


def test_the_interval_is_that_of_scipys_bootstrap_over_groups() -> None:
    random = np.random.default_rng(1)
    totals = random.integers(5, 60, 80)
    hits = random.binomial(totals, random.beta(9, 1, 80))
    found = share_interval(hits, totals, **GIVEN)
    peer = scipy.stats.bootstrap(
        (hits, totals),
        lambda h, t, axis: h.sum(axis=axis) / t.sum(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=5000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert found.value == hits.sum() / totals.sum()
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high), abs=0.004)
    assert share_interval(hits, totals, **GIVEN) == found


def test_groups_count_whole_so_that_like_masks_of_an_image_do_not_narrow_it() -> None:
    hits, totals = np.array([40, 0, 40, 40, 0, 40]), np.full(6, 40)
    whole = share_interval(hits, totals, **GIVEN)
    single = share_interval(hits // 40, totals // 40, **GIVEN)
    assert (whole.low, whole.high) == (single.low, single.high)
    assert whole.high - whole.low > 0.5


def test_too_little_to_tell_from_gives_no_interval() -> None:
    one = share_interval(np.array([3]), np.array([4]), **GIVEN)
    assert one.value == 0.75
    assert math.isnan(one.low)
    assert math.isnan(share_interval(np.zeros(0, int), np.zeros(0, int), **GIVEN).value)
