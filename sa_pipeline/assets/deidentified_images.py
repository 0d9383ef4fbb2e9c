"""`deidentified_images`: faces and licence plates blurred, before anything else is made of an image."""

from typing import Any

import dagster as dg

from sa_pipeline.artifacts import AssetName, input_digest
from sa_pipeline.assets.common import SHARD_FLOW, fail_at_once, log_progress, report
from sa_pipeline.assets.raw_images import raw_images
from sa_pipeline.report.contact_sheet import contact_sheet
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource
from sa_pipeline.stages.deidentified_images import make_deidentified_images


@dg.asset(
    **SHARD_FLOW,
    deps=[raw_images],
    kinds={"onnx"},
    description="Faces and licence plates found and blurred (paper §5); does nothing where settings leave it off.",
)
@fail_at_once
def deidentified_images(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Blurs what identifies people in a shard's images."""
    dataset, shard = data.open(), context.partition_key
    result = make_deidentified_images(dataset, shard, log_progress(context))
    if result is None:
        # Whoever reads it reads the raw images, so it changes when they do.
        version = dg.DataVersion(input_digest(dataset.storage, AssetName.RAW_IMAGES, shard))
        return dg.MaterializeResult(metadata={"deidentification": "off"}, data_version=version)
    sheet = markdown_image(contact_sheet(dataset, shard))
    return report(dataset, result, "images", {"contact_sheet": sheet})
