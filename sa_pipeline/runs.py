"""Runs of Dagster's jobs from the shell, on the dataset's own instance, so that the UI shows them."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from sa_pipeline.assets.common import IMAGE_SHARDS
from sa_pipeline.dataset import Dataset
from sa_pipeline.definitions import defs
from sa_pipeline.resources import DatasetResource

INSTANCE_SETTINGS = Path(__file__).parent / "dagster_instance.yaml"


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended; step and error are those of the first failure."""

    success: bool
    run_id: str
    failed_step: str | None = None
    error: str | None = None


@contextlib.contextmanager
def ensure_dagster_home(dataset: Dataset) -> Iterator[dg.DagsterInstance]:
    """Opens the dataset's Dagster instance; sets its home up at the first call."""
    settings = dataset.dagster_home / "dagster.yaml"
    if not settings.exists():
        dataset.dagster_home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(INSTANCE_SETTINGS, settings)
    with dg.DagsterInstance.from_config(str(dataset.dagster_home)) as instance:
        yield instance


def run_shard(dataset: Dataset, shard: str, instance: dg.DagsterInstance) -> RunOutcome:
    """Runs the job `shard_masks` for one shard in this process.

    Raises:
        KeyboardInterrupt: The run was stopped; Dagster marks it as failed.
    """
    instance.add_dynamic_partitions(str(IMAGE_SHARDS.name), [shard])
    return _run(dataset, "shard_masks", instance, partition_key=shard)


def run_catalog(dataset: Dataset, instance: dg.DagsterInstance) -> RunOutcome:
    """Runs the job `refresh_catalog` in this process."""
    return _run(dataset, "refresh_catalog", instance)


def _run(dataset: Dataset, job: str, instance: dg.DagsterInstance, partition_key: str | None = None) -> RunOutcome:
    result = defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        partition_key=partition_key,
        resources={"data": DatasetResource(home=str(dataset.home))},
        run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        raise_on_error=False,
    )
    if result.success:
        return RunOutcome(True, result.run_id)
    failures = [event for event in result.all_events if event.is_step_failure]
    if not failures:
        return RunOutcome(False, result.run_id, job, "the run failed outside its steps; see its log in the UI")
    refused = [
        check
        for check in result.get_asset_check_evaluations()
        if check.blocking and not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
    ]
    reason = refused[0].description if refused else _reason(failures[0])
    return RunOutcome(False, result.run_id, failures[0].step_key, reason)


def _reason(event: dg.DagsterEvent) -> str | None:
    """What the error said: of ours the sentence, of any other its first cause."""
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    cause = failure.error.cause if failure.error and failure.error.cause else failure.error
    return cause.message.strip() if cause else None
