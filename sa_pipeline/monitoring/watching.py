"""Keeps the books of runs and shards up to date on a thread of its own, so that a scrape only has to read them."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import dagster as dg
from prometheus_client import CollectorRegistry, Histogram

from sa_pipeline.artifacts import AssetName
from sa_pipeline.dataset import open_dataset
from sa_pipeline.errors import SaPipelineError
from sa_pipeline.metrics_server import Checks
from sa_pipeline.monitoring.runs import EventBook, RunBook
from sa_pipeline.monitoring.shards import ShardBook, ShardState
from sa_pipeline.promotion import ref_in_use

LOOK_SECONDS = 10.0
"""Between two looks at what is new."""

_BUSY_SECONDS = 2.0
_REST_SECONDS = 0.2
_ASSET_SECONDS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600)
_SHARD_ASSETS = {asset.value for asset in AssetName}

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """What was seen at a look.

    Attributes:
        checks: What could not be read.
        complete_at: When all could be read last, in seconds since 1970; 0: never.
        shards: Number in each state.
        images: In the exports.
        masks: In the exports.
        runs: Number by job and status.
        queued: Runs that wait in the queue.
        queued_since: When the oldest of them was made.
        made_at: When a file of each asset was made last, in seconds since 1970.
    """

    checks: Checks = field(default_factory=lambda: dict.fromkeys(("dagster", "dataset"), "Not looked at yet."))
    complete_at: float = 0.0
    shards: Mapping[ShardState, int] = field(default_factory=dict)
    images: int = 0
    masks: int = 0
    runs: Mapping[tuple[str, str], int] = field(default_factory=dict)
    queued: int = 0
    queued_since: datetime | None = None
    made_at: Mapping[str, float] = field(default_factory=dict)


class Watcher:
    """Looks at Dagster's instance and the dataset's files again and again.

    Attributes:
        seen: What was seen last; replaced, never changed.
    """

    def __init__(self, home: Path, instance: dg.DagsterInstance, registry: CollectorRegistry) -> None:
        """Takes a dataset's home and its open instance; how long assets take goes to the registry."""
        self.seen = Seen()
        self._home = home
        self._runs = RunBook(instance)
        self._events = EventBook(instance)
        self._shards = ShardBook()
        self._changed: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="watcher", daemon=True)
        self._seconds = Histogram(
            "sa_pipeline_asset_seconds",
            "Seconds that making an asset's file took, of what was made since the exporter started.",
            ("asset",),
            buckets=_ASSET_SECONDS,
            registry=registry,
        )

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ends; what is being read is read first."""
        self._stop.set()
        self._thread.join()

    def look(self) -> bool:
        """Looks once, at some of the shards if many have to be looked at.

        Returns:
            Whether shards are left to be looked at.
        """
        checks: dict[str, str | None] = {"dagster": None, "dataset": None}
        try:
            self._read_dagster()
        except Exception as error:  # Dagster's storages raise what they like
            checks["dagster"] = f"{type(error).__name__}: {error}"
        try:
            self._read_dataset()
        except SaPipelineError as error:
            checks["dataset"] = str(error)
        for name, problem in checks.items():
            if problem and problem != self.seen.checks[name]:
                _LOG.error("%s cannot be watched: %s", name, problem)
        images, masks = self._shards.exported()
        queued = self._runs.queued_since()
        self.seen = Seen(
            checks=checks,
            complete_at=self.seen.complete_at if any(checks.values()) else time.time(),
            shards=self._shards.count(self._runs.failed_shards()),
            images=images,
            masks=masks,
            runs=self._runs.count(),
            queued=len(queued),
            queued_since=queued[0] if queued else None,
            made_at=dict(self._events.last_at),
        )
        return self._shards.waiting > 0

    def _read_dagster(self) -> None:
        self._runs.refresh()
        for made in self._events.new():
            if made.seconds is not None:
                self._seconds.labels(made.asset).observe(made.seconds)
            if made.asset in _SHARD_ASSETS and made.partition is not None:
                self._changed.add(made.partition)

    def _read_dataset(self) -> None:
        dataset = open_dataset(self._home)
        checkpoint = ref_in_use(dataset)
        self._shards.notice(dataset, checkpoint, self._changed)
        self._changed.clear()
        self._shards.look(dataset, checkpoint, _BUSY_SECONDS)

    def _go_on(self) -> None:
        while not self._stop.is_set():
            left = self.look() and not any(self.seen.checks.values())
            self._stop.wait(_REST_SECONDS if left else LOOK_SECONDS)
