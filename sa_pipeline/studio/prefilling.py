"""Masks that a semi-automatic task begins with (paper §4, "Semi-automatic stage")."""

import enum
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pyarrow.compute as pc

from sa_pipeline.artifacts import AssetName, RoundAssetName, iterate_row_groups, read_header, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.detection.record import newest_detector
from sa_pipeline.errors import StudioError
from sa_pipeline.settings import Granularity
from sa_pipeline.studio.models import Prompts
from sa_pipeline.studio.new_tasks import GivenMask
from sa_pipeline.studio.rounds import Round

Prefill = Callable[[str], Mapping[int, Sequence[GivenMask]]]
"""For a shard, the masks of its images by image id, in order of prominence."""


class PrefillFrom(enum.StrEnum):
    """Where the masks come from that tasks begin with."""

    NONE = "none"
    AUTOMATIC = "automatic"
    """The masks of the automatic stage, `deduplicated_masks`."""
    DETECTOR = "detector"
    """SAM's masks for the boxes of the object detector, `prefilled_masks` of the round, as in the paper."""


_COLUMNS = ["image_id", "mask_id", "rank", "kept", "counts", "predicted_iou", "point_coords", "granularity"]
_DETECTOR_COLUMNS = ["image_id", "shard", "mask_id", "rank", "counts", "predicted_iou", "box"]
_OUTPUTS: Mapping[str, Literal[1, 2, 3]] = {Granularity.SUBPART: 1, Granularity.PART: 2, Granularity.WHOLE: 3}


def masks_to_begin_with(dataset: Dataset, known: Round | None = None) -> PrefillFrom:
    """What the tasks of a semi-automatic round begin with: the detector's masks, as in the paper, if there is one.

    Args:
        dataset: The dataset.
        known: The round, if it was opened before; one that has images goes on as it began.

    Raises:
        ArtifactError: A file of the detector or of the round is damaged.
    """
    if known is not None and known.images:
        of_detector = read_header(dataset.storage, RoundAssetName.PREFILLED_MASKS, known.name) is not None
    else:
        of_detector = newest_detector(dataset.storage) is not None
    return PrefillFrom.DETECTOR if of_detector else PrefillFrom.AUTOMATIC


def parse_prefill(text: str) -> PrefillFrom:
    """Reads a configuration's word.

    Raises:
        StudioError: There is no such choice.
    """
    try:
        return PrefillFrom(text)
    except ValueError:
        raise StudioError(f"prefill: expected {', '.join(PrefillFrom)}, got {text!r}.") from None


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


def masks_of_detector(dataset: Dataset, round_name: str) -> Prefill:
    """The masks of `prefilled_masks` of a round, the highest predicted IoU first.

    Returns:
        A function of the shard.

    Raises:
        ArtifactError: They were not made or are damaged.
    """
    table = read_table(dataset.storage, RoundAssetName.PREFILLED_MASKS, round_name, columns=_DETECTOR_COLUMNS)

    def masks_of(shard: str) -> dict[int, list[GivenMask]]:
        found = defaultdict(list)
        for row in table.filter(pc.equal(table["shard"], shard)).sort_by("rank").to_pylist():
            prompts = Prompts(box=tuple(row["box"]), output=0, predicted_iou=row["predicted_iou"])
            mask = GivenMask(row["counts"], prompts=prompts, source_mask_id=row["mask_id"])
            found[row["image_id"]].append(mask)
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
