"""`filtered_masks`: a verdict for every candidate of a shard."""

from typing import Any

import dagster as dg

from sa_pipeline.assets.candidate_masks import candidate_masks
from sa_pipeline.assets.common import SHARD_FLOW, fail_at_once, log_progress, report
from sa_pipeline.report.histograms import funnel_chart
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource
from sa_pipeline.stages.filtered_masks import make_filtered_masks


@dg.asset(
    **SHARD_FLOW,
    deps=[candidate_masks],
    kinds={"parquet"},
    description="Kept if confident, stable, whole, and not the entire image; else the rule that failed (paper §4).",
)
@fail_at_once
def filtered_masks(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Judges a shard's candidates."""
    dataset = data.open()
    result = make_filtered_masks(dataset, context.partition_key, log_progress(context))
    return report(dataset, result, "candidates", {"funnel": markdown_image(funnel_chart(result.header.counts))})
