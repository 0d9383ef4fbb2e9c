"""`candidate_masks`: what the model proposes on every image of a shard."""

from typing import Any

import dagster as dg

from sa_pipeline.artifacts import AssetName, read_table
from sa_pipeline.assets.common import MODEL_POOL, SHARD_FLOW, fail_at_once, log_progress, report
from sa_pipeline.assets.deidentified_images import deidentified_images
from sa_pipeline.assets.image_embeddings import image_embeddings
from sa_pipeline.assets.raw_images import raw_images
from sa_pipeline.report.histograms import score_histograms
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource


@dg.asset(
    **SHARD_FLOW,
    deps=[raw_images, deidentified_images, image_embeddings],
    pool=MODEL_POOL,
    kinds={"pytorch"},
    description="Three masks for every point of the grid, on the image and on its crops (paper §4, Appendix B).",
)
@fail_at_once
def candidate_masks(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Proposes masks on a shard's images."""
    from sa_pipeline.stages.candidate_masks import make_candidate_masks

    dataset, shard = data.open(), context.partition_key
    result = make_candidate_masks(dataset, shard, data.model(), log_progress(context))
    columns = ["predicted_iou", "stability_score", "area", "size"]
    candidates = read_table(dataset.storage, AssetName.CANDIDATE_MASKS, shard, columns=columns)
    histograms = markdown_image(score_histograms(candidates, dataset.settings.masks))
    return report(dataset, result, "proposals", {"scores": histograms})
