"""The checks of the shard flow: plain functions of `quality/`, each tied to the asset that it looks at."""

import warnings
from collections.abc import Callable

import dagster as dg

from sa_pipeline.artifacts import AssetName
from sa_pipeline.assets.common import IMAGE_SHARDS
from sa_pipeline.dataset import Dataset
from sa_pipeline.quality.embeddings import embeddings_complete_and_finite
from sa_pipeline.quality.export import counts_reconcile, records_valid
from sa_pipeline.quality.images import images_readable
from sa_pipeline.quality.masks import candidates_all_judged, masks_plausible, scores_within_bounds
from sa_pipeline.quality.outcome import CheckOutcome
from sa_pipeline.resources import DatasetResource

Examine = Callable[[Dataset, str], CheckOutcome]

# Checks of single partitions are marked as a preview.
warnings.filterwarnings("ignore", category=dg.PreviewWarning, message=".*partitions_def.*")


def _check(asset: AssetName, examine: Examine, *, blocking: bool) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset.value,
        name=examine.__name__,
        description=(examine.__doc__ or "").splitlines()[0],
        blocking=blocking,
        partitions_def=IMAGE_SHARDS,
    )
    def checked(context: dg.AssetCheckExecutionContext, data: DatasetResource) -> dg.AssetCheckResult:
        outcome = examine(data.open(), context.partition_key)
        severity = dg.AssetCheckSeverity.WARN if outcome.severity == "warning" else dg.AssetCheckSeverity.ERROR
        metadata = {"summary": outcome.summary} | dict(outcome.values)
        return dg.AssetCheckResult(passed=outcome.passed, severity=severity, metadata=metadata)

    return checked


SHARD_CHECKS = [
    _check(AssetName.RAW_IMAGES, images_readable, blocking=True),
    _check(AssetName.IMAGE_EMBEDDINGS, embeddings_complete_and_finite, blocking=True),
    _check(AssetName.CANDIDATE_MASKS, scores_within_bounds, blocking=True),
    _check(AssetName.FILTERED_MASKS, candidates_all_judged, blocking=True),
    _check(AssetName.DEDUPLICATED_MASKS, masks_plausible, blocking=False),
    _check(AssetName.SA1B_EXPORT, records_valid, blocking=True),
    _check(AssetName.SA1B_EXPORT, counts_reconcile, blocking=True),
]
"""In the order of the data; a failing blocking check stops what lies downstream in the same run."""
