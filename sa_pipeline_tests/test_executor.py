"""Which failures of a run make Dagster start it again."""

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from sa_pipeline.dataset import Dataset
from sa_pipeline.executor import in_process_executor
from sa_pipeline.runs import ensure_dagster_home


@dg.op
def fine() -> None:
    pass


@dg.op
def broken() -> None:
    raise ValueError("of its own")


@dg.job(executor_def=in_process_executor)
def fine_job() -> None:
    fine()


@dg.job(executor_def=in_process_executor)
def broken_job() -> None:
    broken()


def run(job: dg.JobDefinition, instance: dg.DagsterInstance) -> dg.DagsterRun:
    with dg.execute_job(dg.reconstructable(job), instance) as result:
        return instance.get_run_by_id(result.run_id)


@pytest.mark.parametrize("event_type", ["STEP_START", "STEP_OUTPUT", "STEP_SUCCESS"])
def test_a_run_in_which_dagsters_database_is_gone_for_a_moment_is_started_again(
    event_type, dataset: Dataset, monkeypatch
) -> None:
    with ensure_dagster_home(dataset) as instance:
        storage = type(instance.event_log_storage)
        store = storage.store_event
        refused = []

        def store_unless_refused(self, event) -> None:
            if not refused and event.is_dagster_event and event.dagster_event_type.value == event_type:
                refused.append(event)
                raise OperationalError("insert", {}, Exception("server closed the connection unexpectedly"))
            store(self, event)

        monkeypatch.setattr(storage, "store_event", store_unless_refused)
        run_ = run(fine_job, instance)
        assert refused
        assert run_.status is dg.DagsterRunStatus.FAILURE
        assert run_.tags["dagster/failure_reason"] == "RUN_EXCEPTION"
        assert run_.tags["dagster/will_retry"] == "true"


def test_a_run_whose_step_fails_is_not(dataset: Dataset) -> None:
    with ensure_dagster_home(dataset) as instance:
        run_ = run(broken_job, instance)
        assert run_.status is dg.DagsterRunStatus.FAILURE
        assert run_.tags["dagster/will_retry"] == "false"


def test_a_run_that_nothing_disturbs_succeeds(dataset: Dataset) -> None:
    with ensure_dagster_home(dataset) as instance:
        assert run(fine_job, instance).status is dg.DagsterRunStatus.SUCCESS
