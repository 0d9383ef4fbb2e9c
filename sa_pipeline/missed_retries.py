"""The sensor that has failed runs started again where Dagster meant to and could not."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.events import RunFailureReason
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.storage.tags import (
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    PARENT_RUN_ID_TAG,
    RUN_FAILURE_REASON_TAG,
)

SENSOR_INTERVAL_SECONDS = 15
"""Less than the 30 s after which Dagster looks at a backfill, which it ends when no run of it will be started again."""

PATIENCE = timedelta(seconds=10)
"""After a run failed; Dagster looks for failed runs every 5 s."""

LOOKED_BACK = timedelta(hours=1)
MAX_RUNS_LOOKED_AT = 100

TIMES_ASKED_TAG = "sa_pipeline/retry_asked_for"
MAX_TIMES_ASKED = 5


@dg.sensor(
    minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks Dagster once more to start failed runs again which it tried in vain.",
)
def missed_retries(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Reports such runs as failed once more, which is what Dagster starts runs again for.

    Its daemon tries once: if the database or the code server is gone in that moment, it leaves the run alone for good.
    """
    asked = [run.run_id for run in _recently_failed(context.instance) if _ask_again(context.instance, run)]
    if asked:
        return dg.SkipReason(f"Asked to start again: {', '.join(asked)}.")
    return dg.SkipReason("No failed run lacks the one that was to be started for it.")


def _recently_failed(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that failed within the last hour, but not within the last seconds."""
    now = datetime.now(UTC)
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - LOOKED_BACK)
    records = instance.get_run_records(failed, limit=MAX_RUNS_LOOKED_AT)
    settled = (now - PATIENCE).timestamp()
    return [record.dagster_run for record in records if record.end_time is not None and record.end_time < settled]


def _ask_again(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run was reported as failed once more."""
    times = int(run.tags.get(TIMES_ASKED_TAG, 0))
    if times >= MAX_TIMES_ASKED or not _lacks_retry(instance, run):
        return False
    instance.add_run_tags(run.run_id, {TIMES_ASKED_TAG: str(times + 1)})
    instance.report_run_failed(run, "Dagster could not start this run again, and is asked to once more.")
    return True


def _lacks_retry(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether Dagster should have started a failed run again, and neither it nor anybody else did."""
    if run.remote_job_origin is None or AUTO_RETRY_RUN_ID_TAG in run.tags or not instance.run_retries_enabled:
        return False
    reason = run.tags.get(RUN_FAILURE_REASON_TAG)
    if not auto_reexecution_should_retry_run(instance, run, RunFailureReason(reason) if reason else None):
        return False
    if instance.get_runs_count(dg.RunsFilter(tags={PARENT_RUN_ID_TAG: run.run_id})):
        return False
    if BACKFILL_ID_TAG not in run.tags:
        return True
    backfill = instance.get_backfill(run.tags[BACKFILL_ID_TAG])
    return backfill is not None and backfill.status not in BULK_ACTION_TERMINAL_STATUSES
