"""How often somebody may ask: buckets that fill steadily, from which each request takes one."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

MAX_KEYS = 10_000
"""Buckets kept; the one that was used longest ago is forgotten first."""


class RateLimit:
    """At most `per_second` in the long run, and `burst` at once, for each key; may be used from several threads."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def seconds_to_wait(self, key: Hashable) -> float:
        """How long until there is room; 0 when there is."""
        with self._lock:
            level, _ = self._level(key)
        return 0.0 if level >= 1 else (1 - level) / self._per_second

    def take(self, key: Hashable) -> None:
        """Counts one; below nothing it does not fall."""
        with self._lock:
            level, now = self._level(key)
            self._levels[key] = (max(level - 1, 0.0), now)
            self._levels.move_to_end(key)
            if len(self._levels) > MAX_KEYS:
                self._levels.popitem(last=False)

    def _level(self, key: Hashable) -> tuple[float, float]:
        now = self._clock()
        level, since = self._levels.get(key, (self._burst, now))
        return min(self._burst, level + (now - since) * self._per_second), now
