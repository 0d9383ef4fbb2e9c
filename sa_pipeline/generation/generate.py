"""The automatic stage on one image, in one call."""

from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from segment_anything.modeling import Sam

from sa_pipeline.generation.candidates import propose_masks
from sa_pipeline.generation.deduplication import deduplicate_masks, exported_rows
from sa_pipeline.generation.verdicts import judge_candidates
from sa_pipeline.sam.official_sort import sort_as_torch
from sa_pipeline.settings import Arithmetic, MaskSettings


class Segmentation(TypedDict):
    """A mask as COCO compressed run lengths; size is height, width."""

    size: list[int]
    counts: str


class Annotation(TypedDict):
    """One mask as SA-1B describes it; boxes are XYWH and points XY, in px."""

    segmentation: Segmentation
    area: int
    bbox: list[int]
    predicted_iou: float
    point_coords: list[list[float]]
    stability_score: float
    crop_box: list[int]


def generate_masks(
    image: npt.NDArray[np.uint8],
    sam: Sam,
    settings: MaskSettings | None = None,
    *,
    arithmetic: Arithmetic | str = Arithmetic.REFERENCE,
) -> list[Annotation]:
    """Segments everything in an image (paper §4, "Fully automatic stage").

    With settings of the same names and values it returns what
    `segment_anything.SamAutomaticMaskGenerator(..., output_mode="coco_rle").generate` returns, mask for mask and in
    the same order; with another arithmetic than `reference`, masks differ within its rounding.

    Args:
        image: (H, W, 3) uint8 RGB.
        sam: Any `Sam` model, such as `load_checkpoint` returns.
        settings: Defaults are the official generator's.
        arithmetic: `reference`, `float32`, `bfloat16` or, on a GPU, `float16`.

    Raises:
        ValueError: The image is not (H, W, 3) uint8, or there is no such arithmetic.
        SettingsError: The model is on a CPU and the arithmetic is float16, or bfloat16 where the CPU imitates it.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}.")
    settings = settings or MaskSettings()
    arithmetic = Arithmetic(arithmetic)
    candidates = propose_masks(image, sam, settings, arithmetic=arithmetic).candidates
    verdicts = judge_candidates(candidates, settings)
    sort = sort_as_torch if arithmetic is Arithmetic.REFERENCE and sam.device.type == "cpu" else None
    masks = deduplicate_masks(candidates, verdicts, settings, official_sort=sort)
    return [_to_annotation(row) for row in exported_rows(masks)]


def _to_annotation(row: dict[str, Any]) -> Annotation:
    return {
        "segmentation": {"size": row["size"], "counts": row["counts"]},
        "area": row["area"],
        "bbox": row["bbox"],
        "predicted_iou": row["predicted_iou"],
        "point_coords": [row["point_coords"]],
        "stability_score": row["stability_score"],
        "crop_box": row["crop_box"],
    }
