"""`image_embeddings`: SAM's encoder on every full image of a shard."""

from typing import Any

import dagster as dg

from sa_pipeline.assets.common import MODEL_POOL, SHARD_FLOW, fail_at_once, log_progress, report
from sa_pipeline.assets.current_checkpoint import current_checkpoint
from sa_pipeline.assets.deidentified_images import deidentified_images
from sa_pipeline.assets.raw_images import raw_images
from sa_pipeline.report.embeddings import embedding_sheet
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource


@dg.asset(
    **SHARD_FLOW,
    deps=[raw_images, deidentified_images, current_checkpoint],
    pool=MODEL_POOL,
    kinds={"pytorch"},
    description="Image embeddings, computed once and used by the automatic stage and by annotators (paper §2).",
)
@fail_at_once
def image_embeddings(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Encodes a shard's images."""
    from sa_pipeline.stages.image_embeddings import make_image_embeddings

    dataset = data.open()
    result = make_image_embeddings(dataset, context.partition_key, data.model(), log_progress(context))
    picture = markdown_image(embedding_sheet(dataset, context.partition_key))
    return report(dataset, result, "images", {"embeddings": picture})
