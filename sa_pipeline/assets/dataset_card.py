"""`dataset_card`: what the dataset says of itself, for whoever uses it."""

from typing import Any

import dagster as dg

from sa_pipeline.assets.catalog import catalog
from sa_pipeline.assets.common import log_progress
from sa_pipeline.assets.sa1b_export import sa1b_export
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource


@dg.asset(
    deps=[catalog, sa1b_export],
    group_name="catalog",
    kinds={"html", "markdown"},
    description="Dataset card, annotation card (paper §5, Appendix F) and Croissant metadata of the export.",
)
def dataset_card(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Writes the cards from the catalogue and a sample of the masks."""
    from sa_pipeline.cards.write import write_cards

    written = write_cards(data.open(), progress=log_progress(context))
    metadata: dict[str, Any] = {"images": written.images, "masks": written.masks, "sampled_masks": written.sampled}
    for name, path in written.files.items():
        metadata[name] = dg.MetadataValue.path(path)
    if written.overview is not None:
        metadata["overview"] = dg.MetadataValue.md(markdown_image(written.overview))
    return dg.MaterializeResult(metadata=metadata)
