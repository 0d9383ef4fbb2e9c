"""How fast `sa1b_export` packs a shard, beside a plain write of the same bytes to the same disk.

    python benchmarks/export.py --images 200 --masks 100 [--scratch FOLDER]

It writes a shard's images (random bytes of the size of a JPEG, which the export does not decode) and masks (run
lengths of the length of a smooth mask's), exports them, and writes what came out once more from memory, with fsync. The
two are done in turns, of each the fastest counts; the inputs are read once before, so that they lie in the page cache.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from sa_pipeline.artifacts import (
    ArtifactHeader,
    AssetName,
    CheckpointRef,
    artifact_name,
    export_tar_name,
    writing_table,
)
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.schemas import CANDIDATE_MASKS, DEDUPLICATED_MASKS, RAW_IMAGES
from sa_pipeline.settings import MAX_PROPOSALS_PER_IMAGE
from sa_pipeline.stages.sa1b_export import make_sa1b_export

SHARD = "000000"
WIDTH, HEIGHT = 2250, 1500
COUNTS = "".join(chr(48 + letter % 64) for letter in range(250))
"""Stands in for run lengths, which the export passes on."""


def main() -> None:
    """Does what the module says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--masks", type=int, default=100, help="of an image")
    parser.add_argument("--jpeg", type=int, default=600_000, help="bytes of an image")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="folder on the disk that is meant; default: the system's")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sa_pipeline-export-", dir=arguments.scratch) as folder:
        dataset = open_dataset(Path(folder) / "home", DatasetConfig())
        _write_inputs(dataset, arguments.images, arguments.masks, arguments.jpeg)
        ours, theirs = [], []
        for _ in range(arguments.repeats):
            ours.append(_seconds_of_export(dataset))
            theirs.append(_seconds_of_writing(dataset.home / export_tar_name(SHARD), Path(folder) / "again"))
        size = (dataset.home / export_tar_name(SHARD)).stat().st_size
    print(f"{arguments.images} images with {arguments.masks} masks each, {size / 1e6:.0f} MB")
    for name, seconds in (("sa1b_export", min(ours)), ("plain write and fsync", min(theirs))):
        print(f"{name:<22} {seconds:6.2f} s {size / 1e6 / seconds:7.0f} MB/s")
    print(f"ratio {min(ours) / min(theirs):.2f} of the plain write's time")


def _seconds_of_export(dataset: Dataset) -> float:
    dataset.storage.remove(artifact_name(AssetName.SA1B_EXPORT, SHARD))
    started = time.perf_counter()
    make_sa1b_export(dataset, SHARD)
    return time.perf_counter() - started


def _seconds_of_writing(path: Path, copy: Path) -> float:
    data = path.read_bytes()
    started = time.perf_counter()
    with copy.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - started


def _write_inputs(dataset: Dataset, images: int, masks: int, jpeg: int) -> None:
    random = np.random.default_rng(0)
    header = ArtifactHeader(
        asset=AssetName.RAW_IMAGES, partition=SHARD, schema_version=1, settings={}, inputs={}, counts={"ok": images}
    )
    with writing_table(dataset.storage, RAW_IMAGES, header) as writer:
        for image_id in range(1, images + 1):
            writer.write(_table(RAW_IMAGES, _image(image_id, random.bytes(jpeg)), 1))
    # Only its header is read, which says whose the masks are.
    weights = CheckpointRef(name="none", architecture="tiny", digest="0" * 64)
    candidates = header.model_copy(update={"asset": AssetName.CANDIDATE_MASKS, "checkpoint": weights})
    with writing_table(dataset.storage, CANDIDATE_MASKS, candidates):
        pass
    header = header.model_copy(update={"asset": AssetName.DEDUPLICATED_MASKS})
    with writing_table(dataset.storage, DEDUPLICATED_MASKS, header) as writer:
        for image_id in range(1, images + 1):
            writer.write(_table(DEDUPLICATED_MASKS, _masks(image_id, masks, random), masks))


def _table(schema: pa.Schema, columns: dict[str, object], rows: int) -> pa.Table:
    arrays = [columns[field.name] if field.name in columns else pa.nulls(rows, field.type) for field in schema]
    return pa.Table.from_arrays(
        [pa.array(array, field.type) for array, field in zip(arrays, schema, strict=True)], schema=schema
    )


def _image(image_id: int, jpeg: bytes) -> dict[str, object]:
    return {
        "image_id": [image_id],
        "file_name": [f"sa_{image_id}.jpg"],
        "source_uri": [f"/photographs/{image_id}.jpg"],
        "sha256": [f"{image_id:064x}"],
        "width": [WIDTH],
        "height": [HEIGHT],
        "source_width": [WIDTH],
        "source_height": [HEIGHT],
        "format": ["JPEG"],
        "status": ["ok"],
        "jpeg": [jpeg],
    }


def _masks(image_id: int, count: int, random: np.random.Generator) -> dict[str, object]:
    size = np.exp(random.uniform(np.log(8), np.log(600), (count, 2))).astype(int)
    corner = (random.random((count, 2)) * (np.array([WIDTH, HEIGHT]) - size)).astype(int)
    return {
        "mask_id": np.arange(count) + image_id * MAX_PROPOSALS_PER_IMAGE,
        "image_id": [image_id] * count,
        "crop_index": [0] * count,
        "crop_layer": [0] * count,
        "crop_box": [[0, 0, WIDTH, HEIGHT]] * count,
        "point_coords": (corner + size / 2).tolist(),
        "granularity": ["whole"] * count,
        "predicted_iou": random.uniform(0.88, 1, count).astype(np.float32),
        "stability_score": random.uniform(0.95, 1, count).astype(np.float32),
        "bbox": np.hstack([corner, size]).tolist(),
        "area": size.prod(axis=1),
        "size": [[HEIGHT, WIDTH]] * count,
        "counts": [COUNTS] * count,
        "kept": [True] * count,
        "rank": np.arange(count),
        "island_area_removed": [0] * count,
        "hole_area_filled": [0] * count,
    }


if __name__ == "__main__":
    main()
