"""Automatic masks as a semi-automatic task begins with them (paper §4, "Semi-automatic stage")."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from sa_pipeline.artifacts import AssetName, iterate_row_groups
from sa_pipeline.dataset import Dataset
from sa_pipeline.settings import Granularity
from sa_pipeline.studio.models import Prompts
from sa_pipeline.studio.new_tasks import GivenMask

Prefill = Callable[[str], Mapping[int, Sequence[GivenMask]]]
"""For a shard, the masks of its images by image id, in order of prominence."""

_COLUMNS = ["image_id", "mask_id", "rank", "kept", "counts", "predicted_iou", "point_coords", "granularity"]
_OUTPUTS: Mapping[str, Literal[1, 2, 3]] = {Granularity.SUBPART: 1, Granularity.PART: 2, Granularity.WHOLE: 3}


def automatic_masks(dataset: Dataset) -> Prefill:
    """The exported masks of `deduplicated_masks`, in the order of the record.

    Returns:
        A function of the shard, which raises ArtifactError where the masks were not made or are damaged.
    """

    def masks_of(shard: str) -> dict[int, list[GivenMask]]:
        found = defaultdict(list)
        groups = iterate_row_groups(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard, columns=_COLUMNS)
        for group in groups:
            for row in group.filter(group["kept"]).sort_by("rank").to_pylist():
                found[row["image_id"]].append(_given(row))
        return found

    return masks_of


def _given(row: dict[str, Any]) -> GivenMask:
    prompts = Prompts(
        point_coords=[tuple(row["point_coords"])],
        point_labels=[1],
        output=_OUTPUTS[row["granularity"]],
        predicted_iou=row["predicted_iou"],
    )
    return GivenMask(row["counts"], prompts=prompts, source_mask_id=row["mask_id"])
