"""`sa1b_export`: the images of a shard and their records, as SA-1B packs them."""

from typing import Any

import dagster as dg

from sa_pipeline.assets.common import SHARD_FLOW, fail_at_once, log_progress, report
from sa_pipeline.assets.deduplicated_masks import deduplicated_masks
from sa_pipeline.assets.raw_images import raw_images
from sa_pipeline.resources import DatasetResource
from sa_pipeline.stages.sa1b_export import make_sa1b_export


@dg.asset(
    **SHARD_FLOW,
    deps=[raw_images, deduplicated_masks],
    kinds={"json"},
    description="One tar of images and records in the format of SA-1B, byte for byte reproducible (paper §5).",
)
@fail_at_once
def sa1b_export(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Exports a shard."""
    dataset = data.open()
    return report(dataset, make_sa1b_export(dataset, context.partition_key, log_progress(context)), "images")
