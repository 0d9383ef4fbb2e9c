"""Distributions of scores: a histogram that can be added up, its quantiles, and how far two of them lie apart."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

BINS = 150
BIN_WIDTH = 0.01
"""Bins of a hundredth from 0 to 1.5: stability lies in [0, 1], and predicted IoU, a regression, a little over 1."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class ScoreDistribution(BaseModel):
    """How many scores fall into each bin; two shards' distributions are added by adding their counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    counts: tuple[int, ...] = Field(min_length=BINS, max_length=BINS)

    @classmethod
    def of(cls, scores: npt.NDArray[np.float32]) -> "ScoreDistribution":
        """Counts scores.

        Args:
            scores: (N,) float32. Those that are not finite or outside the bins are left out.
        """
        counts, _ = np.histogram(scores[np.isfinite(scores)].astype(np.float64), bin_edges())
        return cls(counts=tuple(counts.tolist()))

    @classmethod
    def sum_of(cls, parts: Iterable["ScoreDistribution"]) -> "ScoreDistribution":
        """The distribution of all scores of the parts together."""
        counts = np.sum([part.counts for part in parts], axis=0)
        return cls(counts=tuple(counts.tolist()))

    @property
    def total(self) -> int:
        """Number of scores."""
        return sum(self.counts)

    def quantiles(self) -> tuple[float, ...]:
        """The score below which each share of `QUANTILES` lies, to within a bin; zeros where there are no scores."""
        cumulative = self._cumulative()
        below = np.concatenate([[0.0], cumulative])
        # Within a bin, scores are taken to be spread evenly; the tiny slope keeps empty bins from being ties.
        rising = below + np.arange(BINS + 1) * 1e-12
        return tuple(np.interp(QUANTILES, rising, bin_edges()).round(4).tolist()) if self.total else (0.0,) * 5

    def distance_to(self, other: "ScoreDistribution") -> float:
        """Kolmogorov-Smirnov statistic of the binned scores, in [0, 1].

        The largest difference, over all scores s, between the shares of scores below s. It needs no assumption on the
        shape of the distributions, does not grow with the number of scores, and has the same meaning whatever range
        the floors of the settings leave (N. Smirnov, "Table for estimating the goodness of fit of empirical
        distributions", Annals of Mathematical Statistics 19, 1948).
        """
        return float(np.abs(self._cumulative() - other._cumulative()).max())

    def _cumulative(self) -> npt.NDArray[np.float64]:
        return np.asarray(np.cumsum(self.counts) / max(self.total, 1), np.float64)


def bin_edges() -> npt.NDArray[np.float64]:
    """(BINS + 1,) float64, the scores at which bins begin and end."""
    return np.arange(BINS + 1, dtype=np.float64) * BIN_WIDTH
