"""What is known of runs, shards, the queue, the daemons and the disk, as Prometheus reads it."""

import contextlib
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sa_pipeline.artifacts import AssetName
from sa_pipeline.dataset import Dataset
from sa_pipeline.metrics_server import Readiness, serving_metrics
from sa_pipeline.monitoring.watching import Seen, Watcher
from sa_pipeline.run_history import CATALOG

_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def exporting(dataset: Dataset, instance: dg.DagsterInstance, host: str, port: int) -> Iterator[int]:
    """Watches a dataset and serves what is seen until the block ends.

    Args:
        dataset: Whose shards are watched.
        instance: Its Dagster instance, open.
        host: Address to listen on.
        port: Port to listen on; 0 has the system choose one.

    Yields:
        The port.

    Raises:
        SettingsError: The port is taken or the address is none of this machine.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    watcher = Watcher(dataset.home, instance, registry)
    registry.register(RunCollector(dataset, instance, watcher))
    readiness = Readiness(lambda: watcher.seen.checks)
    with serving_metrics(registry, readiness, host, port) as served:
        watcher.start()
        try:
            yield served
        finally:
            watcher.stop()


class RunCollector(Collector):
    """Tells what the watcher saw, and what costs next to nothing to ask when it is asked for."""

    def __init__(self, dataset: Dataset, instance: dg.DagsterInstance, watcher: Watcher) -> None:
        self._dataset = dataset
        self._instance = instance
        self._watcher = watcher

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering it asks nothing."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All families."""
        seen = self._watcher.seen
        yield from _shards(seen)
        yield from _runs(seen)
        yield from self._daemons()
        yield from self._disks()

    def _daemons(self) -> Iterator[Metric]:
        healthy = GaugeMetricFamily(
            "sa_pipeline_daemon_healthy", "1 where a daemon of Dagster's gives signs of life.", labels=["daemon"]
        )
        beat = GaugeMetricFamily(
            "sa_pipeline_daemon_heartbeat_timestamp_seconds",
            "When a daemon gave the last one, in seconds since 1970.",
            labels=["daemon"],
        )
        try:
            statuses = self._instance.get_daemon_statuses()
        except Exception as error:  # Dagster's storages raise what they like; the rest is told all the same
            _LOG.error("daemons cannot be asked for: %s", error)
            return
        for daemon, status in statuses.items():
            healthy.add_metric([daemon], bool(status.healthy))
            if status.last_heartbeat is not None:
                beat.add_metric([daemon], status.last_heartbeat.timestamp)
        yield healthy
        yield beat

    def _disks(self) -> Iterator[Metric]:
        free = GaugeMetricFamily("sa_pipeline_disk_free_bytes", "Bytes left on the disk of a folder.", labels=["place"])
        size = GaugeMetricFamily("sa_pipeline_disk_size_bytes", "Bytes of that disk.", labels=["place"])
        places = {"home": self._dataset.home}
        if self._dataset.storage.is_local:
            places["storage"] = Path(self._dataset.storage.url_of(""))
        for place, folder in places.items():
            with contextlib.suppress(OSError):
                usage = shutil.disk_usage(folder)
                free.add_metric([place], usage.free)
                size.add_metric([place], usage.total)
        yield free
        yield size


def _shards(seen: Seen) -> Iterator[Metric]:
    shards = GaugeMetricFamily(
        "sa_pipeline_shards",
        "Shards by state: complete; or failed (its last run), stale, missing; unknown: not looked at yet.",
        labels=["state"],
    )
    for state, count in seen.shards.items():
        shards.add_metric([state.value], count)
    yield shards
    yield GaugeMetricFamily("sa_pipeline_exported_images", "Images in the shards' exports.", seen.images)
    yield GaugeMetricFamily("sa_pipeline_exported_masks", "Masks in the shards' exports.", seen.masks)
    yield _moment(
        "sa_pipeline_shard_exported", "When a shard was exported last", seen.made_at.get(AssetName.SA1B_EXPORT.value)
    )
    yield _moment(
        "sa_pipeline_catalog_built", "When the catalogue was built last", seen.made_at.get(CATALOG.to_user_string())
    )
    yield _moment(
        "sa_pipeline_watched", "When runs and shards were looked at last without an error", seen.complete_at or None
    )


def _runs(seen: Seen) -> Iterator[Metric]:
    runs = GaugeMetricFamily("sa_pipeline_runs", "Runs that Dagster knows.", labels=["dagster_job", "status"])
    for (job, status), count in sorted(seen.runs.items()):
        runs.add_metric([job, status], count)
    yield runs
    yield GaugeMetricFamily("sa_pipeline_queued_runs", "Runs that wait in Dagster's queue.", seen.queued)
    waited = max(0.0, time.time() - seen.queued_since.timestamp()) if seen.queued_since else 0.0
    yield GaugeMetricFamily("sa_pipeline_queue_oldest_seconds", "How long the oldest of them has waited.", waited)


def _moment(name: str, description: str, seconds: float | None) -> Metric:
    """A time since 1970; without a sample where there was none, so that no alert takes it for long ago."""
    family = GaugeMetricFamily(f"{name}_timestamp_seconds", f"{description}, in seconds since 1970.")
    if seconds is not None:
        family.add_metric([], seconds)
    return family
