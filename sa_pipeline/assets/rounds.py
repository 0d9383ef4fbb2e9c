"""What the assets of an annotation round share: partitions, and the studio's database while they work."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from sa_pipeline.assets.common import TRANSIENT_FAULTS
from sa_pipeline.dataset import Dataset
from sa_pipeline.studio.database import Studio, open_studio

ANNOTATION_ROUNDS = dg.DynamicPartitionsDefinition(name="annotation_rounds")
"""One partition per round of annotation."""

ROUND_FLOW: Mapping[str, Any] = {
    "partitions_def": ANNOTATION_ROUNDS,
    "group_name": "annotation",
    "retry_policy": TRANSIENT_FAULTS,
}


@contextlib.contextmanager
def opened_studio(dataset: Dataset) -> Iterator[Studio]:
    """Opens a dataset's studio and closes it at the end."""
    studio = open_studio(dataset)
    try:
        yield studio
    finally:
        studio.close()
