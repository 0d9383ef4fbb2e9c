"""`current_checkpoint`: the weights in use, a leaf whose version is their digest."""

import dagster as dg

from sa_pipeline.artifacts import CheckpointRef
from sa_pipeline.resources import DatasetResource

DATA_VERSION = "dagster/data_version"
"""Tag by which Dagster takes an observation for a version."""


@dg.observable_source_asset(
    group_name="models",
    description="The checkpoint promoted last, else that of the settings. New weights make embeddings and masks stale.",
)
def current_checkpoint(data: DatasetResource) -> dg.DataVersion:
    """Observes the digest of the weights."""
    return dg.DataVersion(data.checkpoint().digest)


def observation(checkpoint: CheckpointRef) -> dg.AssetObservation:
    """What Dagster is told when other weights are put into use, so that it need not look for itself."""
    return dg.AssetObservation(current_checkpoint.key, tags={DATA_VERSION: checkpoint.digest})
