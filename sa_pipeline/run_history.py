"""What Dagster knows of past runs, as a table for the catalogue."""

from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa

RUNS = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("job", pa.string(), nullable=False),
        pa.field("shard", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("started", pa.timestamp("us", "UTC")),
        pa.field("ended", pa.timestamp("us", "UTC")),
    ]
)
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
            "shard": record.dagster_run.tags.get("dagster/partition"),
            "status": record.dagster_run.status.value,
            "started": _time(record.start_time),
            "ended": _time(record.end_time),
        }
        for record in instance.get_run_records(limit=MAX_RUNS)
    ]
    return pa.Table.from_pylist(rows, schema=RUNS)


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
