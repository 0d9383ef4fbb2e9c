"""What Dagster knows of runs: which are unfinished, a table for the catalogue, and whether it knows the latest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa

from sa_pipeline.artifacts import AssetName, RoundAssetName

CATALOG = dg.AssetKey("catalog")
AS_OF = "as_of_event"
SHARD_RUNS_IN_PROGRESS = "shard_runs_in_progress"
"""Metadata of the catalogue, by which `last_catalog` tells what it knows."""

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

RUNS = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("job", pa.string(), nullable=False),
        pa.field("shard", pa.string()),
        pa.field("round", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("started", pa.timestamp("us", "UTC")),
        pa.field("ended", pa.timestamp("us", "UTC")),
    ]
)
PARTITION_TAG = "dagster/partition"
MAX_RUNS = 100_000
"""The newest; older ones are left to Dagster's own storage."""


def read_run_history(instance: dg.DagsterInstance) -> pa.Table:
    """Reads the runs of an instance, the newest first.

    Returns:
        Table with the schema `RUNS`.
    """
    rows = [
        {
            "run_id": record.dagster_run.run_id,
            "job": record.dagster_run.job_name,
            **_partition(record.dagster_run),
            "status": record.dagster_run.status.value,
            "started": _time(record.start_time),
            "ended": _time(record.end_time),
        }
        for record in instance.get_run_records(limit=MAX_RUNS)
    ]
    return pa.Table.from_pylist(rows, schema=RUNS)


def count_shard_runs_in_progress(runs: pa.Table) -> int:
    """Number of runs of a table `RUNS` that are of a shard and unfinished."""
    unfinished = {status.value for status in UNFINISHED}
    return sum(
        shard is not None and status in unfinished
        for shard, status in zip(runs["shard"].to_pylist(), runs["status"].to_pylist(), strict=True)
    )


def count_unfinished(instance: dg.DagsterInstance, jobs: Sequence[str]) -> int:
    """Number of runs of these jobs that are queued or under way; counted, not read, so that it is cheap."""
    return sum(instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=UNFINISHED)) for job in jobs)


def shard_of(run: dg.DagsterRun) -> str | None:
    """The shard that a run makes; None for a run of anything else."""
    return _partition(run)["shard"]


def shards_in_progress(instance: dg.DagsterInstance) -> set[str]:
    """Shards of which a run is queued or under way."""
    unfinished = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return {shard for run in unfinished if (shard := shard_of(run)) is not None}


def worker_pid(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process that a run says it is executed in; None before it has said so."""
    for event in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        metadata = event.get_dagster_event().engine_event_data.metadata
        if "pid" in metadata:
            return int(str(metadata["pid"].value))
    return None


def newest_materialization(instance: dg.DagsterInstance) -> int:
    """Number of the event by which any shard or round was materialized last, whatever ran it; 0 for none."""
    keys = [dg.AssetKey(asset.value) for asset in (*AssetName, *RoundAssetName)]
    records = instance.get_asset_records(keys)
    last = (record.asset_entry.last_materialization_storage_id for record in records)
    return max((storage_id for storage_id in last if storage_id is not None), default=0)


@dataclass(frozen=True)
class LastCatalog:
    """The catalogue's latest materialization; the defaults stand for none.

    Attributes:
        storage_id: Number of its event.
        timestamp: When it was built, in seconds since the epoch.
        as_of: `newest_materialization` when the build began.
        shard_runs_in_progress: Runs of shards that were unfinished at the time.
    """

    storage_id: int = 0
    timestamp: float = 0.0
    as_of: int = 0
    shard_runs_in_progress: int = 0


def last_catalog(instance: dg.DagsterInstance) -> LastCatalog:
    """What the catalogue's latest materialization says of itself."""
    records = instance.get_asset_records([CATALOG])
    event = records[0].asset_entry.last_materialization_record if records else None
    if event is None or event.asset_materialization is None:
        return LastCatalog()
    metadata = event.asset_materialization.metadata
    as_of, in_progress = (metadata[name].value if name in metadata else 0 for name in (AS_OF, SHARD_RUNS_IN_PROGRESS))
    return LastCatalog(event.storage_id, event.timestamp, int(str(as_of)), int(str(in_progress)))


def _partition(run: dg.DagsterRun) -> dict[str, str | None]:
    """The shard or the annotation round of a run; a round's name begins with a letter."""
    key = run.tags.get(PARTITION_TAG)
    of_shard = key is not None and key.isdigit()
    return {"shard": key if of_shard else None, "round": None if of_shard else key}


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
