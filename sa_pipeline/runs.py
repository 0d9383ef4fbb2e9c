"""Runs of Dagster's jobs from the shell, on the dataset's own instance, so that the UI shows them."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy.exc import IntegrityError, OperationalError

from sa_pipeline.assets.annotation_tasks import AnnotationTasksConfig
from sa_pipeline.assets.common import IMAGE_SHARDS, PASSED_OVER, STOPPED
from sa_pipeline.assets.current_checkpoint import observation
from sa_pipeline.assets.prefilled_masks import PrefilledMasksConfig
from sa_pipeline.assets.rounds import ANNOTATION_ROUNDS, opened_studio
from sa_pipeline.checkpoint_history import Promotion
from sa_pipeline.dataset import SHARED_DATABASE_VARIABLE, Dataset
from sa_pipeline.definitions import defs
from sa_pipeline.errors import SettingsError, StorageError
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.logs import logs_json
from sa_pipeline.processes import is_running
from sa_pipeline.progress import Progress
from sa_pipeline.promotion import promote, ref_in_use, return_to_start
from sa_pipeline.provenance import embeddings_fresh
from sa_pipeline.resources import DatasetResource
from sa_pipeline.run_history import worker_pid
from sa_pipeline.studio.models import Stage
from sa_pipeline.studio.prefilling import PrefillFrom
from sa_pipeline.studio.rounds import read_round, require_round_name

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
    """Opens the dataset's Dagster instance; sets its home up at the first call, for one machine.

    A `dagster.yaml` that lies there already, such as one of `deploy/`, is used as it is.

    Raises:
        SettingsError: `SA_PIPELINE_DATABASE` names no driver that Dagster works with.
        StorageError: Dagster's files cannot be written, also while the instance is used.
    """
    _require_driver(os.environ.get(SHARED_DATABASE_VARIABLE))
    settings = dataset.dagster_home / "dagster.yaml"
    try:
        if not settings.exists():
            dataset.dagster_home.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(INSTANCE_SETTINGS, settings)
        with dg.DagsterInstance.from_config(str(dataset.dagster_home)) as instance:
            yield instance
    except (OSError, OperationalError) as error:
        if isinstance(error, OSError) and error.errno is None:  # somebody's own, such as a TimeoutError
            raise
        reason = error.orig if isinstance(error, OperationalError) else error.strerror
        raise StorageError(
            f"Dagster cannot use its files in {dataset.dagster_home}: {reason or error}; see that the disk is not full "
            "and may be written."
        ) from error


def _require_driver(url: str | None) -> None:
    """Dagster sends PostgreSQL what SQLAlchemy's default driver refuses."""
    if url and not url.startswith("postgresql+psycopg2://"):
        raise SettingsError(
            f"{SHARED_DATABASE_VARIABLE} begins with {url.partition('://')[0]}://, expected "
            "postgresql+psycopg2://USER@HOST/NAME; change the part before the colon."
        )


def fail_abandoned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks runs as failed whose process was killed together with whoever watched over it, as when power is lost.

    Nobody else would: they would hold their place in the pool, and the nightly backfill would wait for them for good.
    Only runs of Dagster's default launcher are looked at, since they are processes of this machine.

    Returns:
        The ids of the runs.
    """
    if not isinstance(instance.run_launcher, dg.DefaultRunLauncher):
        return []
    abandoned = []
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        pid = worker_pid(instance, run.run_id)
        if pid is not None and not is_running(pid):
            instance.report_run_failed(run, f"Process {pid} of this run is gone; what it had published is kept.")
            abandoned.append(run.run_id)
    return abandoned


def run_shard(dataset: Dataset, shard: str, instance: dg.DagsterInstance) -> RunOutcome:
    """Runs the job `shard_masks` for one shard in this process.

    Raises:
        KeyboardInterrupt: The run was stopped; Dagster marks it as failed.
    """
    _ensure_partition(instance, IMAGE_SHARDS, shard)
    return _run(dataset, "shard_masks", instance, partition_key=shard)


def run_embeddings(dataset: Dataset, shard: str, instance: dg.DagsterInstance) -> RunOutcome:
    """Runs the job `shard_embeddings` for one shard in this process.

    Raises:
        KeyboardInterrupt: The run was stopped; Dagster marks it as failed.
    """
    _ensure_partition(instance, IMAGE_SHARDS, shard)
    return _run(dataset, "shard_embeddings", instance, partition_key=shard)


def run_prefill(
    dataset: Dataset, round_name: str, config: PrefilledMasksConfig, instance: dg.DagsterInstance
) -> RunOutcome:
    """Runs the job `prefill_round` for one annotation round in this process.

    Raises:
        StudioError: The round's name cannot be one.
    """
    return _run_configured(dataset, "prefill_round", "prefilled_masks", round_name, config, instance)


def run_detector(dataset: Dataset, round_name: str, instance: dg.DagsterInstance) -> RunOutcome:
    """Runs the job `round_detector` for one annotation round in this process.

    Raises:
        KeyboardInterrupt: The run was stopped; the training is saved.
    """
    _ensure_partition(instance, ANNOTATION_ROUNDS, round_name)
    return _run(dataset, "round_detector", instance, partition_key=round_name)


def run_fill(
    dataset: Dataset, round_name: str, config: AnnotationTasksConfig, instance: dg.DagsterInstance
) -> RunOutcome:
    """Runs the job `fill_round` for one annotation round in this process.

    If its tasks are to begin with the detector's masks, `prefill_round` is run before it, for the same images.

    Raises:
        StudioError: The round's name cannot be one.
    """
    if config.prefill == PrefillFrom.DETECTOR:
        outcome = run_prefill(dataset, round_name, config.for_prefilled_masks(), instance)
        if not outcome.success:
            return outcome
    return _run_configured(dataset, "fill_round", "annotation_tasks", round_name, config, instance)


def _run_configured(
    dataset: Dataset, job: str, asset: str, round_name: str, config: dg.Config, instance: dg.DagsterInstance
) -> RunOutcome:
    require_round_name(round_name)
    _ensure_partition(instance, ANNOTATION_ROUNDS, round_name)
    ops = {"ops": {asset: {"config": config.model_dump(mode="json")}}}
    return _run(dataset, job, instance, partition_key=round_name, config=ops)


def shards_passed_over(instance: dg.DagsterInstance, round_name: str) -> dict[str, str]:
    """Shards that the last filling of a round's queue passed over, each with the reason."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("annotation_tasks"), asset_partitions=[round_name]), limit=1
    ).records
    made = records[0].asset_materialization if records else None
    found: dict[str, str] = dict(made.metadata[PASSED_OVER].value) if made else {}  # type: ignore[arg-type]
    return found


def run_round(dataset: Dataset, round_name: str, instance: dg.DagsterInstance) -> RunOutcome:
    """Snapshots one annotation round in this process: the job `round_masks`, or `round_audit` for an audit.

    Raises:
        StudioError: There is no such round.
    """
    job = "round_audit" if _known_round(dataset, round_name, instance) is Stage.AUDIT else "round_masks"
    return _run(dataset, job, instance, partition_key=round_name)


def _known_round(dataset: Dataset, round_name: str, instance: dg.DagsterInstance) -> Stage:
    """The stage of a round, which becomes a partition if it is none yet."""
    # Asked first, so that a slip of the keyboard does not become a partition.
    with opened_studio(dataset) as studio, studio.read() as connection:
        stage = read_round(connection, round_name).stage
    _ensure_partition(instance, ANNOTATION_ROUNDS, round_name)
    return stage


def run_retraining(dataset: Dataset, round_name: str, instance: dg.DagsterInstance) -> RunOutcome:
    """Runs the job `retrain_round` for one annotation round in this process.

    Raises:
        StudioError: There is no such round.
        KeyboardInterrupt: The run was stopped; a later one goes on with training where it stopped.
    """
    _known_round(dataset, round_name, instance)
    return _run(dataset, "retrain_round", instance, partition_key=round_name)


def run_close(
    dataset: Dataset, round_name: str, instance: dg.DagsterInstance, *, give_up_reviews: bool = False
) -> RunOutcome:
    """Runs the job `close_round` for one annotation round in this process.

    Raises:
        StudioError: There is no such round.
    """
    _known_round(dataset, round_name, instance)
    ops = {"ops": {"close": {"config": {"give_up_reviews": give_up_reviews}}}}
    return _run(dataset, "close_round", instance, partition_key=round_name, config=ops)


@dataclass(frozen=True)
class EmbeddingRuns:
    """What became of the shards that lacked embeddings: how many have them now, and why runs failed, by shard."""

    made: int
    failures: dict[str, str]


def make_stale_embeddings(dataset: Dataset, instance: dg.DagsterInstance, progress: Progress) -> EmbeddingRuns:
    """Makes images and embeddings by the weights in use of every shard that lacks them, each in a run of its own.

    Raises:
        CheckpointError: The weights in use are not on this machine.
        KeyboardInterrupt: A run was stopped; what was published stays.
    """
    checkpoint = ref_in_use(dataset)
    shards = list_shards(dataset.storage)
    made, failures = 0, {}
    for shard in progress.track(shards, description="shards", total=len(shards)):
        if embeddings_fresh(dataset, shard, checkpoint):
            continue
        outcome = run_embeddings(dataset, shard, instance)
        made += outcome.success
        if not outcome.success:
            failures[shard] = f"{outcome.failed_step}: {outcome.error}"
    return EmbeddingRuns(made, failures)


def put_into_use(
    dataset: Dataset, round_name: str | None, instance: dg.DagsterInstance, *, even_if_worse: bool = False
) -> Promotion:
    """Promotes a round's weights, or goes back to the settings' checkpoint, and lets Dagster know.

    Args:
        dataset: The dataset.
        round_name: Any round with weights; None: back to the checkpoint that the settings name.
        instance: Which is told, so that it shows embeddings and masks as stale.
        even_if_worse: Also against what the evaluation says.

    Raises:
        CheckpointError: There are no such weights, or they are worse than those before.
    """
    if round_name is None:
        change = return_to_start(dataset)
    else:
        change = promote(dataset, round_name, even_if_worse=even_if_worse)
    instance.report_runless_asset_event(observation(change.checkpoint))
    return change


def run_catalog(dataset: Dataset, instance: dg.DagsterInstance) -> RunOutcome:
    """Runs the job `refresh_catalog` in this process."""
    return _run(dataset, "refresh_catalog", instance)


def _run(
    dataset: Dataset,
    job: str,
    instance: dg.DagsterInstance,
    partition_key: str | None = None,
    config: Mapping[str, Any] | None = None,
) -> RunOutcome:
    result = defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        partition_key=partition_key,
        resources={"data": DatasetResource(home=str(dataset.home))},
        # A failure is told in one sentence by the caller; its stack stands in the run's log, and in lines of JSON.
        run_config={
            "loggers": {"console": {"config": {"log_level": "ERROR" if logs_json() else "CRITICAL"}}},
            **(config or {}),
        },
        raise_on_error=False,
    )
    if result.success:
        return RunOutcome(True, result.run_id)
    if any(_was_stopped(event) for event in result.all_events):
        raise KeyboardInterrupt
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
    return _sentence(cause.message) if cause else None


def _sentence(message: str) -> str:
    """The text of an error without the name of its class, if it is one of ours."""
    name, _, text = message.strip().partition(": ")
    return text if name.startswith("sa_pipeline.errors.") else message.strip()


def _was_stopped(event: dg.DagsterEvent) -> bool:
    """Whether Ctrl-C ended an asset, or else a check or the work between steps; Dagster lets its caller go on."""
    if event.is_step_failure and event.step_failure_data.user_failure_data:
        return event.step_failure_data.user_failure_data.description == STOPPED
    if event.event_type is not dg.DagsterEventType.RUN_FAILURE:
        return False
    error = event.job_failure_data.error
    return error is not None and error.cls_name in (dg.DagsterExecutionInterruptedError.__name__, "KeyboardInterrupt")


def _ensure_partition(instance: dg.DagsterInstance, partitions: dg.DynamicPartitionsDefinition, key: str) -> None:
    # Of two processes that find it missing in the same moment, Dagster refuses the second one's insertion.
    with contextlib.suppress(IntegrityError):
        instance.add_dynamic_partitions(str(partitions.name), [key])
