"""A shard whose files are written by hand: two photographs, one rejected file, masks that are boxes."""

import numpy as np
import pyarrow as pa
import skimage.data
from PIL import Image
from safetensors.numpy import save_file

from sa_pipeline.artifacts import HEADER_KEY, ArtifactHeader, AssetName, artifact_name, writing_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.report.png import jpeg_bytes
from sa_pipeline.schemas import CANDIDATE_MASKS, DEDUPLICATED_MASKS, RAW_IMAGES

SHARD = "000000"
REJECTED = '/photos/<script>alert("x")</script>&.jpg'
"""A file name that tries to be markup."""


def header(asset: AssetName) -> ArtifactHeader:
    return ArtifactHeader(asset=asset, partition=SHARD, schema_version=1, settings={}, inputs={})


def write_shard(dataset: Dataset) -> None:
    """Writes raw_images, image_embeddings, candidate_masks and deduplicated_masks of `SHARD`."""
    photos = [Image.fromarray(getattr(skimage.data, name)()) for name in ("chelsea", "rocket")]
    for photo in photos:
        photo.thumbnail((160, 160))
    images = [_image(number, photo) for number, photo in enumerate(photos, start=1)]
    missing = dict.fromkeys(RAW_IMAGES.names)
    images.append(
        missing
        | {"image_id": 3, "file_name": "sa_3.jpg", "source_uri": REJECTED, "status": "rejected"}
        | {"reason": "not_an_image", "detail": "no image format is known for it"}
    )
    with writing_table(dataset.storage, RAW_IMAGES, header(AssetName.RAW_IMAGES)) as writer:
        writer.write(pa.Table.from_pylist(images, RAW_IMAGES))
    masks = [_mask(image_id, rank, photo) for image_id, photo in enumerate(photos, start=1) for rank in range(3)]
    with writing_table(dataset.storage, CANDIDATE_MASKS, header(AssetName.CANDIDATE_MASKS)) as writer:
        rows = [{name: mask[name] for name in CANDIDATE_MASKS.names} for mask in masks]
        writer.write(pa.Table.from_pylist(rows, CANDIDATE_MASKS))
    with writing_table(dataset.storage, DEDUPLICATED_MASKS, header(AssetName.DEDUPLICATED_MASKS)) as writer:
        writer.write(pa.Table.from_pylist(masks, DEDUPLICATED_MASKS))
    generator = np.random.default_rng(0)
    tensors = {str(number): generator.normal(size=(16, 8, 8)).astype(np.float16) for number in (1, 2)}
    with dataset.storage.writing(artifact_name(AssetName.IMAGE_EMBEDDINGS, SHARD)) as path:
        save_file(tensors, path, {HEADER_KEY: header(AssetName.IMAGE_EMBEDDINGS).dump()})


def _image(number: int, photo: Image.Image) -> dict[str, object]:
    side = {"width": photo.width, "height": photo.height}
    return {
        "image_id": number,
        "file_name": f"sa_{number}.jpg",
        "source_uri": f"/photos/{number}.png",
        "sha256": "0" * 64,
        **side,
        **{f"source_{name}": value for name, value in side.items()},
        "format": "PNG",
        "status": "ok",
        "reason": None,
        "detail": None,
        "jpeg": jpeg_bytes(photo),
    }


def _mask(image_id: int, rank: int, photo: Image.Image) -> dict[str, object]:
    """Two kept boxes of an image, then one that was dropped."""
    pixels = np.zeros((photo.height, photo.width), bool)
    pixels[10 + 20 * rank : 25 + 20 * rank, 10:60] = True
    kept = rank < 2
    return {
        "mask_id": image_id * 1_000_000 + rank,
        "image_id": image_id,
        "crop_index": 0,
        "crop_layer": 0,
        "crop_box": [0, 0, photo.width, photo.height],
        "point_coords": [20.0, 15.0 + 20 * rank],
        "granularity": "whole",
        "predicted_iou": 0.9,
        "stability_score": 0.95,
        "bbox": [10, 10 + 20 * rank, 49, 14],
        "area": int(pixels.sum()),
        "size": [photo.height, photo.width],
        "counts": mask_to_counts(pixels),
        "kept": kept,
        "dropped_by": None if kept else "crop_duplicate",
        "suppressed_by": None if kept else image_id * 1_000_000,
        "rank": rank if kept else None,
        "island_area_removed": 0,
        "hole_area_filled": 0,
    }
