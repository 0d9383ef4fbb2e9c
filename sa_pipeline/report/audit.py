"""Pictures of an audit: where people changed automatic masks most."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
from PIL import Image

from sa_pipeline.artifacts import RoundAssetName, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.masks.rle import box_from_runs, decode_counts
from sa_pipeline.report.overlays import Colour, draw_masks, stack
from sa_pipeline.stages.prefilled_pairs import PairOutcome
from sa_pipeline.stages.shard_images import iterate_images

AUTOMATIC_COLOUR: Colour = (214, 40, 40)
HUMAN_COLOUR: Colour = (39, 174, 96)

_COLUMNS = ["mask_id", "image_id", "shard", "outcome", "iou", "area", "size", "counts", "human_counts"]
_MARGIN = 0.25
"""Of the masks' extent, shown around them."""
_MIN_MARGIN = 16


def worst_pairs(dataset: Dataset, round_name: str, count: int = 8, tile: int = 300) -> Image.Image:
    """The pairs of an audit with the lowest IoU, one below the other: the automatic mask in red, the person's in green.

    Args:
        dataset: The dataset.
        round_name: Of the audit.
        count: Pairs at most.
        tile: px, the longer side of a picture.

    Raises:
        ArtifactError: `mask_quality_audit` was not made or is damaged, or `raw_images` of a shard.
    """
    table = read_table(dataset.storage, RoundAssetName.MASK_QUALITY_AUDIT, round_name, columns=_COLUMNS)
    mended = table.filter(pc.equal(table["outcome"], PairOutcome.MENDED.value))
    rows = mended.sort_by([("iou", "ascending"), ("mask_id", "ascending")]).slice(0, count).to_pylist()
    pixels = {
        image.image_id: image.pixels
        for shard in sorted({row["shard"] for row in rows})
        for image in iterate_images(dataset, shard)
        if image.image_id in {row["image_id"] for row in rows}
    }
    return stack([(_caption(row), _pair(pixels[row["image_id"]], row, tile)) for row in rows])


def _caption(row: dict[str, Any]) -> str:
    return f"mask {row['mask_id']}: IoU {row['iou']:.2f}, {row['area']} px"


def _pair(pixels: npt.NDArray[np.uint8], row: dict[str, Any], tile: int) -> Image.Image:
    window = _window([row["counts"], row["human_counts"]], pixels.shape[0], pixels.shape[1])
    sides = [
        draw_masks(pixels, [counts], [colour])[window]
        for counts, colour in ((row["counts"], AUTOMATIC_COLOUR), (row["human_counts"], HUMAN_COLOUR))
    ]
    picture = Image.fromarray(np.concatenate(sides, axis=1))
    scale = tile / max(sides[0].shape[:2])
    return picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))


def _window(masks: list[str], height: int, width: int) -> tuple[slice, slice]:
    boxes = np.array([box_from_runs(decode_counts(counts), height) for counts in masks])
    (left, top), (right, bottom) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    margin = max(_MIN_MARGIN, round(_MARGIN * max(right - left, bottom - top)))
    rows = slice(max(0, top - margin), min(height, bottom + margin + 1))
    return rows, slice(max(0, left - margin), min(width, right + margin + 1))
