"""The checks of the shard flow: plain functions of `quality/`, each tied to the asset that it looks at."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from sa_pipeline.artifacts import AssetName
from sa_pipeline.assets.common import IMAGE_SHARDS
from sa_pipeline.dataset import Dataset
from sa_pipeline.quality.distribution import QUANTILES, bin_edges
from sa_pipeline.quality.drift import scores_like_reference
from sa_pipeline.quality.duplicates import no_duplicates_kept
from sa_pipeline.quality.embeddings import embeddings_complete_and_finite
from sa_pipeline.quality.export import counts_reconcile, records_valid
from sa_pipeline.quality.images import images_readable
from sa_pipeline.quality.masks import candidates_all_judged, masks_plausible, scores_within_bounds
from sa_pipeline.quality.outcome import CheckOutcome, Comparison
from sa_pipeline.report.histograms import comparison_histograms
from sa_pipeline.report.png import markdown_image
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
        return dg.AssetCheckResult(
            passed=outcome.passed, severity=severity, description=outcome.summary, metadata=_describe(outcome)
        )

    return checked


def _describe(outcome: CheckOutcome) -> dict[str, Any]:
    metadata: dict[str, Any] = dict(outcome.values)
    if outcome.comparisons:
        metadata["quantiles"] = dg.MetadataValue.md(_quantile_table(outcome.comparisons))
        metadata["histograms"] = dg.MetadataValue.md(
            markdown_image(
                comparison_histograms(
                    [
                        (each.title, each.shard.counts, each.reference.counts if each.reference else None)
                        for each in outcome.comparisons
                    ],
                    bin_edges(),
                )
            )
        )
    return metadata


def _quantile_table(comparisons: Sequence[Comparison]) -> str:
    """Markdown: quantiles of the shard's scores and, where there is one, of the reference's."""
    rows = [f"| | {' | '.join(f'{quantile:.0%}' for quantile in QUANTILES)} |", "|---" * (len(QUANTILES) + 1) + "|"]
    for comparison in comparisons:
        for whose, scores in (("shard", comparison.shard), ("reference", comparison.reference)):
            if scores is not None:
                numbers = " | ".join(f"{value:.3f}" for value in scores.quantiles())
                rows.append(f"| {comparison.title}, {whose} | {numbers} |")
    return "\n".join(rows)


SHARD_CHECKS = [
    _check(AssetName.RAW_IMAGES, images_readable, blocking=True),
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
