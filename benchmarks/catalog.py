"""How long the catalogue of millions of masks takes to build, and how quickly it answers.

    python benchmarks/catalog.py --masks 10000000

It writes the files of a dataset without pixels (images, candidates, verdicts, masks; half as many candidates again as
masks, scores and places drawn by chance), builds the catalogue from them and asks every canned view and every table of
`sa-pipeline stats`. Beside it stands what one does without a catalogue: for one shard, the masks' SA-1B records are
read with `json` and their sizes binned, and the time is scaled to all shards. Printed are seconds, peak memory and
the ratio; views that take a second or more are named.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from sa_pipeline.artifacts import ArtifactHeader, AssetName, writing_table
from sa_pipeline.catalog.build import build_catalog
from sa_pipeline.catalog.query import STATISTICS, query
from sa_pipeline.catalog.schema import VIEW_MEANINGS
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.images.ledger import ledger_name
from sa_pipeline.schemas import CANDIDATE_MASKS, DEDUPLICATED_MASKS, FILTERED_MASKS, RAW_IMAGES

IMAGES = 100
KEPT = 100
CANDIDATES = 150
WIDTH, HEIGHT = 2250, 1500
RULES = ("crop_edge", "crop_duplicate", "covers_image")
COUNTS = "".join(chr(48 + letter % 64) for letter in range(250))
"""Stands in for run lengths, which the catalogue does not read."""


def main() -> None:
    """Does what the module says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, default=1_000_000)
    parser.add_argument("--scratch", type=Path, help="folder with room for the files; default: the system's")
    arguments = parser.parse_args()
    shards = max(1, arguments.masks // (IMAGES * KEPT))
    with tempfile.TemporaryDirectory(prefix="sa_pipeline-catalog-", dir=arguments.scratch) as folder:
        dataset = open_dataset(folder, DatasetConfig())
        started = time.monotonic()
        for number in range(shards):
            write_shard(dataset, number)
        size = sum(file.stat().st_size for file in Path(folder).rglob("*.parquet"))
        print(f"{shards} shards written in {time.monotonic() - started:.1f} s, {size / 2**30:.2f} GiB")
        report = build_catalog(dataset)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(f"built in {report.seconds:.1f} s: {report.counts}; peak memory of this process {peak:.0f} MiB")
        print(f"catalogue {dataset.catalog_path.stat().st_size / 2**30:.2f} GiB")
        slow = [name for name, seconds in ask(dataset).items() if seconds >= 1]
        print(f"a second or more: {', '.join(slow) or 'none'}")
        compare(dataset, shards)


def write_shard(dataset: Dataset, number: int) -> None:
    """Writes the files of shard `number`."""
    shard = f"{number:06d}"
    chance = np.random.default_rng(number)
    image_ids = np.arange(IMAGES) + number * IMAGES + 1
    _write(dataset, AssetName.RAW_IMAGES, RAW_IMAGES, shard, _images(image_ids))
    masks = _masks(image_ids, chance)
    candidates = {name: masks[name] for name in CANDIDATE_MASKS.names}
    _write(dataset, AssetName.CANDIDATE_MASKS, CANDIDATE_MASKS, shard, candidates)
    verdicts = {name: masks[name] for name in FILTERED_MASKS.names}
    _write(dataset, AssetName.FILTERED_MASKS, FILTERED_MASKS, shard, verdicts)
    _write(dataset, AssetName.DEDUPLICATED_MASKS, DEDUPLICATED_MASKS, shard, masks)
    # `list_shards` goes by the names of the ledger's files; nothing here reads their content.
    dataset.storage.write_bytes(ledger_name(shard), b"")


def _write(dataset: Dataset, asset: AssetName, schema: pa.Schema, shard: str, columns: dict[str, object]) -> None:
    header = ArtifactHeader(asset=asset, partition=shard, schema_version=1, settings={}, inputs={})
    with writing_table(dataset.storage, schema, header) as writer:
        arrays = [pa.array(columns[field.name], field.type) for field in schema]
        writer.write(pa.Table.from_arrays(arrays, schema=schema))


def _images(image_ids: np.ndarray) -> dict[str, object]:
    side = {"width": [WIDTH] * IMAGES, "height": [HEIGHT] * IMAGES}
    return {
        "image_id": image_ids,
        "file_name": [f"sa_{number}.jpg" for number in image_ids],
        "source_uri": [f"/photographs/{number}.jpg" for number in image_ids],
        "sha256": [f"{number:064x}" for number in image_ids],
        **side,
        **{f"source_{name}": values for name, values in side.items()},
        "format": ["JPEG"] * IMAGES,
        "status": ["ok"] * IMAGES,
        "reason": [None] * IMAGES,
        "detail": [None] * IMAGES,
        "jpeg": [b""] * IMAGES,
    }


def _masks(image_ids: np.ndarray, chance: np.random.Generator) -> dict[str, object]:
    rows = IMAGES * CANDIDATES
    within = np.tile(np.arange(CANDIDATES), IMAGES)
    kept = within < KEPT
    size = np.exp(chance.uniform(np.log(8), np.log(600), (rows, 2))).astype(np.int32)
    corner = (chance.random((rows, 2)) * (np.array([WIDTH, HEIGHT]) - size)).astype(np.int32)
    owner = np.repeat(image_ids, CANDIDATES)
    return {
        "mask_id": owner * 1_000_000 + within,
        "image_id": owner,
        "crop_index": np.zeros(rows, np.int32),
        "crop_layer": np.zeros(rows, np.int32),
        "crop_box": _rows(np.tile(np.array([0, 0, WIDTH, HEIGHT], np.int32), (rows, 1))),
        "point_coords": _rows(corner + size / 2),
        "granularity": chance.choice(["subpart", "part", "whole"], rows),
        "predicted_iou": chance.uniform(0.88, 1, rows).astype(np.float32),
        "stability_score": chance.uniform(0.95, 1, rows).astype(np.float32),
        "bbox": _rows(np.hstack([corner, size])),
        "area": size.prod(axis=1, dtype=np.int64),
        "size": _rows(np.tile(np.array([HEIGHT, WIDTH], np.int32), (rows, 1))),
        "counts": pa.repeat(COUNTS, rows),
        "kept": kept,
        "dropped_by": pa.array(np.where(kept, None, np.array(RULES, object)[within % len(RULES)]), pa.string()),
        "suppressed_by": pa.nulls(rows, pa.int64()),
        "rank": pa.array(within, pa.int32(), mask=~kept),
        "island_area_removed": np.zeros(rows, np.int64),
        "hole_area_filled": np.zeros(rows, np.int64),
    }


def _rows(values: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def ask(dataset: Dataset) -> dict[str, float]:
    """Asks every canned view and statistic as the shell does; returns seconds by name."""
    # Whole lists of images or shards are not what one looks at: the first page is.
    questions = {name: f"SELECT * FROM {name} LIMIT 50" for name in VIEW_MEANINGS} | dict(STATISTICS)
    seconds = {}
    for name, sql in questions.items():
        started = time.monotonic()
        rows = query(dataset, sql)
        seconds[name] = time.monotonic() - started
        print(f"{seconds[name]:8.3f} s  {len(rows):5d} rows  {name}")
    return seconds


def compare(dataset: Dataset, shards: int) -> None:
    """The distribution of mask sizes from one shard's SA-1B records, scaled to all shards, beside the view."""
    rows = query(dataset, "SELECT image_id, area, bbox, predicted_iou FROM masks WHERE shard = '000000'")
    records = [
        json.dumps(
            {
                "image": {"image_id": int(image_id), "width": WIDTH, "height": HEIGHT},
                "annotations": [
                    {"area": row.area, "bbox": row.bbox, "segmentation": {"size": [HEIGHT, WIDTH], "counts": COUNTS}}
                    for row in group.itertuples()
                ],
            }
        )
        for image_id, group in rows.groupby("image_id")
    ]
    started = time.monotonic()
    sizes = [
        (annotation["area"] / (record["image"]["width"] * record["image"]["height"])) ** 0.5
        for record in map(json.loads, records)
        for annotation in record["annotations"]
    ]
    np.histogram(sizes, bins=20, range=(0, 1))
    without = (time.monotonic() - started) * shards
    started = time.monotonic()
    query(dataset, "SELECT * FROM mask_size_distribution")
    within = time.monotonic() - started
    print(
        f"mask sizes: {without:.1f} s from records (scaled), {within:.3f} s from the catalogue, {without / within:.0f}x"
    )


if __name__ == "__main__":
    main()
