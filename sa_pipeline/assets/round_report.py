"""`round_report`: how the annotation rounds went, beside the paper's."""

from typing import Any

import dagster as dg

from sa_pipeline.assets.common import fail_at_once, log_progress
from sa_pipeline.assets.human_masks import human_masks
from sa_pipeline.assets.mask_quality_audit import mask_quality_audit
from sa_pipeline.assets.object_detector import object_detector
from sa_pipeline.assets.sam_checkpoint import sam_checkpoint
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource
from sa_pipeline.round_figures.collect import ROUND_REPORT_FILE


@dg.asset(
    deps=[human_masks, sam_checkpoint, object_detector, mask_quality_audit],
    group_name="annotation",
    kinds={"parquet", "html"},
    description="Seconds, clicks and masks of every round, what SAM's help was worth, and how people agree (paper §4).",
)
@fail_at_once
def round_report(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Writes the figures of all rounds, and the page with their curves."""
    from sa_pipeline.cards.round_charts import round_charts
    from sa_pipeline.cards.write import write_rounds_page
    from sa_pipeline.round_figures.collect import make_round_report

    dataset = data.open()
    made = make_round_report(dataset, log_progress(context))
    rounds = made.rounds
    for name, reason in made.left_out.items():
        context.log.warning("Round %s is left out: %s", name, reason)
    metadata: dict[str, Any] = {"rounds": len(rounds), "tasks": sum(figures.tasks for figures in rounds)}
    metadata["left_out"] = dg.MetadataValue.json(made.left_out)
    metadata["file"] = dg.MetadataValue.path(dataset.storage.url_of(ROUND_REPORT_FILE))
    metadata |= {name: dg.MetadataValue.path(path) for name, path in write_rounds_page(dataset).items()}
    metadata |= {chart.name: dg.MetadataValue.md(markdown_image(chart.picture)) for chart in round_charts(rounds)}
    return dg.MaterializeResult(metadata=metadata)
