"""Confidence intervals of shares whose items come in groups, such as masks on images."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_RESAMPLES_AT_ONCE = 500

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A figure with its confidence interval; NaN where there is too little to tell it from."""

    value: float
    low: float
    high: float


def share_interval(hits: Counts, totals: Counts, *, seed: int, resamples: int, confidence: float) -> Interval:
    """The share of items that are hits, with the percentile bootstrap's interval over groups.

    Masks of one image resemble each other, so that whole images are drawn again, not single masks (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, §13.3). Where every group has the same share, or there is one
    group only, resampling tells nothing: the interval is then as narrow as the point, or NaN.

    Args:
        hits: (G,) hits of each group.
        totals: (G,) items of each group.
        seed: Of the chance; the same gives the same interval.
        resamples: How often the groups are drawn again.
        confidence: Of the interval, such as 0.95.
    """
    if not totals.sum():
        return Interval(*[float("nan")] * 3)
    value = float(hits.sum() / totals.sum())
    groups = len(totals)
    if groups < 2:
        return Interval(value, float("nan"), float("nan"))
    random = np.random.default_rng(seed)
    shares = []
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        rows = min(_RESAMPLES_AT_ONCE, resamples - start)
        times = random.multinomial(groups, np.full(groups, 1 / groups), size=rows)
        drawn = times @ totals
        shares.append((times @ hits)[drawn > 0] / drawn[drawn > 0])
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(shares), [tail, 1 - tail])
    return Interval(value, float(low), float(high))
