"""Automatic masks that people were shown, each beside what they made of it (paper §4 and §5)."""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pycocotools import mask as coco

from sa_pipeline.artifacts import RoundAssetName, iterate_row_groups, read_table
from sa_pipeline.dataset import Dataset

_MASK_COLUMNS = ["mask_id", "source", "counts", "annotator", "active_seconds"]
_EVENT_COLUMNS = [
    "mask_id",
    "image_id",
    "shard",
    "task_id",
    "person",
    "tool",
    "source",
    "source_mask_id",
    "predicted_iou",
    "size",
    "counts",
]
_PREFILLED = "prefilled"
_PREFILL = "prefill"


class PairOutcome(enum.StrEnum):
    """What a person did with a mask that was there before."""

    KEPT = "kept"
    """No pixel was changed."""
    MENDED = "mended"
    DELETED = "deleted"
    """Or left without a pixel."""


@dataclass(frozen=True)
class PrefilledPair:
    """An automatic mask and what a person made of it.

    Attributes:
        mask_id: Of the automatic mask.
        human_mask_id: Of the person's; None where it was deleted.
        image_id: Of the image that both lie on.
        shard: Of the image.
        task_id: One person's work on the image.
        annotator: Pseudonym of that person.
        outcome: What became of it.
        iou: Of the two masks; None where it was deleted.
        predicted_iou: The model's own estimate for the automatic mask.
        active_seconds: That people worked on it; 0 where it was deleted.
        size: Height and width of the image, px.
        counts: COCO compressed run lengths of the automatic mask.
        human_counts: Of the person's.
    """

    mask_id: int
    human_mask_id: int | None
    image_id: int
    shard: str
    task_id: int
    annotator: str | None
    outcome: PairOutcome
    iou: float | None
    predicted_iou: float | None
    active_seconds: float
    size: tuple[int, int]
    counts: str
    human_counts: str | None


def iterate_pairs(dataset: Dataset, round_name: str) -> Iterator[PrefilledPair]:
    """Yields the automatic masks that the accepted tasks of a round began with, in the order of tasks.

    The automatic mask is the one that the person was shown, as the round's own events hold it, whatever was made anew
    since.

    Raises:
        ArtifactError: `human_masks` or `human_mask_events` of the round was not made or is damaged.
    """
    made = read_table(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=_MASK_COLUMNS)
    masks = {row["mask_id"]: row for row in made.filter(pc.equal(made["source"], _PREFILLED)).to_pylist()}
    for group in iterate_row_groups(
        dataset.storage, RoundAssetName.HUMAN_MASK_EVENTS, round_name, columns=_EVENT_COLUMNS
    ):
        yield from _pairs_of(group.filter(pc.equal(group["source"], _PREFILLED)), masks)


def mask_iou(counts: str, other: str, size: tuple[int, int]) -> float:
    """IoU of two masks.

    Args:
        counts: COCO compressed run lengths.
        other: Of the other.
        size: Height and width of both, px.

    Returns:
        0 to 1; 1 for equal masks.
    """
    if counts == other:
        return 1.0
    encoded = [{"size": list(size), "counts": text.encode()} for text in (counts, other)]
    return float(coco.iou(encoded[:1], encoded[1:], [0])[0, 0])


def _pairs_of(events: pa.Table, masks: Mapping[int, Mapping[str, Any]]) -> Iterator[PrefilledPair]:
    """A row group holds whole tasks, so that an object's last event is in the same one as its first."""
    shown: dict[int, dict[str, Any]] = {}
    last_person: dict[int, str | None] = {}
    for event in events.to_pylist():
        if event["tool"] == _PREFILL:
            shown[event["mask_id"]] = event
        last_person[event["mask_id"]] = event["person"]
    for human_id, event in shown.items():
        mask, size = masks.get(human_id), (event["size"][0], event["size"][1])
        human_counts = mask["counts"] if mask else None
        yield PrefilledPair(
            mask_id=event["source_mask_id"],
            human_mask_id=human_id if mask else None,
            image_id=event["image_id"],
            shard=event["shard"],
            task_id=event["task_id"],
            annotator=mask["annotator"] if mask else last_person[human_id],
            outcome=_outcome(event["counts"], human_counts),
            iou=None if human_counts is None else mask_iou(event["counts"], human_counts, size),
            predicted_iou=event["predicted_iou"],
            active_seconds=mask["active_seconds"] if mask else 0.0,
            size=size,
            counts=event["counts"],
            human_counts=human_counts,
        )


def _outcome(counts: str, human_counts: str | None) -> PairOutcome:
    if human_counts is None:
        return PairOutcome.DELETED
    return PairOutcome.KEPT if human_counts == counts else PairOutcome.MENDED
