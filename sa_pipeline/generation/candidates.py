"""Candidates: what the model proposes for one image, scored but not judged."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pycocotools import mask as coco_mask
from segment_anything.modeling import Sam

from sa_pipeline.masks.boxes import masks_to_boxes, xyxy_to_xywh
from sa_pipeline.masks.crops import Crop, generate_crops
from sa_pipeline.masks.point_grids import build_point_grid, points_per_side_of_layer
from sa_pipeline.sam.inference import FULL_SIZE_PIXELS_AT_ONCE, decode_points, encode_image, upscale_logits
from sa_pipeline.schemas import CANDIDATE_MASKS
from sa_pipeline.settings import MAX_PROPOSALS_PER_IMAGE, Granularity, MaskSettings

GRANULARITIES = tuple(Granularity)


@dataclass(frozen=True)
class Proposals:
    """The candidates of one image, and what became of all proposals.

    Attributes:
        candidates: Table with the schema `CANDIDATE_MASKS`, in the order crop, point, granularity.
        counts: proposals, below_predicted_iou_floor, below_stability_floor, candidates.
    """

    candidates: pa.Table
    counts: Counter[str]


def propose_masks(
    image: npt.NDArray[np.uint8],
    sam: Sam,
    settings: MaskSettings,
    *,
    image_id: int = 0,
    embedding: torch.Tensor | None = None,
) -> Proposals:
    """Prompts the model with a grid of points on the image and on its crops (paper §4 and Appendix B).

    Args:
        image: (H, W, 3) uint8 RGB.
        sam: The model.
        settings: Grid, crops, floors.
        image_id: Goes into the ids of the masks.
        embedding: (1, C, h, w) of the full image, if it was computed before. Crops are always encoded here.

    Returns:
        Proposals above the floors. Memory does not grow with the number of proposals.
    """
    counts: Counter[str] = Counter(proposals=0, below_predicted_iou_floor=0, below_stability_floor=0, candidates=0)
    tables = [CANDIDATE_MASKS.empty_table()]
    first_proposal = 0
    for crop in generate_crops(image.shape[:2], settings.crop_n_layers, settings.crop_overlap_ratio):
        x0, y0, x1, y1 = crop.box
        pixels = image[y0:y1, x0:x1]
        known = embedding if crop.layer == 0 else None
        crop_embedding = encode_image(sam, pixels) if known is None else known.to(sam.device, torch.float32)
        for points in _point_batches(crop, settings):
            batch = _Batch(image_id, image.shape[:2], crop, points, first_proposal)
            tables.append(_propose_batch(sam, crop_embedding, batch, settings, counts))
            first_proposal += len(points) * len(GRANULARITIES)
    return Proposals(pa.concat_tables(tables), counts)


@dataclass(frozen=True)
class _Batch:
    image_id: int
    image_size: tuple[int, int]
    crop: Crop
    points: npt.NDArray[np.float64]
    first_proposal: int


@dataclass(frozen=True)
class _Measured:
    """Survivors of the floors among one batch: what is known of K full-size masks once they are let go."""

    proposal: npt.NDArray[np.int64]
    predicted_iou: npt.NDArray[np.float32]
    stability_score: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.int64]
    areas: npt.NDArray[np.int64]
    counts: list[str]


def _point_batches(crop: Crop, settings: MaskSettings) -> Iterator[npt.NDArray[np.float64]]:
    """Point prompts XY in px of the crop, at most `points_per_batch` at a time."""
    factor = settings.crop_n_points_downscale_factor
    grid = build_point_grid(points_per_side_of_layer(settings.points_per_side, crop.layer, factor))
    points = grid * np.array(crop.size)[None, ::-1]
    for start in range(0, len(points), settings.points_per_batch):
        yield points[start : start + settings.points_per_batch]


def _propose_batch(
    sam: Sam, embedding: torch.Tensor, batch: _Batch, settings: MaskSettings, counts: Counter[str]
) -> pa.Table:
    logits, predicted_iou = decode_points(sam, embedding, batch.points, batch.crop.size)
    logits, predicted_iou = logits.flatten(0, 1), predicted_iou.flatten(0, 1)
    counts["proposals"] += len(predicted_iou)
    floor = settings.candidate_pred_iou_floor
    confident = predicted_iou > floor if floor > 0 else torch.ones_like(predicted_iou, dtype=torch.bool)
    indices = confident.nonzero()[:, 0]
    counts["below_predicted_iou_floor"] += len(predicted_iou) - len(indices)
    measured = _measure(sam, logits[indices], predicted_iou[indices], indices, batch, settings)
    counts["below_stability_floor"] += len(indices) - len(measured.proposal)
    counts["candidates"] += len(measured.proposal)
    return _to_table(measured, batch)


def _measure(
    sam: Sam,
    logits: torch.Tensor,
    predicted_iou: torch.Tensor,
    indices: torch.Tensor,
    batch: _Batch,
    settings: MaskSettings,
) -> _Measured:
    """Brings a few masks at a time to full size, scores them, and keeps only boxes, areas and run lengths."""
    height, width = batch.crop.size
    at_once = max(1, FULL_SIZE_PIXELS_AT_ONCE // (height * width))
    kept, stability, boxes, areas, counts = [], [], [], [], []
    for start in range(0, len(logits), at_once):
        full = upscale_logits(sam, logits[start : start + at_once], batch.crop.size)
        scores = _stability_scores(full, sam.mask_threshold, settings.stability_score_offset)
        floor = settings.candidate_stability_score_floor
        stable = scores >= floor if floor > 0 else torch.ones_like(scores, dtype=torch.bool)
        masks = (full[stable] > sam.mask_threshold).cpu().numpy()
        kept.append(start + stable.nonzero()[:, 0].cpu().numpy())
        stability.append(scores[stable].cpu().numpy())
        boxes.append(masks_to_boxes(masks))
        areas.append(masks.sum(axis=(1, 2), dtype=np.int64))
        counts.extend(_encode(masks, batch))
    if not kept:
        nothing = np.zeros(0, np.int64)
        none = np.zeros(0, np.float32)
        return _Measured(nothing, none, none, nothing.reshape(0, 4), nothing, [])
    survivors = np.concatenate(kept)
    return _Measured(
        proposal=indices.cpu().numpy()[survivors],
        predicted_iou=predicted_iou.cpu().numpy()[survivors],
        stability_score=np.concatenate(stability),
        boxes=np.concatenate(boxes),
        areas=np.concatenate(areas),
        counts=counts,
    )


def _stability_scores(logits: torch.Tensor, threshold: float, offset: float) -> torch.Tensor:
    """IoU of the masks at a raised and at a lowered threshold (paper §4): (N, H, W) -> (N,) float32, NaN if empty."""
    # Counted in two steps and divided as integers, so that each score equals the official generator's to the bit.
    intersections = (logits > threshold + offset).sum(-1, dtype=torch.int16).sum(-1, dtype=torch.int32)
    unions = (logits > threshold - offset).sum(-1, dtype=torch.int16).sum(-1, dtype=torch.int32)
    return intersections / unions


def _encode(masks: npt.NDArray[np.bool_], batch: _Batch) -> list[str]:
    """COCO run lengths of crop masks (N, h, w), placed on the full image."""
    if len(masks) == 0:
        return []
    x0, y0, x1, y1 = batch.crop.box
    height, width = batch.image_size
    # pycocotools reads column by column: (N, W, H) in C order is (H, W, N) in Fortran order without a copy.
    placed = np.zeros((len(masks), width, height), np.uint8)
    placed[:, x0:x1, y0:y1] = masks.transpose(0, 2, 1)
    return [rle["counts"].decode("ascii") for rle in coco_mask.encode(placed.transpose(2, 1, 0))]


def _to_table(measured: _Measured, batch: _Batch) -> pa.Table:
    count = len(measured.proposal)
    x0, y0, x1, y1 = batch.crop.box
    points = batch.points[measured.proposal // len(GRANULARITIES)] + np.array([x0, y0])
    boxes = xyxy_to_xywh(measured.boxes) + np.array([x0, y0, 0, 0])
    first_id = batch.image_id * MAX_PROPOSALS_PER_IMAGE + batch.first_proposal
    columns = {
        "mask_id": first_id + measured.proposal,
        "image_id": np.full(count, batch.image_id, np.int64),
        "crop_index": np.full(count, batch.crop.index, np.int32),
        "crop_layer": np.full(count, batch.crop.layer, np.int32),
        "crop_box": _fixed_lists(np.tile([x0, y0, x1 - x0, y1 - y0], (count, 1)), pa.int32()),
        "point_coords": _fixed_lists(points, pa.float64()),
        "granularity": [GRANULARITIES[i % len(GRANULARITIES)].value for i in measured.proposal],
        "predicted_iou": measured.predicted_iou,
        "stability_score": measured.stability_score,
        "bbox": _fixed_lists(boxes, pa.int32()),
        "area": measured.areas,
        "size": _fixed_lists(np.tile(batch.image_size, (count, 1)), pa.int32()),
        "counts": pa.array(measured.counts, pa.string()),
    }
    return pa.table(columns, schema=CANDIDATE_MASKS)


def _fixed_lists(values: npt.NDArray[np.generic], dtype: pa.DataType) -> pa.Array:
    item = pa.field("item", dtype, nullable=False)
    flat = pa.array(values.reshape(-1), dtype)
    return pa.FixedSizeListArray.from_arrays(flat, type=pa.list_(item, values.shape[1]))
