"""Which failed runs Dagster is asked once more to start again."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from sa_pipeline import missed_retries as module
from sa_pipeline.dataset import Dataset
from sa_pipeline.missed_retries import MAX_TIMES_ASKED, missed_retries
from sa_pipeline.runs import ensure_dagster_home

JOB = dg.GraphDefinition(name="nothing").to_job()
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin(host="localhost", port=1), "__repository__"), JOB.name
)


@pytest.fixture
def instance(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setattr(module, "PATIENCE", timedelta(0))
    with ensure_dagster_home(dataset) as opened:
        yield opened


def left_alone(
    instance: dg.DagsterInstance, reason: RunFailureReason = RunFailureReason.UNKNOWN, **more: object
) -> dg.DagsterRun:
    """A failed run as Dagster's daemon leaves it when it could not start it again."""
    run = instance.create_run_for_job(JOB, **{"remote_job_origin": ORIGIN} | more)
    instance.report_run_failed(run, job_failure_data=JobFailureData(error=None, failure_reason=reason))
    instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})
    return run


def asked_for(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a tick has Dagster's daemon look at the run once more."""
    before = times_failed(instance, run)
    missed_retries(dg.build_sensor_context(instance=instance))
    asked = times_failed(instance, run) > before
    assert asked == (instance.get_run_by_id(run.run_id).tags["dagster/will_retry"] == "true")
    return asked


def times_failed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int:
    return len(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE))


def test_a_run_that_could_not_be_started_again_is_asked_for_but_not_for_ever(instance) -> None:
    run = left_alone(instance)
    for _ in range(MAX_TIMES_ASKED):
        assert asked_for(instance, run)
        instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})
    assert not asked_for(instance, run)


def test_a_run_whose_step_failed_is_not_asked_for(instance) -> None:
    assert not asked_for(instance, left_alone(instance, RunFailureReason.STEP_FAILURE))


def test_a_run_of_the_shell_is_not_asked_for(instance) -> None:
    assert not asked_for(instance, left_alone(instance, remote_job_origin=None))


def test_a_run_that_was_started_again_is_not_asked_for(instance) -> None:
    run = left_alone(instance)
    instance.create_run_for_job(JOB, tags={"dagster/parent_run_id": run.run_id})
    assert not asked_for(instance, run)


def test_a_run_that_just_failed_is_left_to_dagster(instance, monkeypatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", timedelta(minutes=1))
    assert not asked_for(instance, left_alone(instance))


@pytest.mark.parametrize(
    ("status", "expected"), [(BulkActionStatus.REQUESTED, True), (BulkActionStatus.CANCELED, False)]
)
def test_a_run_of_a_backfill_is_asked_for_while_that_goes_on(status, expected, instance) -> None:
    backfill = PartitionBackfill("abc", status, from_failure=False, tags={}, backfill_timestamp=0.0)
    instance.add_backfill(backfill)
    assert asked_for(instance, left_alone(instance, tags={"dagster/backfill": "abc"})) == expected
