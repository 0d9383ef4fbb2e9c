"""How far people who worked on the same image of a round on their own agree (paper §5 cites 85 to 91 % IoU)."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from sa_pipeline.artifacts import RoundAssetName, iterate_row_groups
from sa_pipeline.dataset import Dataset
from sa_pipeline.evaluation.overlaps import best_ious

_COLUMNS = ["image_id", "task_id", "annotator", "size", "counts"]


@dataclass(frozen=True)
class Agreement:
    """Images that several people have masks on, and the mean over their masks of the best IoU with another's."""

    images: int
    best_iou: float | None


def measure_agreement(dataset: Dataset, round_name: str) -> Agreement:
    """Compares what different people made of the same image.

    Raises:
        ArtifactError: `human_masks` of the round was not made or is damaged.
    """
    # First who worked on what, so that of most images no run lengths need be kept.
    people: dict[int, set[str]] = defaultdict(set)
    names = ["image_id", "annotator"]
    for group in iterate_row_groups(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=names):
        for image_id, annotator in zip(*(group[name].to_pylist() for name in names), strict=True):
            people[image_id].add(annotator)
    shared = {image_id for image_id, found in people.items() if len(found - {None}) > 1}
    masks: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    sizes: dict[int, tuple[int, int]] = {}
    for group in iterate_row_groups(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=_COLUMNS):
        for row in group.to_pylist():
            if row["image_id"] in shared and row["annotator"] is not None:
                masks[row["image_id"]][row["annotator"]].append(row["counts"])
                sizes[row["image_id"]] = (row["size"][0], row["size"][1])
    best = [
        best_ious(of_people[one], of_people[other], sizes[image_id])
        for image_id, of_people in masks.items()
        for one, other in permutations(of_people, 2)
    ]
    return Agreement(len(masks), float(np.concatenate(best).mean()) if best else None)
