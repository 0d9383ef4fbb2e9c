"""Shards written by hand: real files with scores, boxes and masks of our choosing, and no model."""

import numpy as np
import pyarrow as pa

from sa_pipeline.artifacts import ArtifactHeader, AssetName, CheckpointRef, writing_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.schemas import CANDIDATE_MASKS, DEDUPLICATED_MASKS, RAW_IMAGES

SIDE = 40
"""px of the images."""


def header(asset: AssetName, shard: str, digest: str = "weights") -> ArtifactHeader:
    checkpoint = CheckpointRef(name="tiny", architecture="tiny", digest=digest)
    return ArtifactHeader(asset=asset, partition=shard, schema_version=1, settings={}, inputs={}, checkpoint=checkpoint)


def mask_rows(boxes: list[tuple[int, int, int, int]]) -> dict[str, list]:
    """Columns of masks that fill their boxes, XYXY with the last column and row inclusive, on one image."""
    masks = np.zeros((len(boxes), SIDE, SIDE), np.bool_)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0 : y1 + 1, x0 : x1 + 1] = True
    count = len(boxes)
    return {
        "mask_id": [1_000_000 + index for index in range(count)],
        "image_id": [1] * count,
        "crop_index": [0] * count,
        "crop_layer": [0] * count,
        "crop_box": [[0, 0, SIDE, SIDE]] * count,
        "point_coords": [[0.0, 0.0]] * count,
        "granularity": ["whole"] * count,
        "predicted_iou": [0.9] * count,
        "stability_score": [0.9] * count,
        "bbox": [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in boxes],
        "area": [int(mask.sum()) for mask in masks],
        "size": [[SIDE, SIDE]] * count,
        "counts": [mask_to_counts(mask) for mask in masks],
    }


def write_candidates(dataset: Dataset, shard: str, scores: np.ndarray, digest: str = "weights") -> None:
    rows = mask_rows([(0, 0, 9, 9)])
    columns = {name: values * len(scores) for name, values in rows.items()}
    columns |= {"predicted_iou": scores.tolist(), "stability_score": np.clip(scores, 0, 1).tolist()}
    made = header(AssetName.CANDIDATE_MASKS, shard, digest)
    with writing_table(dataset.storage, CANDIDATE_MASKS, made) as writer:
        writer.write(pa.table(columns, schema=CANDIDATE_MASKS))


def write_kept_masks(dataset: Dataset, boxes: list[tuple[int, int, int, int]]) -> None:
    """A shard `000000` of one image with these masks, all kept."""
    with writing_table(dataset.storage, RAW_IMAGES, header(AssetName.RAW_IMAGES, "000000")) as writer:
        writer.counts["ok"] = 1
    count = len(boxes)
    columns = mask_rows(boxes) | {
        "kept": [True] * count,
        "dropped_by": [None] * count,
        "suppressed_by": [None] * count,
        "rank": list(range(count)),
        "island_area_removed": [0] * count,
        "hole_area_filled": [0] * count,
    }
    with writing_table(dataset.storage, DEDUPLICATED_MASKS, header(AssetName.DEDUPLICATED_MASKS, "000000")) as writer:
        writer.write(pa.table(columns, schema=DEDUPLICATED_MASKS))
