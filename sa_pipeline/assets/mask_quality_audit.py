"""`mask_quality_audit`: automatic masks held against what people made of them."""

import math
from typing import Any

import dagster as dg

from sa_pipeline.assets.common import fail_at_once, log_progress, report
from sa_pipeline.assets.human_masks import human_masks
from sa_pipeline.assets.rounds import ROUND_FLOW
from sa_pipeline.quality.audit import AuditFigures, audit_figures
from sa_pipeline.report.audit import worst_pairs
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource
from sa_pipeline.stages.mask_quality_audit import make_mask_quality_audit


@dg.asset(
    **ROUND_FLOW,
    deps=[human_masks],
    kinds={"parquet"},
    description="Of a round of the stage audit: IoU of each automatic mask with the person's (paper §5).",
)
@fail_at_once
def mask_quality_audit(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Pairs the masks of an audit."""
    dataset, round_name = data.open(), context.partition_key
    result = make_mask_quality_audit(dataset, round_name, log_progress(context))
    pictures = {"worst_pairs": markdown_image(worst_pairs(dataset, round_name))}
    return report(dataset, result, "pairs", pictures, values=_values(audit_figures(dataset, round_name)))


def _values(figures: AuditFigures) -> dict[str, float]:
    values = {"mean_iou": figures.mean_iou, "median_agreement": figures.median_agreement}
    for name, interval in (("share_over_90", figures.over_90), ("share_over_75", figures.over_75)):
        values |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    values |= {"agreements": figures.agreements, "disputed": figures.disputed}
    return {name: round(value, 4) for name, value in values.items() if not math.isnan(value)}
