"""`sa1b_export`: the images of a shard and their records, as SA-1B packs them."""

from typing import Any

import dagster as dg

from sa_pipeline.artifacts import export_tar_name
from sa_pipeline.assets.common import SHARD_FLOW, fail_at_once, log_progress, report
from sa_pipeline.assets.deduplicated_masks import deduplicated_masks
from sa_pipeline.assets.deidentified_images import deidentified_images
from sa_pipeline.assets.raw_images import raw_images
from sa_pipeline.report.funnel import funnel_of, shard_counts
from sa_pipeline.report.histograms import funnel_chart
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource
from sa_pipeline.stages.sa1b_export import make_sa1b_export


@dg.asset(
    **SHARD_FLOW,
    deps=[raw_images, deidentified_images, deduplicated_masks],
    kinds={"json"},
    description="One tar of images and records in the format of SA-1B, byte for byte reproducible (paper §5).",
)
@fail_at_once
def sa1b_export(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Exports a shard."""
    dataset, shard = data.open(), context.partition_key
    result = make_sa1b_export(dataset, shard, log_progress(context))
    funnel = markdown_image(funnel_chart(funnel_of(shard_counts(dataset, shard))))
    return report(dataset, result, "images", {"funnel": funnel}, {"tar": export_tar_name(shard)})
