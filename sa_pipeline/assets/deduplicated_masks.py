"""`deduplicated_masks`: the masks of a shard without their duplicates, cleaned."""

from typing import Any

import dagster as dg

from sa_pipeline.assets.candidate_masks import candidate_masks
from sa_pipeline.assets.common import SHARD_FLOW, fail_at_once, log_progress, report
from sa_pipeline.assets.filtered_masks import filtered_masks
from sa_pipeline.report.overlays import shard_overlays
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource
from sa_pipeline.stages.deduplicated_masks import make_deduplicated_masks


@dg.asset(
    **SHARD_FLOW,
    deps=[candidate_masks, filtered_masks],
    kinds={"parquet"},
    description="Non-maximum suppression within crops and across them, small regions cleaned (paper, Appendix B).",
)
@fail_at_once
def deduplicated_masks(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Deduplicates a shard's masks."""
    dataset = data.open()
    result = make_deduplicated_masks(dataset, context.partition_key, log_progress(context))
    overlays = markdown_image(shard_overlays(dataset, context.partition_key))
    return report(dataset, result, "masks", {"overlays": overlays})
