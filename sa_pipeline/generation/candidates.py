"""Candidates: what the model proposes for one image, scored but not judged."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from segment_anything.modeling import Sam

from sa_pipeline.generation.stable_masks import StableMasks, measure_stable_masks
from sa_pipeline.masks.boxes import xyxy_to_xywh
from sa_pipeline.masks.crops import Crop, generate_crops
from sa_pipeline.masks.point_grids import build_point_grid, points_per_side_of_layer
from sa_pipeline.sam.inference import encode_image
from sa_pipeline.sam.point_decoding import PointDecoder, open_decoder
from sa_pipeline.schemas import CANDIDATE_MASKS
from sa_pipeline.settings import MAX_PROPOSALS_PER_IMAGE, Arithmetic, Granularity, MaskSettings

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
    arithmetic: Arithmetic = Arithmetic.REFERENCE,
    image_id: int = 0,
    embedding: torch.Tensor | None = None,
) -> Proposals:
    """Prompts the model with a grid of points on the image and on its crops (paper §4 and Appendix B).

    Args:
        image: (H, W, 3) uint8 RGB.
        sam: The model.
        settings: Grid, crops, floors.
        arithmetic: How the model's sums are done.
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
        crop_embedding = encode_image(sam, pixels, arithmetic) if known is None else known.to(sam.device, torch.float32)
        decoder = open_decoder(sam, crop_embedding, arithmetic)
        for points in _point_batches(crop, settings):
            batch = _Batch(image_id, image.shape[:2], crop, points, first_proposal)
            tables.append(_propose_batch(sam, decoder, batch, settings, arithmetic, counts))
            first_proposal += len(points) * len(GRANULARITIES)
    return Proposals(pa.concat_tables(tables), counts)


@dataclass(frozen=True)
class _Batch:
    image_id: int
    image_size: tuple[int, int]
    crop: Crop
    points: npt.NDArray[np.float64]
    first_proposal: int


def _point_batches(crop: Crop, settings: MaskSettings) -> Iterator[npt.NDArray[np.float64]]:
    """Point prompts XY in px of the crop, at most `points_per_batch` at a time."""
    factor = settings.crop_n_points_downscale_factor
    grid = build_point_grid(points_per_side_of_layer(settings.points_per_side, crop.layer, factor))
    points = grid * np.array(crop.size)[None, ::-1]
    for start in range(0, len(points), settings.points_per_batch):
        yield points[start : start + settings.points_per_batch]


def _propose_batch(
    sam: Sam,
    decoder: PointDecoder,
    batch: _Batch,
    settings: MaskSettings,
    arithmetic: Arithmetic,
    counts: Counter[str],
) -> pa.Table:
    decoded = decoder.decode(batch.points, batch.crop.size, settings.candidate_pred_iou_floor)
    # A GPU's own interpolation rounds in its own way, which only the reference has to follow.
    logits = decoded.logits if arithmetic is Arithmetic.REFERENCE else decoded.logits.cpu()
    stable = measure_stable_masks(sam, logits, batch.crop, batch.image_size, settings)
    counts["proposals"] += len(decoded.predicted_iou)
    counts["below_predicted_iou_floor"] += len(decoded.predicted_iou) - len(decoded.confident)
    counts["below_stability_floor"] += len(decoded.confident) - len(stable.indices)
    counts["candidates"] += len(stable.indices)
    survivors = decoded.confident.cpu().numpy()[stable.indices]
    return _to_table(stable, survivors, decoded.predicted_iou.cpu().numpy()[survivors], batch)


def _to_table(
    masks: StableMasks,
    proposals: npt.NDArray[np.int64],
    predicted_iou: npt.NDArray[np.float32],
    batch: _Batch,
) -> pa.Table:
    """Rows of masks; `proposals` are their numbers within the batch, three a point."""
    count = len(proposals)
    x0, y0, x1, y1 = batch.crop.box
    points = batch.points[proposals // len(GRANULARITIES)] + np.array([x0, y0])
    boxes = xyxy_to_xywh(masks.boxes) + np.array([x0, y0, 0, 0])
    first_id = batch.image_id * MAX_PROPOSALS_PER_IMAGE + batch.first_proposal
    columns = {
        "mask_id": first_id + proposals,
        "image_id": np.full(count, batch.image_id, np.int64),
        "crop_index": np.full(count, batch.crop.index, np.int32),
        "crop_layer": np.full(count, batch.crop.layer, np.int32),
        "crop_box": _fixed_lists(np.tile([x0, y0, x1 - x0, y1 - y0], (count, 1)), pa.int32()),
        "point_coords": _fixed_lists(points, pa.float64()),
        "granularity": [GRANULARITIES[i % len(GRANULARITIES)].value for i in proposals],
        "predicted_iou": predicted_iou,
        "stability_score": masks.stability_scores,
        "bbox": _fixed_lists(boxes, pa.int32()),
        "area": masks.areas,
        "size": _fixed_lists(np.tile(batch.image_size, (count, 1)), pa.int32()),
        "counts": pa.array(masks.counts, pa.string()),
    }
    return pa.table(columns, schema=CANDIDATE_MASKS)


def _fixed_lists(values: npt.NDArray[np.generic], dtype: pa.DataType) -> pa.Array:
    item = pa.field("item", dtype, nullable=False)
    flat = pa.array(values.reshape(-1), dtype)
    return pa.FixedSizeListArray.from_arrays(flat, type=pa.list_(item, values.shape[1]))
