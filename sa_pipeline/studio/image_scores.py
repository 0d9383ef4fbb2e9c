"""How much an image has to give: how prominent its objects are, and how unsure the model is of it."""

import itertools
from collections import defaultdict

import numpy as np
import pyarrow as pa

from sa_pipeline.artifacts import AssetName, iterate_row_groups, read_header
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.evaluation.overlaps import pairwise_ious

PROMINENT_MASKS = 5
"""Of an image, by which its prominence is told."""


def prominences(dataset: Dataset, shard: str) -> dict[int, float]:
    """Prominence of the images of a shard, by image id (`prominence`); of images without masks 0, left out.

    Raises:
        ArtifactError: `deduplicated_masks` was not made or is damaged.
    """
    columns = ["image_id", "kept", "predicted_iou", "area", "size"]
    scores: dict[int, float] = defaultdict(float)
    for group in iterate_row_groups(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard, columns=columns):
        kept = group.filter(group["kept"])
        for image_id in set(kept["image_id"].to_pylist()):
            scores[image_id] += prominence(kept.filter(pa.compute.equal(kept["image_id"], image_id)))
    return scores


def prominence(masks: pa.Table) -> float:
    """How prominent the objects of one image are: large ones that the model is sure of.

    People label the most prominent objects first (paper §4, "Assisted-manual stage"), and soon have little left to do
    on an image that has none. It is the sum, over the five masks for which it is largest, of predicted IoU times the
    root of the mask's share of the image.

    Args:
        masks: The exported masks of an image: predicted_iou, area and size (height, width) of `DEDUPLICATED_MASKS`.
    """
    if masks.num_rows == 0:
        return 0.0
    size = np.array(masks["size"].to_pylist(), np.float64).prod(axis=1)
    shares = np.sqrt(masks["area"].to_numpy() / size)
    weights = np.clip(masks["predicted_iou"].to_numpy(), 0.0, 1.0) * shares
    return float(np.sort(weights)[::-1][:PROMINENT_MASKS].sum())


def uncertainties(dataset: Dataset, shard: str) -> dict[int, float]:
    """Uncertainty of the images of a shard, by image id (`uncertainty`); of images without candidates 1, left out.

    Raises:
        ArtifactError: `candidate_masks` was not made or is damaged.
    """
    header = read_header(dataset.storage, AssetName.CANDIDATE_MASKS, shard)
    if header is None:
        raise ArtifactError(f"candidate_masks of shard {shard} were not made.")
    points = int(header.settings["points_per_side"]) ** 2
    columns = ["image_id", "crop_layer", "point_coords", "predicted_iou", "size", "counts"]
    by_image: dict[int, list[pa.Table]] = defaultdict(list)
    scores: dict[int, float] = {}
    for group in iterate_row_groups(dataset.storage, AssetName.CANDIDATE_MASKS, shard, columns=columns):
        full = group.filter(pa.compute.equal(group["crop_layer"], 0))
        for image_id in set(full["image_id"].to_pylist()):
            by_image[image_id].append(full.filter(pa.compute.equal(full["image_id"], image_id)))
        # The rows of an image stand together, so that only the group at hand is kept.
        scores |= {image_id: uncertainty(pa.concat_tables(rows), points) for image_id, rows in by_image.items()}
        by_image.clear()
    return scores


def uncertainty(candidates: pa.Table, points: int) -> float:
    """How unsure the model is of one image, between 0 and 1: a mean over the points of the full image's grid.

    A point counts (1 - i + d) / 2, where i is the best predicted IoU of its three outputs and d how far they disagree:
    1 less the mean IoU between them, 0 for a single one. A point whose outputs all lie below the floors counts 1.

    Args:
        candidates: Those of the full image, not of its crops: point_coords, predicted_iou, size and counts of
            `CANDIDATE_MASKS`.
        points: Of the grid.
    """
    at_point: dict[tuple[float, ...], list[int]] = defaultdict(list)
    for row, point in enumerate(candidates["point_coords"].to_pylist()):
        at_point[tuple(point)].append(row)
    best = np.clip(candidates["predicted_iou"].to_numpy(), 0.0, 1.0)
    counts, sizes = candidates["counts"].to_pylist(), candidates["size"].to_pylist()
    unsure = float(max(0, points - len(at_point)))
    for rows in at_point.values():
        masks = [counts[row] for row in rows]
        ious = pairwise_ious(masks, masks, (sizes[rows[0]][0], sizes[rows[0]][1]))
        pairs = [ious[i, j] for i, j in itertools.combinations(range(len(rows)), 2)]
        disagreement = 1.0 - float(np.mean(pairs)) if pairs else 0.0
        unsure += (1.0 - float(best[rows].max()) + disagreement) / 2
    return unsure / points
