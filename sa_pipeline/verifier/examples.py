"""What the verifier learns from: masks that people were shown, and whether they were wrong."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from sa_pipeline.artifacts import (
    AssetName,
    FileAssetName,
    RoundAssetName,
    input_digest,
    list_rounds,
    read_header,
    read_table,
)
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.stages.prefilled_pairs import PrefilledPair, iterate_pairs
from sa_pipeline.verifier.classifier import Wrong
from sa_pipeline.verifier.features import COLUMNS, Features, mask_features

_SNAPSHOT = (RoundAssetName.HUMAN_MASKS, RoundAssetName.HUMAN_MASK_EVENTS)


@dataclass(frozen=True)
class Examples:
    """Masks that people kept, mended or deleted.

    Attributes:
        features: (N, F).
        wrong: (N,) bool: deleted, or mended so far that the IoU is below the setting.
        images: N names of images.
        rounds: That they are from.
    """

    features: Features
    wrong: Wrong
    images: Sequence[str]
    rounds: tuple[str, ...]


def collect_examples(dataset: Dataset, progress: Progress | None = None) -> Examples:
    """Reads the masks that the accepted tasks of all rounds, audits among them, began with.

    A mask counts once for each person who looked at it. Those that were made anew since, so that their scores are gone,
    are left out.

    Raises:
        ArtifactError: A snapshot, or a file that the masks were taken from, is damaged.
    """
    rows: list[dict[str, Any]] = []
    wrong: list[bool] = []
    rounds = []
    names = readable_rounds(dataset)
    for name in (progress or SilentProgress()).track(names, description="verifier", total=len(names)):
        found = list(_of_round(dataset, name))
        rows += [row for row, _ in found]
        wrong += [is_wrong(pair, dataset.settings.audit.wrong_below) for _, pair in found]
        if found:
            rounds.append(name)
    images = [str(row["image_id"]) for row in rows]
    return Examples(mask_features(rows), np.array(wrong, bool), images, tuple(rounds))


def readable_rounds(dataset: Dataset) -> dict[str, str]:
    """Rounds of which a whole snapshot lies there, with its digest; of damaged ones their own check tells."""
    found = {}
    for name in list_rounds(dataset.storage):
        with contextlib.suppress(ArtifactError):
            found[name] = " ".join(input_digest(dataset.storage, asset, name) for asset in _SNAPSHOT)
    return found


def is_wrong(pair: PrefilledPair, wrong_below: float) -> bool:
    """Whether a person deleted the mask, or changed it to one with a lower IoU than that."""
    return pair.iou is None or pair.iou < wrong_below


def scores_of_masks(dataset: Dataset, round_name: str, shard: str, mask_ids: Set[int]) -> dict[int, dict[str, Any]]:
    """What is kept of masks that a round's tasks begin with, `features.COLUMNS` by mask id; unknown ones are left out.

    Raises:
        ArtifactError: A file is damaged.
    """
    places: tuple[tuple[FileAssetName, str], ...] = (
        (AssetName.DEDUPLICATED_MASKS, shard),
        (RoundAssetName.PREFILLED_MASKS, round_name),
    )
    found: dict[int, dict[str, Any]] = {}
    for asset, partition in places:
        if mask_ids and read_header(dataset.storage, asset, partition) is not None:
            rows = read_table(dataset.storage, asset, partition, columns=list(COLUMNS), mask_ids=mask_ids)
            found |= {row["mask_id"]: row for row in rows.to_pylist() if row["area"] > 0}
    return found


def _of_round(dataset: Dataset, round_name: str) -> Iterator[tuple[dict[str, Any], PrefilledPair]]:
    pairs = list(iterate_pairs(dataset, round_name))
    by_shard: dict[str, set[int]] = defaultdict(set)
    for pair in pairs:
        by_shard[pair.shard].add(pair.mask_id)
    known: dict[int, dict[str, Any]] = {}
    for shard, ids in by_shard.items():
        known |= scores_of_masks(dataset, round_name, shard, ids)
    for pair in pairs:
        row = known.get(pair.mask_id)
        if row is not None and row["counts"] == pair.counts:
            yield row, pair
