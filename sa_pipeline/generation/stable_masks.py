"""Which of the confident masks are stable, and what is known of those once their pixels are let go.

Where the kernel of `sa_pipeline.masks.measurement` can round as the installed torch does, masks never exist at full
size. Elsewhere torch brings a few of them at a time to full size, which is slower and says so once.
"""

import functools
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from pycocotools import mask as coco_mask
from segment_anything.modeling import Sam
from torch.nn import functional

from sa_pipeline.masks.boxes import masks_to_boxes
from sa_pipeline.masks.crops import Crop
from sa_pipeline.masks.enlargement import Enlargement
from sa_pipeline.masks.measurement import Measurements, Placement, Rounding, enlarge, measure_masks, transitions_to_runs
from sa_pipeline.masks.rle import encode_counts
from sa_pipeline.sam.inference import FULL_SIZE_PIXELS_AT_ONCE, enlargement, upscale_logits
from sa_pipeline.settings import MaskSettings

SMALL = 128
"""px of height and width together, up to which torch interpolates in another way than above."""

TRIALS = {False: (SMALL // 2 + 1, 301), True: (SMALL // 2, 33)}
"""Sides of squares to which torch and the kernel bring random logits: larger ones and small ones."""


@dataclass(frozen=True)
class StableMasks:
    """K of N masks, those whose stability score reaches the floor.

    Attributes:
        indices: (K,) int64, which of the N.
        stability_scores: (K,) float32, NaN for a mask that is empty at the lowered threshold.
        boxes: (K, 4) int64 XYXY, px of the crop, both ends inclusive.
        areas: (K,) int64 px.
        counts: COCO run lengths of the masks on the full image.
    """

    indices: npt.NDArray[np.int64]
    stability_scores: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.int64]
    areas: npt.NDArray[np.int64]
    counts: list[str]


def measure_stable_masks(
    sam: Sam, logits: torch.Tensor, crop: Crop, image_size: tuple[int, int], settings: MaskSettings
) -> StableMasks:
    """Scores masks by their stability and keeps boxes, areas and run lengths of the stable ones (paper §4).

    Args:
        sam: The model that made the logits.
        logits: (N, h, w) float32, low resolution.
        crop: Where on the image the masks lie.
        image_size: Height and width of the full image in px.
        settings: Offset and floor of the stability score.
    """
    sizes = enlargement(sam, (logits.shape[1], logits.shape[2]), crop.size)
    rounding = torchs_rounding(sizes) if logits.device.type == "cpu" else None
    if rounding is None:
        return _measure_at_full_size(sam, logits, crop, image_size, settings)
    measured = measure_masks(
        logits.numpy(),
        sizes,
        Placement(crop.box[0], crop.box[1], image_size[0]),
        threshold=sam.mask_threshold,
        offset=settings.stability_score_offset,
        rounding=rounding,
        threads=torch.get_num_threads(),
    )
    return _keep_stable(measured, image_size, settings)


def torchs_rounding(sizes: Enlargement) -> Rounding | None:
    """How the kernel must add up to equal the installed torch in every bit; None, with a warning, if it cannot."""
    threads = torch.get_num_threads()
    to_input = _lines_first(threads, small=2 * sizes.model_size <= SMALL)
    to_image = _lines_first(threads, small=sum(sizes.image_size) <= SMALL)
    return None if to_input is None or to_image is None else Rounding(to_input, to_image)


@functools.cache
def _lines_first(threads: int, *, small: bool) -> bool | None:
    """Compares the kernel's two ways with torch's on random logits."""
    for lines_first in (True, False):
        if all(_equal(side, Rounding(lines_first, lines_first)) for side in TRIALS[small]):
            return lines_first
    warnings.warn(
        f"torch {torch.__version__} with {threads} threads interpolates on this machine with another rounding than "
        "our kernel; masks are brought to full size instead: the results are the same, but this takes longer.",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def _equal(side: int, rounding: Rounding) -> bool:
    logits = 8 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = functional.interpolate(logits, (side, side), mode="bilinear", align_corners=False)[0]
    sizes = Enlargement((64, 64), side, (side, side), (side, side))  # the second step changes nothing
    return all(np.array_equal(enlarge(logits[0, i].numpy(), sizes, rounding), expected[i].numpy()) for i in range(3))


def _keep_stable(measured: Measurements, image_size: tuple[int, int], settings: MaskSettings) -> StableMasks:
    height, width = image_size
    # Divided as float32, so that each score equals the official generator's to the bit.
    with np.errstate(invalid="ignore"):
        scores = np.divide(measured.areas_raised, measured.areas_lowered, dtype=np.float32)
    floor = settings.candidate_stability_score_floor
    stable = np.flatnonzero(scores >= floor) if floor > 0 else np.arange(len(scores))
    return StableMasks(
        indices=stable,
        stability_scores=scores[stable],
        boxes=measured.boxes[stable],
        areas=measured.areas[stable],
        counts=[encode_counts(transitions_to_runs(measured.transitions[i], height * width)) for i in stable],
    )


def _measure_at_full_size(
    sam: Sam, logits: torch.Tensor, crop: Crop, image_size: tuple[int, int], settings: MaskSettings
) -> StableMasks:
    height, width = crop.size
    at_once = max(1, FULL_SIZE_PIXELS_AT_ONCE // (height * width))
    floor = settings.candidate_stability_score_floor
    indices, stability, boxes, areas = [np.zeros(0, np.int64)], [], [np.zeros((0, 4), np.int64)], []
    counts: list[str] = []
    for start in range(0, len(logits), at_once):
        full = upscale_logits(sam, logits[start : start + at_once], crop.size)
        scores = _stability_scores(full, sam.mask_threshold, settings.stability_score_offset)
        stable = scores >= floor if floor > 0 else torch.ones_like(scores, dtype=torch.bool)
        masks = (full[stable] > sam.mask_threshold).cpu().numpy()
        indices.append(start + stable.nonzero()[:, 0].cpu().numpy())
        stability.append(scores[stable].cpu().numpy())
        boxes.append(masks_to_boxes(masks))
        areas.append(masks.sum(axis=(1, 2), dtype=np.int64))
        counts.extend(_encode(masks, crop, image_size))
    return StableMasks(
        indices=np.concatenate(indices),
        stability_scores=np.concatenate([np.zeros(0, np.float32), *stability]),
        boxes=np.concatenate(boxes),
        areas=np.concatenate([np.zeros(0, np.int64), *areas]),
        counts=counts,
    )


def _stability_scores(logits: torch.Tensor, threshold: float, offset: float) -> torch.Tensor:
    """IoU of the masks at a raised and at a lowered threshold: (N, H, W) -> (N,) float32, NaN if empty."""
    # Counted in two steps and divided as integers, so that each score equals the official generator's to the bit.
    intersections = (logits > threshold + offset).sum(-1, dtype=torch.int16).sum(-1, dtype=torch.int32)
    unions = (logits > threshold - offset).sum(-1, dtype=torch.int16).sum(-1, dtype=torch.int32)
    return intersections / unions


def _encode(masks: npt.NDArray[np.bool_], crop: Crop, image_size: tuple[int, int]) -> list[str]:
    """COCO run lengths of crop masks (N, h, w), placed on the full image."""
    if len(masks) == 0:
        return []
    x0, y0, x1, y1 = crop.box
    height, width = image_size
    # pycocotools reads column by column: (N, W, H) in C order is (H, W, N) in Fortran order without a copy.
    placed = np.zeros((len(masks), width, height), np.uint8)
    placed[:, x0:x1, y0:y1] = masks.transpose(0, 2, 1)
    return [rle["counts"].decode("ascii") for rle in coco_mask.encode(placed.transpose(2, 1, 0))]
