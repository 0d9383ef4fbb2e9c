"""The one `Definitions` object that Dagster loads."""

import dagster as dg

from sa_pipeline.assets.annotation_tasks import annotation_tasks
from sa_pipeline.assets.candidate_masks import candidate_masks
from sa_pipeline.assets.catalog import catalog
from sa_pipeline.assets.current_checkpoint import current_checkpoint
from sa_pipeline.assets.current_detector import current_detector
from sa_pipeline.assets.dataset_card import dataset_card
from sa_pipeline.assets.deduplicated_masks import deduplicated_masks
from sa_pipeline.assets.deidentified_images import deidentified_images
from sa_pipeline.assets.filtered_masks import filtered_masks
from sa_pipeline.assets.human_masks import human_masks
from sa_pipeline.assets.image_embeddings import image_embeddings
from sa_pipeline.assets.mask_quality_audit import mask_quality_audit
from sa_pipeline.assets.mask_verifier import mask_verifier
from sa_pipeline.assets.object_detector import object_detector
from sa_pipeline.assets.prefilled_masks import prefilled_masks
from sa_pipeline.assets.promoted_checkpoint import promoted_checkpoint
from sa_pipeline.assets.raw_images import raw_images
from sa_pipeline.assets.round_report import round_report
from sa_pipeline.assets.sa1b_export import sa1b_export
from sa_pipeline.assets.sam_checkpoint import sam_checkpoint
from sa_pipeline.assets.training_set import training_set
from sa_pipeline.automation import (
    catalog_after_shards,
    fill_round,
    new_images,
    nightly_backfill,
    prefill_round,
    refresh_catalog,
    retrain_round,
    round_audit,
    round_detector,
    round_masks,
    shard_embeddings,
    shard_masks,
)
from sa_pipeline.checks.round_checks import ROUND_CHECKS
from sa_pipeline.checks.shard_checks import SHARD_CHECKS
from sa_pipeline.executor import in_process_executor
from sa_pipeline.logs import configure_logging
from sa_pipeline.missed_retries import missed_retries
from sa_pipeline.resources import DatasetResource
from sa_pipeline.round_automation import close_round_job, round_done
from sa_pipeline.verification_job import verify_dataset, weekly_verification

# Dagster loads this file in each of its processes that run our code, before it makes the loggers of a run.
configure_logging()

FLOW = (
    raw_images,
    deidentified_images,
    image_embeddings,
    candidate_masks,
    filtered_masks,
    deduplicated_masks,
    sa1b_export,
    prefilled_masks,
    annotation_tasks,
    human_masks,
    training_set,
    sam_checkpoint,
    promoted_checkpoint,
    object_detector,
    mask_quality_audit,
    mask_verifier,
    round_report,
    catalog,
    dataset_card,
)
"""The assets in the order of the data."""

defs = dg.Definitions(
    assets=[current_checkpoint, current_detector, *FLOW],
    asset_checks=[*SHARD_CHECKS, *ROUND_CHECKS],
    jobs=[
        shard_masks,
        shard_embeddings,
        prefill_round,
        fill_round,
        close_round_job,
        round_masks,
        retrain_round,
        round_audit,
        round_detector,
        refresh_catalog,
        verify_dataset,
    ],
    schedules=[weekly_verification],
    sensors=[new_images, nightly_backfill, catalog_after_shards, round_done, missed_retries],
    resources={"data": DatasetResource()},
    # One process per run, also for backfills from the UI, so that a shard's run loads the checkpoint once.
    executor=in_process_executor,
)
