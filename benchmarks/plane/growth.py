"""How figures grow with the number of shards."""

import itertools
import math
from collections.abc import Mapping

FASTER_THAN_LINEAR = 1.15


def exponents(seconds: Mapping[int, float]) -> dict[tuple[int, int], float]:
    """Log-log slopes between neighbouring sizes: 1 is linear, 0 is constant.

    Args:
        seconds: By size.
    """
    sizes = sorted(seconds)
    return {
        (small, large): math.log(seconds[large] / seconds[small]) / math.log(large / small)
        for small, large in itertools.pairwise(sizes)
        if seconds[small] > 0 and seconds[large] > 0
    }


def last_exponent(seconds: Mapping[int, float]) -> float | None:
    """The slope between the two largest sizes, where constant costs hide the least; None for one size."""
    found = exponents(seconds)
    return found[max(found)] if found else None
