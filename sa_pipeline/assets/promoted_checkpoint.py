"""`promoted_checkpoint`: a round's weights put into use.

No arrow leads on from here, since Dagster refuses circles: `current_checkpoint` is a leaf, whose new version makes
embeddings and masks stale.
"""

from typing import Any

import dagster as dg

from sa_pipeline.assets.common import fail_at_once
from sa_pipeline.assets.current_checkpoint import observation
from sa_pipeline.assets.rounds import ROUND_FLOW
from sa_pipeline.assets.sam_checkpoint import sam_checkpoint
from sa_pipeline.promotion import promote
from sa_pipeline.resources import DatasetResource


@dg.asset(
    **ROUND_FLOW,
    deps=[sam_checkpoint],
    description="The weights in use from now on, if they are not worse than those before. Materialize it for an "
    "earlier round to go back to that round's weights.",
)
@fail_at_once
def promoted_checkpoint(context: dg.AssetExecutionContext, data: DatasetResource) -> dg.MaterializeResult[Any]:
    """Promotes a round's weights."""
    promoted = promote(data.open(), context.partition_key)
    context.log_event(observation(promoted.checkpoint))
    metadata = {
        "checkpoint": f"{promoted.checkpoint.name} {promoted.checkpoint.digest}",
        "parent": f"{promoted.parent.name} {promoted.parent.digest}" if promoted.parent else "-",
    }
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(promoted.checkpoint.digest))
