"""`catalog`: one DuckDB file about all shards, and the report page."""

from pathlib import Path
from typing import Any

import dagster as dg
from PIL import Image

from sa_pipeline.assets.human_masks import human_masks
from sa_pipeline.assets.mask_quality_audit import mask_quality_audit
from sa_pipeline.assets.object_detector import object_detector
from sa_pipeline.assets.prefilled_masks import prefilled_masks
from sa_pipeline.assets.promoted_checkpoint import promoted_checkpoint
from sa_pipeline.assets.round_report import round_report
from sa_pipeline.assets.sa1b_export import sa1b_export
from sa_pipeline.assets.sam_checkpoint import sam_checkpoint
from sa_pipeline.assets.training_set import training_set
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource
from sa_pipeline.run_history import (
    AS_OF,
    SHARD_RUNS_IN_PROGRESS,
    count_shard_runs_in_progress,
    newest_materialization,
    read_run_history,
)


@dg.asset(
    deps=[
        sa1b_export,
        human_masks,
        training_set,
        object_detector,
        prefilled_masks,
        mask_quality_audit,
        round_report,
        sam_checkpoint,
        promoted_checkpoint,
    ],
    group_name="catalog",
    kinds={"duckdb"},
    description="Everything that is known of shards, images and masks, to be asked with SQL.",
)
def catalog(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Builds the catalogue and the report from the files of all shards."""
    from sa_pipeline.catalog.build import build_catalog
    from sa_pipeline.report.page import FUNNEL_FILE, SCORES_FILE, write_report

    dataset = data.open()
    as_of = newest_materialization(context.instance)  # first: what is published later may not be seen
    runs = read_run_history(context.instance)
    built = build_catalog(dataset, runs=runs)
    page = write_report(dataset)
    metadata: dict[str, Any] = {f"rows_{table}": count for table, count in built.counts.items()}
    return dg.MaterializeResult(
        metadata=metadata
        | {
            "seconds": round(built.seconds, 2),
            "shards_per_second": round(built.counts["shards"] / max(built.seconds, 0.001), 3),
            "file": dg.MetadataValue.path(str(dataset.catalog_path)),
            "report": dg.MetadataValue.path(str(page)),
            "funnel": _picture(page.with_name(FUNNEL_FILE)),
            "scores": _picture(page.with_name(SCORES_FILE)),
            AS_OF: as_of,
            SHARD_RUNS_IN_PROGRESS: count_shard_runs_in_progress(runs),
        }
    )


def _picture(path: Path) -> dg.MarkdownMetadataValue:
    with Image.open(path) as image:
        return dg.MetadataValue.md(markdown_image(image))
