"""`training_set`: a round's human masks, split into those for training and those of held-out images."""

from typing import Any

import dagster as dg

from sa_pipeline.artifacts import RoundAssetName
from sa_pipeline.assets.common import fail_at_once, log_progress, report
from sa_pipeline.assets.human_masks import human_masks
from sa_pipeline.assets.rounds import ROUND_FLOW
from sa_pipeline.report.human_masks import round_overlays
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource
from sa_pipeline.stages.training_set import make_training_set


@dg.asset(
    **ROUND_FLOW,
    deps=[human_masks],
    kinds={"parquet"},
    description="The round's new human masks, which SAM is retrained on (paper §4); some images are held out.",
)
@fail_at_once
def training_set(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Splits a round's masks."""
    dataset, round_name = data.open(), context.partition_key
    result = make_training_set(dataset, round_name, log_progress(context))
    overlays = round_overlays(dataset, round_name, asset=RoundAssetName.TRAINING_SET)
    return report(dataset, result, "masks", {"overlays": markdown_image(overlays)})
