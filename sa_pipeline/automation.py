"""Jobs, the sensor for new images, and the nightly backfill."""

import time

import dagster as dg

from sa_pipeline.artifacts import AssetName, RoundAssetName
from sa_pipeline.assets.common import IMAGE_SHARDS
from sa_pipeline.errors import LedgerBusyError
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
"""New images that a tick reads and hashes at most, so that it ends well before Dagster's limit of a minute."""

CATALOG_INTERVAL_SECONDS = 30
CATALOG_MAX_AGE_SECONDS = 600
"""While shard runs go on, the catalogue is built anew when it is older than this."""

SHARD_SELECTION = dg.AssetSelection.assets(*[asset.value for asset in AssetName])

shard_masks = dg.define_asset_job(
    "shard_masks",
    selection=SHARD_SELECTION,
    executor_def=dg.in_process_executor,
    description="All six assets of a shard in one process, so that the checkpoint is loaded once.",
)

refresh_catalog = dg.define_asset_job(
    "refresh_catalog",
    selection=dg.AssetSelection.assets("mask_verifier", "round_report", "catalog", "dataset_card"),
    executor_def=dg.in_process_executor,
    description="Builds the verifier, the figures of the rounds, the catalogue, the report and the cards anew.",
    tags={"dagster/priority": "1"},  # before the shards of a long backfill, which have 0
)

shard_embeddings = dg.define_asset_job(
    "shard_embeddings",
    selection=dg.AssetSelection.assets(AssetName.RAW_IMAGES.value, AssetName.IMAGE_EMBEDDINGS.value),
    executor_def=dg.in_process_executor,
    description="What annotating a shard needs: its images and their embeddings.",
)

fill_round = dg.define_asset_job(
    "fill_round",
    selection=dg.AssetSelection.assets("annotation_tasks"),
    executor_def=dg.in_process_executor,
    description="Puts images that no annotation round has into the queue of one.",
)

round_masks = dg.define_asset_job(
    "round_masks",
    selection=dg.AssetSelection.assets(RoundAssetName.HUMAN_MASKS.value),
    executor_def=dg.in_process_executor,
    description="Snapshots the accepted work of an annotation round.",
)

round_audit = dg.define_asset_job(
    "round_audit",
    selection=dg.AssetSelection.assets(RoundAssetName.HUMAN_MASKS.value, RoundAssetName.MASK_QUALITY_AUDIT.value),
    executor_def=dg.in_process_executor,
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
    executor_def=dg.in_process_executor,
    description="From a round's accepted masks to weights in use: snapshot, training set, retraining, promotion.",
)

round_detector = dg.define_asset_job(
    "round_detector",
    selection=dg.AssetSelection.assets(RoundAssetName.OBJECT_DETECTOR.value),
    executor_def=dg.in_process_executor,
    description="Trains the object detector on all masks of the first stage, for rounds of the second.",
)

prefill_round = dg.define_asset_job(
    "prefill_round",
    selection=dg.AssetSelection.assets(RoundAssetName.PREFILLED_MASKS.value),
    executor_def=dg.in_process_executor,
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
    if dataset.config.source is None:
        return dg.SkipReason(f"No source is set in {dataset.home}; set SA_PIPELINE_SOURCE or run `sa-pipeline run`.")
    try:
        append_new_images(
            dataset.storage,
            dataset.config.source,
            dataset.settings.images,
            index=dataset.ledger_index,
            limit=IMAGES_PER_TICK,
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


@dg.schedule(
    job=shard_masks,
    cron_schedule="0 2 * * *",
    description="Every night, runs the shards of which a file is missing or stale.",
)
def nightly_backfill(
    context: dg.ScheduleEvaluationContext, data: DatasetResource
) -> list[dg.RunRequest] | dg.SkipReason:
    """Compares the ledger's shards with the files that are there."""
    dataset, checkpoint = data.open(), data.checkpoint()
    running = shards_in_progress(context.instance)
    wanted = [
        shard
        for shard in list_shards(dataset.storage)
        if shard not in running
        and any(state is not Freshness.FRESH for state in shard_freshness(dataset, shard, checkpoint).values())
    ]
    if not wanted:
        return dg.SkipReason("Every shard is fresh or in progress.")
    context.instance.add_dynamic_partitions(str(IMAGE_SHARDS.name), wanted)
    # Dagster wants keys where a tick asks for several runs; the moment keeps a later night from being refused.
    moment = time.time_ns()
    return [dg.RunRequest(run_key=f"{shard}-{moment}", partition_key=shard) for shard in wanted]


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
