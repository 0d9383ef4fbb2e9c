"""`raw_images`: a shard's files as images, or as rows that say why not."""

from typing import Any

import dagster as dg

from sa_pipeline.assets.common import SHARD_FLOW, fail_at_once, log_progress, report
from sa_pipeline.report.contact_sheet import contact_sheet
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource
from sa_pipeline.stages.raw_images import make_raw_images


@dg.asset(**SHARD_FLOW, kinds={"parquet"}, description="Images read, checked, brought upright and down (paper §5).")
@fail_at_once
def raw_images(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Reads a shard's images."""
    dataset = data.open()
    result = make_raw_images(dataset, context.partition_key, log_progress(context))
    pictures = {}
    if not dataset.settings.deidentification.enabled:  # else deidentified_images shows them, blurred
        pictures["contact_sheet"] = markdown_image(contact_sheet(dataset, context.partition_key))
    return report(dataset, result, "files", pictures)
