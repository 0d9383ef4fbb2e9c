"""Dagster's runs by job and status, and what its event log says was made; only what is new is read."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import dagster as dg

from sa_pipeline.artifacts import AssetName, RoundAssetName
from sa_pipeline.run_history import CATALOG, PARTITION_TAG

PAGE = 1000

SLACK = timedelta(minutes=5)
"""Runs that changed so long before the last one are read again: clocks of workers differ."""

ASSET_KEYS = [*(dg.AssetKey(asset.value) for asset in (*AssetName, *RoundAssetName)), CATALOG]


class _Run(NamedTuple):
    job: str
    status: dg.DagsterRunStatus
    shard: str | None
    created: datetime


class RunBook:
    """All runs of an instance as they were last seen."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._runs: dict[str, _Run] = {}
        self._newest: datetime | None = None

    def refresh(self) -> None:
        """Reads the runs that changed; all of them at first, and when some were deleted."""
        if self._newest is not None:
            self._read(dg.RunsFilter(updated_after=self._newest - SLACK))
        if self._newest is None or len(self._runs) != self._instance.get_runs_count():
            self._runs = {}
            self._read(dg.RunsFilter())

    def count(self) -> Mapping[tuple[str, str], int]:
        """Number of runs by job and status."""
        return Counter((run.job, run.status.value) for run in self._runs.values())

    def queued_since(self) -> list[datetime]:
        """When each run that waits in the queue was made, the oldest first."""
        return sorted(run.created for run in self._runs.values() if run.status is dg.DagsterRunStatus.QUEUED)

    def failed_shards(self) -> set[str]:
        """Shards whose last run failed."""
        last: dict[str, _Run] = {}
        for run in self._runs.values():
            if run.shard is not None and (run.shard not in last or last[run.shard].created < run.created):
                last[run.shard] = run
        return {shard for shard, run in last.items() if run.status is dg.DagsterRunStatus.FAILURE}

    def _read(self, wanted: dg.RunsFilter) -> None:
        cursor: str | None = None
        while records := self._instance.get_run_records(wanted, limit=PAGE, cursor=cursor):
            for record in records:
                run = record.dagster_run
                partition = run.tags.get(PARTITION_TAG, "")
                shard = partition if partition.isdigit() else None
                self._runs[run.run_id] = _Run(run.job_name, run.status, shard, _utc(record.create_timestamp))
                updated = _utc(record.update_timestamp)
                self._newest = max(self._newest, updated) if self._newest else updated
            cursor = records[-1].dagster_run.run_id


class Made(NamedTuple):
    """A materialization; `seconds` is None where nothing had to be made."""

    asset: str
    partition: str | None
    seconds: float | None


class EventBook:
    """The event log, from where it was when this was made."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._seen: dict[dg.AssetKey, int] = {key: record[0] for key, record in self._last().items()}
        self.last_at: dict[str, float] = {}

    def new(self) -> Iterator[Made]:
        """What was made since the last call."""
        for key, (storage_id, timestamp) in self._last().items():
            self.last_at[key.to_user_string()] = timestamp
            if storage_id != self._seen.get(key):
                yield from self._since(key, self._seen.get(key, 0))

    def _last(self) -> dict[dg.AssetKey, tuple[int, float]]:
        """Number and time of each asset's last materialization."""
        found = {}
        for record in self._instance.get_asset_records(ASSET_KEYS):
            last = record.asset_entry.last_materialization_record
            if last is not None:
                found[record.asset_entry.asset_key] = (last.storage_id, last.timestamp)
        return found

    def _since(self, key: dg.AssetKey, position: int) -> Iterator[Made]:
        wanted = dg.AssetRecordsFilter(key, after_storage_id=position)
        cursor: str | None = None
        while True:
            page = self._instance.fetch_materializations(wanted, limit=PAGE, cursor=cursor, ascending=True)
            for record in page.records:
                self._seen[key] = record.storage_id
                made = record.asset_materialization
                if made is not None:
                    yield Made(key.to_user_string(), made.partition, _seconds(made))
            if not page.has_more:
                return
            cursor = page.cursor


def _seconds(made: dg.AssetMaterialization) -> float | None:
    reused = made.metadata.get("reused")
    value = made.metadata.get("seconds")
    if value is None or (reused is not None and reused.value):
        return None
    return float(str(value.value))


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
