"""`current_checkpoint`: the weights in use, a leaf whose version is their digest."""

import dagster as dg

from sa_pipeline.resources import DatasetResource


@dg.observable_source_asset(
    group_name="models",
    description="The checkpoint that the dataset's settings name. New weights make embeddings and masks stale.",
)
def current_checkpoint(data: DatasetResource) -> dg.DataVersion:
    """Observes the digest of the weights."""
    return dg.DataVersion(data.checkpoint().digest)
