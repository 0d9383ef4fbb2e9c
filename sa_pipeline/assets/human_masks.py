"""`human_masks`: what people made in a round and a reviewer accepted."""

from typing import Any

import dagster as dg

from sa_pipeline.artifacts import RoundAssetName, artifact_name
from sa_pipeline.assets.annotation_tasks import annotation_tasks
from sa_pipeline.assets.common import fail_at_once, log_progress, report
from sa_pipeline.assets.rounds import ROUND_FLOW, opened_studio
from sa_pipeline.report.human_masks import effort, round_overlays
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource
from sa_pipeline.studio.snapshot import snapshot_round


@dg.asset(
    **ROUND_FLOW,
    deps=[annotation_tasks],
    kinds={"parquet"},
    description="Snapshot of a round's accepted masks, and of every change that led to them.",
)
@fail_at_once
def human_masks(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Snapshots a round."""
    dataset, round_name = data.open(), context.partition_key
    with opened_studio(dataset) as studio:
        made = snapshot_round(studio, round_name, log_progress(context))
    overlays = markdown_image(round_overlays(dataset, round_name))
    events = artifact_name(RoundAssetName.HUMAN_MASK_EVENTS, round_name)
    values = {"events": made.events.header.counts["events"], **effort(dataset, round_name)}
    return report(dataset, made.masks, "masks", {"overlays": overlays}, {"events_file": events}, values)
