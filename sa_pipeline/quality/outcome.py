"""What a check of a shard found."""

from dataclasses import dataclass
from typing import Literal

from sa_pipeline.quality.distribution import ScoreDistribution


@dataclass(frozen=True)
class Comparison:
    """A shard's scores beside those of the reference, if there is one to compare with."""

    title: str
    shard: ScoreDistribution
    reference: ScoreDistribution | None

    @property
    def distance(self) -> float:
        """As `ScoreDistribution.distance_to`; 0 without a reference."""
        return self.shard.distance_to(self.reference) if self.reference else 0.0


@dataclass(frozen=True)
class CheckOutcome:
    """Result of one check.

    Attributes:
        passed: Whether all is well.
        summary: One sentence with the numbers that decided.
        severity: What a failure means: an error spoils what is made from the file, a warning asks for a look.
        values: The numbers and what else is shown, by name.
        comparisons: Distributions that were looked at.
    """

    passed: bool
    summary: str
    severity: Literal["error", "warning"] = "error"
    values: tuple[tuple[str, float | str], ...] = ()
    comparisons: tuple[Comparison, ...] = ()
