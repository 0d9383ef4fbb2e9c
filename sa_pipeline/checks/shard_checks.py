"""The checks of the shard flow: plain functions of `quality/`, each tied to the asset that it looks at."""

from collections.abc import Callable

import dagster as dg

from sa_pipeline.artifacts import AssetName
from sa_pipeline.assets.common import IMAGE_SHARDS
from sa_pipeline.checks.results import check_result
from sa_pipeline.dataset import Dataset
from sa_pipeline.quality.drift import scores_like_reference
from sa_pipeline.quality.duplicates import no_duplicates_kept
from sa_pipeline.quality.embeddings import embeddings_complete_and_finite
from sa_pipeline.quality.export import counts_reconcile, records_valid
from sa_pipeline.quality.images import images_readable
from sa_pipeline.quality.masks import candidates_all_judged, masks_plausible, scores_within_bounds
from sa_pipeline.quality.outcome import CheckOutcome
from sa_pipeline.quality.privacy import faces_gone_after_blurring
from sa_pipeline.resources import DatasetResource

Examine = Callable[[Dataset, str], CheckOutcome]


def _check(asset: AssetName, examine: Examine, *, blocking: bool) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset.value,
        name=examine.__name__,
        description=(examine.__doc__ or "").splitlines()[0],
        blocking=blocking,
        partitions_def=IMAGE_SHARDS,
    )
    def checked(context: dg.AssetCheckExecutionContext, data: DatasetResource) -> dg.AssetCheckResult:
        return check_result(examine(data.open(), context.partition_key))

    return checked


SHARD_CHECKS = [
    _check(AssetName.RAW_IMAGES, images_readable, blocking=True),
    _check(AssetName.DEIDENTIFIED_IMAGES, faces_gone_after_blurring, blocking=False),
    _check(AssetName.IMAGE_EMBEDDINGS, embeddings_complete_and_finite, blocking=True),
    _check(AssetName.CANDIDATE_MASKS, scores_within_bounds, blocking=True),
    _check(AssetName.CANDIDATE_MASKS, scores_like_reference, blocking=True),
    _check(AssetName.FILTERED_MASKS, candidates_all_judged, blocking=True),
    _check(AssetName.DEDUPLICATED_MASKS, no_duplicates_kept, blocking=True),
    _check(AssetName.DEDUPLICATED_MASKS, masks_plausible, blocking=False),
    _check(AssetName.SA1B_EXPORT, records_valid, blocking=True),
    _check(AssetName.SA1B_EXPORT, counts_reconcile, blocking=True),
]
"""In the order of the data; a blocking check that fails with an error, not a warning, stops the same run's rest."""
