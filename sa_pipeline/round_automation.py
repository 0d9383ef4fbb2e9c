"""The circle by itself: from a round that is done to the next round's queue, each step a run of its own."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from sa_pipeline.artifacts import CheckpointRef, list_rounds
from sa_pipeline.assets.annotation_tasks import AnnotationTasksConfig
from sa_pipeline.assets.common import IMAGE_SHARDS
from sa_pipeline.assets.rounds import ANNOTATION_ROUNDS, opened_studio
from sa_pipeline.automation import (
    fill_round,
    prefill_round,
    retrain_round,
    round_audit,
    round_detector,
    shard_embeddings,
)
from sa_pipeline.dataset import Dataset
from sa_pipeline.executor import in_process_executor
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.provenance import embeddings_fresh
from sa_pipeline.resources import DatasetResource
from sa_pipeline.run_history import count_unfinished
from sa_pipeline.settings import PlannedRound
from sa_pipeline.studio.closing import close_round
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.models import Stage
from sa_pipeline.studio.prefilling import PrefillFrom, masks_to_begin_with
from sa_pipeline.studio.rounds import Round, all_rounds
from sa_pipeline.studio.snapshot import accepted_digest
from sa_pipeline.studio.standing import has_led_on

ROUND_SENSOR_SECONDS = 60
STEPS = (retrain_round, round_audit, shard_embeddings, round_detector, prefill_round, fill_round)
"""Jobs that the sensor asks for."""
RUN_KEY = "dagster/run_key"
"""Tag of a run that a sensor asked for."""


class CloseRoundConfig(dg.Config):
    """What becomes of finished tasks that nobody has reviewed."""

    give_up_reviews: bool = False


@dg.op(description="Hands nothing more out of a round, and gives up what nobody finished.")
def close(context: dg.OpExecutionContext, data: DatasetResource, config: CloseRoundConfig) -> None:
    """Closes a round."""
    with opened_studio(data.open()) as studio:
        given_up = close_round(studio, context.partition_key, give_up_reviews=config.give_up_reviews)
    context.log.info(f"Round {context.partition_key} is closed; {given_up} tasks were given up.")


@dg.job(
    name="close_round",
    partitions_def=ANNOTATION_ROUNDS,
    executor_def=in_process_executor,
    description="Closes an annotation round; what was accepted stays.",
)
def close_round_job() -> None:
    """Closes a round."""
    close()


@dg.sensor(
    jobs=STEPS,
    minimum_interval_seconds=ROUND_SENSOR_SECONDS,
    description="When all tasks of a round are accepted or it was closed, turns its masks into weights, and opens the "
    "next round that rounds.next of the settings names.",
)
def round_done(context: dg.SensorEvaluationContext, data: DatasetResource) -> dg.SensorResult | dg.SkipReason:
    """Asks for the next step, one at a time, so that each round starts from the weights of the one before."""
    running = count_unfinished(context.instance, [job.name for job in STEPS])
    if running:
        return dg.SkipReason(f"{running} runs are in progress.")
    dataset = data.open()
    with opened_studio(dataset) as studio:
        with studio.read() as connection:
            rounds = all_rounds(connection)
        return _next_step(context.instance, data, studio, rounds)


def _next_step(
    instance: dg.DagsterInstance, data: DatasetResource, studio: Studio, rounds: list[Round]
) -> dg.SensorResult | dg.SkipReason:
    """The step that is due, or why there is none."""
    for found in rounds:
        if found.is_done and not has_led_on(studio, found):
            job = round_audit if found.stage is Stage.AUDIT else retrain_round
            key = f"{found.name}-{accepted_digest(studio, found.name)[:16]}"
            if _was_asked_for(instance, job.name, key):
                return dg.SkipReason(
                    f"The run {job.name} of round {found.name} failed or was stopped; start it again when it may go on."
                )
            return _requests(job.name, {found.name: (key, None)}, rounds=[found.name])
    at_work = [found.name for found in rounds if not found.is_done and found.stage is not Stage.AUDIT and found.tasks]
    if at_work:
        return dg.SkipReason(f"People are at work on {', '.join(at_work)}.")
    begun = {found.name for found in rounds if found.tasks}
    planned = next((each for each in studio.dataset.settings.rounds.next if each.name not in begun), None)
    if planned is None:
        return dg.SkipReason("Every round that is done has led on, and rounds.next plans no other.")
    return _open(instance, studio.dataset, planned, data.checkpoint())


def _open(
    instance: dg.DagsterInstance, dataset: Dataset, planned: PlannedRound, checkpoint: CheckpointRef
) -> dg.SensorResult | dg.SkipReason:
    """First the embeddings by the weights in use, then the queue."""
    shards = list_shards(dataset.storage)
    stale = [shard for shard in shards if not embeddings_fresh(dataset, shard, checkpoint)]
    keys = {shard: f"{planned.name}-{shard}-{checkpoint.digest[:16]}" for shard in stale}
    due = {
        shard: (key, None) for shard, key in keys.items() if not _was_asked_for(instance, shard_embeddings.name, key)
    }
    if due:
        return _requests(shard_embeddings.name, due, shards=list(due))
    key = f"open-{planned.name}-{len(shards)}-{checkpoint.digest[:16]}"
    config = AnnotationTasksConfig(stage=planned.stage, max_images=planned.max_images, choose=planned.choose)
    if Stage(planned.stage) is Stage.SEMI_AUTOMATIC:
        before = _before_semi_automatic(instance, dataset, planned.name, key, config)
        if before is not None:
            return before
        config = config.model_copy(update={"prefill": masks_to_begin_with(dataset).value})
    if _was_asked_for(instance, fill_round.name, key):
        return dg.SkipReason(f"Round {planned.name} was to be opened and has no tasks; see the run {fill_round.name}.")
    ops = {"ops": {"annotation_tasks": {"config": config.model_dump(mode="json")}}}
    return _requests(fill_round.name, {planned.name: (key, ops)}, rounds=[planned.name])


def _before_semi_automatic(
    instance: dg.DagsterInstance, dataset: Dataset, round_name: str, key: str, config: AnnotationTasksConfig
) -> dg.SensorResult | None:
    """A detector of all first-stage masks, then the masks for its boxes; None where there is nothing left to do.

    Where no detector can be trained, tasks begin with the automatic masks.
    """
    with opened_studio(dataset) as studio, studio.read() as connection:
        first_stage = [found.name for found in all_rounds(connection) if found.stage is Stage.ASSISTED_MANUAL]
    snapshots = [name for name in first_stage if name in list_rounds(dataset.storage)]
    if snapshots and not _was_asked_for(instance, round_detector.name, key):
        return _requests(round_detector.name, {snapshots[-1]: (key, None)}, rounds=snapshots[-1:])
    if masks_to_begin_with(dataset) is PrefillFrom.DETECTOR and not _was_asked_for(instance, prefill_round.name, key):
        ops = {"ops": {"prefilled_masks": {"config": config.for_prefilled_masks().model_dump(mode="json")}}}
        return _requests(prefill_round.name, {round_name: (key, ops)}, rounds=[round_name])
    return None


def _requests(
    job: str,
    partitions: Mapping[str, tuple[str, Mapping[str, Any] | None]],
    *,
    rounds: list[str] | None = None,
    shards: list[str] | None = None,
) -> dg.SensorResult:
    """Runs of a job, by partition: the key by which Dagster starts each once, and its configuration."""
    added = [ANNOTATION_ROUNDS.build_add_request(rounds)] if rounds else []
    added += [IMAGE_SHARDS.build_add_request(shards)] if shards else []
    requests = [
        dg.RunRequest(run_key=_run_key(job, key), job_name=job, partition_key=partition, run_config=config or {})
        for partition, (key, config) in partitions.items()
    ]
    return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=added)


def _run_key(job: str, key: str) -> str:
    """Dagster starts a key of a sensor once, whatever the job."""
    return f"{job}-{key}"


def _was_asked_for(instance: dg.DagsterInstance, job: str, key: str) -> bool:
    return instance.get_runs_count(dg.RunsFilter(job_name=job, tags={RUN_KEY: _run_key(job, key)})) > 0
