"""Candidates: what the model proposes for one image, scored but not judged."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from segment_anything.modeling import Sam

from sa_pipeline.generation.stable_masks import StableMasks, measure_stable_masks
from sa_pipeline.masks.boxes import xyxy_to_xywh
from sa_pipeline.masks.crops import Crop, generate_crops
from sa_pipeline.masks.point_grids import build_point_grid, points_per_side_of_layer
from sa_pipeline.overlapping import ahead, behind
from sa_pipeline.sam.inference import encode_prepared, prepare_image
from sa_pipeline.sam.point_decoding import open_decoder
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
    images_per_batch: int = 1,
) -> Proposals:
    """Prompts the model with a grid of points on the image and on its crops (paper §4 and Appendix B).

    While the model works, the next crop is brought to its input's size; on a GPU, the masks of the points before are
    measured meanwhile.

    Args:
        image: (H, W, 3) uint8 RGB.
        sam: The model.
        settings: Grid, crops, floors.
        arithmetic: How the model's sums are done.
        image_id: Goes into the ids of the masks.
        embedding: (1, C, h, w) of the full image, if it was computed before. Crops are always encoded here.
        images_per_batch: Crops that the encoder takes at once.

    Returns:
        Proposals above the floors. Memory does not grow with the number of proposals.
    """
    counts: Counter[str] = Counter(proposals=0, below_predicted_iou_floor=0, below_stability_floor=0, candidates=0)

    def decode() -> Iterator[_Batch]:
        first_proposal = 0
        for crop, crop_embedding in _encode_crops(image, sam, settings, arithmetic, embedding, images_per_batch):
            decoder = open_decoder(sam, crop_embedding, arithmetic)
            for points in _point_batches(crop, settings):
                decoded = decoder.decode(points, crop.size, settings.candidate_pred_iou_floor)
                # A GPU's own interpolation rounds in its own way, which only the reference has to follow.
                logits = decoded.logits if arithmetic is Arithmetic.REFERENCE else decoded.logits.cpu()
                confident = decoded.confident.cpu().numpy()
                predicted_iou = decoded.predicted_iou.cpu().numpy()
                yield _Batch(crop, points, first_proposal, predicted_iou, confident, logits)
                first_proposal += len(predicted_iou)

    def measure(batch: _Batch) -> pa.Table:
        stable = measure_stable_masks(sam, batch.logits, batch.crop, image.shape[:2], settings)
        counts["proposals"] += len(batch.predicted_iou)
        counts["below_predicted_iou_floor"] += len(batch.predicted_iou) - len(batch.confident)
        counts["below_stability_floor"] += len(batch.confident) - len(stable.indices)
        counts["candidates"] += len(stable.indices)
        return _to_table(stable, batch, image_id, image.shape[:2])

    # On a CPU the parallel loops of two threads wait for each other's: a ViT-B took 24 s in turns, 30 s side by side.
    measured_later = 0 if sam.device.type == "cpu" else 1
    tables = [CANDIDATE_MASKS.empty_table(), *behind(measure, decode(), measured_later)]
    return Proposals(pa.concat_tables(tables), counts)


@dataclass(frozen=True)
class _Batch:
    """Points (N, 2) float64 XY of a crop, and as `DecodedPoints` what the decoder says of them."""

    crop: Crop
    points: npt.NDArray[np.float64]
    first_proposal: int
    predicted_iou: npt.NDArray[np.float32]
    confident: npt.NDArray[np.int64]
    logits: torch.Tensor


def _encode_crops(
    image: npt.NDArray[np.uint8],
    sam: Sam,
    settings: MaskSettings,
    arithmetic: Arithmetic,
    embedding: torch.Tensor | None,
    images_per_batch: int,
) -> Iterator[tuple[Crop, torch.Tensor]]:
    """The crops, the full image first, each with its embedding (1, C, h, w) float32."""
    crops = generate_crops(image.shape[:2], settings.crop_n_layers, settings.crop_overlap_ratio)
    if embedding is not None:
        yield crops.pop(0), embedding.to(sam.device, torch.float32)
    cuts = (image[y0:y1, x0:x1] for x0, y0, x1, y1 in (crop.box for crop in crops))
    prepared = ahead((prepare_image(sam, cut) for cut in cuts), images_per_batch)
    for start in range(0, len(crops), images_per_batch):
        some = crops[start : start + images_per_batch]
        embeddings = encode_prepared(sam, list(islice(prepared, len(some))), arithmetic)
        yield from zip(some, embeddings.split(1), strict=True)


def _point_batches(crop: Crop, settings: MaskSettings) -> Iterator[npt.NDArray[np.float64]]:
    """Point prompts XY in px of the crop, at most `points_per_batch` at a time."""
    factor = settings.crop_n_points_downscale_factor
    grid = build_point_grid(points_per_side_of_layer(settings.points_per_side, crop.layer, factor))
    points = grid * np.array(crop.size)[None, ::-1]
    for start in range(0, len(points), settings.points_per_batch):
        yield points[start : start + settings.points_per_batch]


def _to_table(masks: StableMasks, batch: _Batch, image_id: int, image_size: tuple[int, int]) -> pa.Table:
    proposals = batch.confident[masks.indices]  # numbers within the batch, three a point
    count = len(proposals)
    x0, y0, x1, y1 = batch.crop.box
    points = batch.points[proposals // len(GRANULARITIES)] + np.array([x0, y0])
    boxes = xyxy_to_xywh(masks.boxes) + np.array([x0, y0, 0, 0])
    first_id = image_id * MAX_PROPOSALS_PER_IMAGE + batch.first_proposal
    columns = {
        "mask_id": first_id + proposals,
        "image_id": np.full(count, image_id, np.int64),
        "crop_index": np.full(count, batch.crop.index, np.int32),
        "crop_layer": np.full(count, batch.crop.layer, np.int32),
        "crop_box": _fixed_lists(np.tile([x0, y0, x1 - x0, y1 - y0], (count, 1)), pa.int32()),
        "point_coords": _fixed_lists(points, pa.float64()),
        "granularity": [GRANULARITIES[i % len(GRANULARITIES)].value for i in proposals],
        "predicted_iou": batch.predicted_iou[proposals],
        "stability_score": masks.stability_scores,
        "bbox": _fixed_lists(boxes, pa.int32()),
        "area": masks.areas,
        "size": _fixed_lists(np.tile(image_size, (count, 1)), pa.int32()),
        "counts": pa.array(masks.counts, pa.string()),
    }
    return pa.table(columns, schema=CANDIDATE_MASKS)


def _fixed_lists(values: npt.NDArray[np.generic], dtype: pa.DataType) -> pa.Array:
    item = pa.field("item", dtype, nullable=False)
    flat = pa.array(values.reshape(-1), dtype)
    return pa.FixedSizeListArray.from_arrays(flat, type=pa.list_(item, values.shape[1]))
