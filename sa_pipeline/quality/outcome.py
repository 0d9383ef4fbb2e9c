"""What a check of a shard found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CheckOutcome:
    """Result of one check.

    Attributes:
        passed: Whether all is well.
        summary: One sentence with the numbers that decided.
        severity: What a failure means: an error spoils what is made from the file, a warning asks for a look.
        values: The numbers, by name.
    """

    passed: bool
    summary: str
    severity: Literal["error", "warning"] = "error"
    values: tuple[tuple[str, float], ...] = ()
