"""Jobs, and the sensors for new images, for shards that are missing or stale, and for the catalogue."""

import time
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from pydantic import BaseModel, ConfigDict

from sa_pipeline.artifacts import AssetName, CheckpointRef, RoundAssetName
from sa_pipeline.assets.common import IMAGE_SHARDS
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import LedgerBusyError
from sa_pipeline.executor import in_process_executor
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.provenance import Freshness, shard_freshness
from sa_pipeline.resources import DatasetResource
from sa_pipeline.run_history import (
    count_unfinished,
    last_catalog,
    newest_materialization,
    shards_in_progress,
)

SENSOR_INTERVAL_SECONDS = 60
IMAGES_PER_TICK = 1024
"""New images that a tick reads at most, or one shard if it holds more: Dagster ends a tick after a minute."""

NIGHT_HOUR = 2
"""UTC."""

LOOK_SECONDS = 20
"""How long a tick of the nightly backfill looks at shards; the next one goes on. Dagster ends a tick after a minute."""

RUNS_PER_TICK = 100
"""Runs that such a tick asks for at most: Dagster's daemon makes them one by one, some in a second."""

MAX_WAITING_RUNS = 1_000
"""Unfinished runs of shards beyond which it asks for no more: the queue is read whole every few seconds."""

CATALOG_INTERVAL_SECONDS = 30
CATALOG_MAX_AGE_SECONDS = 600
"""While shard runs go on, the catalogue is built anew when it is older than this."""

SHARD_SELECTION = dg.AssetSelection.assets(*[asset.value for asset in AssetName])

shard_masks = dg.define_asset_job(
    "shard_masks",
    selection=SHARD_SELECTION,
    executor_def=in_process_executor,
    description="All assets of a shard in one process, so that the checkpoint is loaded once.",
)

refresh_catalog = dg.define_asset_job(
    "refresh_catalog",
    selection=dg.AssetSelection.assets("mask_verifier", "round_report", "catalog", "dataset_card"),
    executor_def=in_process_executor,
    description="Builds the verifier, the figures of the rounds, the catalogue, the report and the cards anew.",
    tags={"dagster/priority": "1"},  # before the shards of a long backfill, which have 0
)

shard_embeddings = dg.define_asset_job(
    "shard_embeddings",
    selection=dg.AssetSelection.assets(
        AssetName.RAW_IMAGES.value, AssetName.DEIDENTIFIED_IMAGES.value, AssetName.IMAGE_EMBEDDINGS.value
    ),
    executor_def=in_process_executor,
    description="What annotating a shard needs: its images and their embeddings.",
)

fill_round = dg.define_asset_job(
    "fill_round",
    selection=dg.AssetSelection.assets("annotation_tasks"),
    executor_def=in_process_executor,
    description="Puts images that no annotation round has into the queue of one.",
)

round_masks = dg.define_asset_job(
    "round_masks",
    selection=dg.AssetSelection.assets(RoundAssetName.HUMAN_MASKS.value),
    executor_def=in_process_executor,
    description="Snapshots the accepted work of an annotation round.",
)

round_audit = dg.define_asset_job(
    "round_audit",
    selection=dg.AssetSelection.assets(RoundAssetName.HUMAN_MASKS.value, RoundAssetName.MASK_QUALITY_AUDIT.value),
    executor_def=in_process_executor,
    description="Snapshots the accepted work of an audit round, and holds the automatic masks against it.",
)

retrain_round = dg.define_asset_job(
    "retrain_round",
    selection=dg.AssetSelection.assets(
        RoundAssetName.HUMAN_MASKS.value,
        RoundAssetName.TRAINING_SET.value,
        RoundAssetName.SAM_CHECKPOINT.value,
        "promoted_checkpoint",
    ),
    executor_def=in_process_executor,
    description="From a round's accepted masks to weights in use: snapshot, training set, retraining, promotion.",
)

round_detector = dg.define_asset_job(
    "round_detector",
    selection=dg.AssetSelection.assets(RoundAssetName.OBJECT_DETECTOR.value),
    executor_def=in_process_executor,
    description="Trains the object detector on all masks of the first stage, for rounds of the second.",
)

prefill_round = dg.define_asset_job(
    "prefill_round",
    selection=dg.AssetSelection.assets(RoundAssetName.PREFILLED_MASKS.value),
    executor_def=in_process_executor,
    description="Finds the masks that the annotators of a coming round begin with.",
)

SHARD_JOBS = [shard_masks.name, shard_embeddings.name, "__ASSET_JOB"]
"""Jobs that make shards: our own, and the one by which Dagster runs assets that are picked in the UI."""


@dg.sensor(
    job=shard_masks,
    minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
    description="Appends new images of the source to new shards and runs them.",
)
def new_images(context: dg.SensorEvaluationContext, data: DatasetResource) -> dg.SensorResult | dg.SkipReason:
    """Looks for images that the ledger does not know."""
    dataset = data.open()
    images = dataset.settings.images
    if dataset.config.source is None:
        return dg.SkipReason(f"No source is set in {dataset.home}; set SA_PIPELINE_SOURCE or run `sa-pipeline run`.")
    try:
        append_new_images(
            dataset.storage,
            dataset.config.source,
            images,
            index=dataset.ledger_index,
            # Whole shards: what is beyond them is entered by the next tick.
            limit=max(1, IMAGES_PER_TICK // images.images_per_shard) * images.images_per_shard,
        )
    except LedgerBusyError as error:
        return dg.SkipReason(str(error))
    known = set(context.instance.get_dynamic_partitions(str(IMAGE_SHARDS.name)))
    added = [shard for shard in list_shards(dataset.storage) if shard not in known]
    if not added:
        return dg.SkipReason(f"No new images in {dataset.config.source}.")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=shard, partition_key=shard) for shard in added],
        dynamic_partitions_requests=[IMAGE_SHARDS.build_add_request(added)],
    )


class BackfillPosition(BaseModel):
    """Where the nightly backfill stands, kept in the sensor's cursor from one tick to the next."""

    model_config = ConfigDict(frozen=True)

    begun: datetime
    """When the first shard was looked at; UTC."""
    looked_at: str = ""
    """The last shard that was looked at."""
    done: bool = False

    @property
    def night(self) -> date:
        """The night that it belongs to: until `NIGHT_HOUR` the one before."""
        return (self.begun - timedelta(hours=NIGHT_HOUR)).date()


@dg.sensor(
    job=shard_masks,
    minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
    description="Every night, runs the shards of which a file is missing or stale.",
)
def nightly_backfill(context: dg.SensorEvaluationContext, data: DatasetResource) -> dg.SensorResult | dg.SkipReason:
    """Compares the ledger's shards with the files that are there, a part of them in each tick.

    No schedule, whose tick would have to look at all of them within a minute and could not go on with the next one.
    """
    fresh_start = BackfillPosition(begun=datetime.now(UTC))
    position = BackfillPosition.model_validate_json(context.cursor) if context.cursor else fresh_start
    if position.done:
        if position.night == fresh_start.night:
            return dg.SkipReason(f"Every shard was looked at; the next time is after {NIGHT_HOUR}:00 UTC.")
        position = fresh_start
    waiting = count_unfinished(context.instance, SHARD_JOBS)
    if waiting >= MAX_WAITING_RUNS:
        return dg.SkipReason(f"{waiting} runs of shards wait or go on; more are asked for when there are fewer.")
    dataset = data.open()
    wanted, position = _look(dataset, data.checkpoint(), shards_in_progress(context.instance), position)
    # Dagster wants keys where a tick asks for several runs; the moment keeps a later night from being refused.
    requests = [dg.RunRequest(run_key=f"{shard} {position.begun.isoformat()}", partition_key=shard) for shard in wanted]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else f"No shard up to {position.looked_at} needs a run.",
        dynamic_partitions_requests=[IMAGE_SHARDS.build_add_request(wanted)] if wanted else [],
        cursor=position.model_dump_json(),
    )


def _look(
    dataset: Dataset, checkpoint: CheckpointRef, running: Collection[str], position: BackfillPosition
) -> tuple[list[str], BackfillPosition]:
    """Shards that need a run, from the position on, and the position after those that were looked at."""
    end = time.monotonic() + LOOK_SECONDS
    ahead = [shard for shard in list_shards(dataset.storage) if shard > position.looked_at]
    wanted: list[str] = []
    for shard in ahead:
        states = shard_freshness(dataset, shard, checkpoint).values()
        if shard not in running and any(state is not Freshness.FRESH for state in states):
            wanted.append(shard)
        position = position.model_copy(update={"looked_at": shard, "done": shard == ahead[-1]})
        if len(wanted) == RUNS_PER_TICK or time.monotonic() > end:
            break
    return wanted, position if ahead else position.model_copy(update={"done": True})


@dg.sensor(
    job=refresh_catalog,
    minimum_interval_seconds=CATALOG_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Builds the catalogue anew when shards or rounds were made since, whatever ran them.",
)
def catalog_after_shards(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Waits for the last of the shard runs, so that a backfill builds the catalogue once; a long one, now and then."""
    newest = newest_materialization(context.instance)
    built = last_catalog(context.instance)
    running = count_unfinished(context.instance, SHARD_JOBS)
    if newest <= built.as_of and not (built.shard_runs_in_progress and not running):
        return dg.SkipReason("No shard or round was materialized since the catalogue was built.")
    if count_unfinished(context.instance, [refresh_catalog.name]):
        return dg.SkipReason("The catalogue is being built.")
    age = time.time() - built.timestamp
    if running and age < CATALOG_MAX_AGE_SECONDS:
        return dg.SkipReason(f"{running} runs are in progress, and the catalogue is {age:.0f} s old.")
    # Dagster takes a key once: a build that failed is asked for again only after something else was materialized.
    return dg.RunRequest(run_key=f"{newest} after {built.storage_id}")
