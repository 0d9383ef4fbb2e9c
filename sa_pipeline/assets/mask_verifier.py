"""`mask_verifier`: learns from people which automatic masks are wrong."""

from typing import Any

import dagster as dg

from sa_pipeline.assets.common import fail_at_once, log_progress
from sa_pipeline.assets.human_masks import human_masks
from sa_pipeline.report.png import markdown_image
from sa_pipeline.report.verifier import value_chart
from sa_pipeline.resources import DatasetResource


@dg.asset(
    deps=[human_masks],
    group_name="annotation",
    kinds={"json"},
    # No arrow leads to annotation_tasks, which reads it, since Dagster has no circles.
    description="A small classifier of masks that people kept, mended and deleted; doubtful masks are shown first.",
)
@fail_at_once
def mask_verifier(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Trains the verifier on all rounds."""
    from sa_pipeline.verifier.record import VERIFIER_FILE, make_verifier

    dataset = data.open()
    made = make_verifier(dataset, log_progress(context))
    if made is None:
        least = dataset.settings.audit.min_verifier_examples
        told = f"too few masks were looked at by people: {least} wrong ones and {least} others are needed"
        return dg.MaterializeResult(metadata={"verifier": told})
    value = made.value
    metadata: dict[str, Any] = {"masks": value.masks, "images": value.images, "wrong": value.wrong}
    metadata |= {f"wrong_per_mask_first_{share:.0%}": round(found, 4) for share, found in value.verifier.items()}
    metadata["wrong_per_mask_by_chance"] = round(value.by_chance, 4)
    metadata["file"] = dg.MetadataValue.path(dataset.storage.url_of(VERIFIER_FILE))
    metadata["value"] = dg.MetadataValue.md(markdown_image(value_chart(value)))
    return dg.MaterializeResult(metadata=metadata)
