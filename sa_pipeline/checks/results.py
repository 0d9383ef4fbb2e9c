"""How the outcome of a check is told to Dagster."""

import warnings
from collections.abc import Sequence
from typing import Any

import dagster as dg

from sa_pipeline.quality.distribution import QUANTILES, bin_edges
from sa_pipeline.quality.outcome import CheckOutcome, Comparison
from sa_pipeline.report.histograms import comparison_histograms
from sa_pipeline.report.png import markdown_image

# Checks of single partitions are marked as a preview.
warnings.filterwarnings("ignore", category=dg.PreviewWarning, message=".*partitions_def.*")


def check_result(outcome: CheckOutcome) -> dg.AssetCheckResult:
    """The outcome with its numbers and pictures."""
    severity = dg.AssetCheckSeverity.WARN if outcome.severity == "warning" else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        passed=outcome.passed, severity=severity, description=outcome.summary, metadata=_describe(outcome)
    )


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
