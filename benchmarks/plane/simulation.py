"""Makes a dataset of many shards that needs neither pixels nor a model: files, Dagster's events and runs."""

import concurrent.futures
import hashlib
import multiprocessing
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

from sa_pipeline.artifacts import (
    SCHEMA_VERSIONS,
    ArtifactHeader,
    AssetName,
    CheckpointRef,
    artifact_name,
    export_tar_name,
    read_header,
    writing_table,
)
from sa_pipeline.assets.common import IMAGE_SHARDS
from sa_pipeline.dataset import Dataset, open_dataset
from sa_pipeline.images.ledger import LedgerEntry, ledger_name, list_shards, read_ledger_shard
from sa_pipeline.promotion import ref_in_use
from sa_pipeline.provenance import input_assets, relevant_settings
from sa_pipeline.sa1b.index import ExportIndex
from sa_pipeline.schemas import CANDIDATE_MASKS, DEDUPLICATED_MASKS, FILTERED_MASKS, RAW_IMAGES

FILES_PER_FOLDER = 1_000
MASKS_PER_IMAGE = 2
WIDTH, HEIGHT = 2250, 1500
WORKERS = 2
EVENTS_AT_ONCE = 1_000


def write_source(folder: Path, first: int, files: int) -> None:
    """Writes files that are no images but differ, numbers `first` and on, a thousand a folder."""
    for number in range(first, first + files):
        place = folder / f"{number // FILES_PER_FOLDER:06d}"
        if number % FILES_PER_FOLDER == 0 or number == first:
            place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:09d}.jpg").write_bytes(b"%d" % number)


def write_artifacts(home: Path, shards: Sequence[str]) -> None:
    """Writes the six files of each shard, fresh by what the ledger and the settings say; two processes."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(WORKERS, spawn, initializer=_flush_nothing) as pool:
        for part in [pool.submit(write_shards, home, shards[number::WORKERS]) for number in range(WORKERS)]:
            part.result()


def _flush_nothing() -> None:
    os.fsync = lambda _file: None  # a simulation may be lost with the power; flushing 70,000 files takes minutes


def write_shards(home: Path, shards: Sequence[str]) -> None:
    """As `write_artifacts`, in this process."""
    dataset = open_dataset(home)
    checkpoint = ref_in_use(dataset)
    for shard in shards:
        _write_shard(dataset, shard, checkpoint)


def _write_shard(dataset: Dataset, shard: str, checkpoint: CheckpointRef) -> None:
    entries = read_ledger_shard(dataset.storage, shard)
    masks = _masks(np.array([entry.image_id for entry in entries]), np.random.default_rng(int(shard)))
    digests: dict[AssetName, str] = {}

    def header(asset: AssetName, **known: object) -> ArtifactHeader:
        inputs = {name.value: digests[name] for name in input_assets(asset, dataset.settings)}
        return ArtifactHeader(
            asset=asset,
            partition=shard,
            schema_version=SCHEMA_VERSIONS[asset],
            settings=relevant_settings(asset, dataset.settings),
            inputs=inputs or {"ledger": dataset.storage.digest(ledger_name(shard))},
            checkpoint=None if asset is AssetName.RAW_IMAGES else checkpoint,
            **known,
        )

    def table(asset: AssetName, schema: pa.Schema, columns: dict[str, object], counts: dict[str, int]) -> None:
        with writing_table(dataset.storage, schema, header(asset)) as writer:
            writer.counts.update(counts)
            arrays = [pa.array(columns[field.name], field.type) for field in schema]
            writer.write(pa.Table.from_arrays(arrays, schema=schema))
        assert writer.header is not None
        digests[asset] = writer.header.content_digest

    images, rows = len(entries), len(entries) * MASKS_PER_IMAGE
    table(AssetName.RAW_IMAGES, RAW_IMAGES, _images(entries), {"images": images})
    import torch

    from sa_pipeline.stages.embeddings_file import writing_embeddings

    with writing_embeddings(dataset.storage, header(AssetName.IMAGE_EMBEDDINGS)) as embeddings:
        for entry in entries:
            embeddings.write(entry.image_id, torch.zeros((1, 1, 1), dtype=torch.float16))
    made = read_header(dataset.storage, AssetName.IMAGE_EMBEDDINGS, shard)
    assert made is not None
    digests[AssetName.IMAGE_EMBEDDINGS] = made.content_digest
    table(AssetName.CANDIDATE_MASKS, CANDIDATE_MASKS, masks, {"proposals": 4 * rows, "candidates": rows})
    table(AssetName.FILTERED_MASKS, FILTERED_MASKS, masks, {"kept": rows})
    table(AssetName.DEDUPLICATED_MASKS, DEDUPLICATED_MASKS, masks, {"kept": rows})
    done = header(
        AssetName.SA1B_EXPORT, counts={"images": images, "masks": rows}, content_digest=hashlib.sha256().hexdigest()
    )
    index = ExportIndex(header=done.model_dump(mode="json"), tar_size=0, tar_sha256=done.content_digest, images=())
    dataset.storage.write_bytes(export_tar_name(shard), b"")
    dataset.storage.write_bytes(artifact_name(AssetName.SA1B_EXPORT, shard), index.dump())


def _images(entries: Sequence[LedgerEntry]) -> dict[str, object]:
    count = len(entries)
    sides = {"width": [WIDTH] * count, "height": [HEIGHT] * count}
    return {
        **{name: [getattr(entry, name) for entry in entries] for name in ("image_id", "source_uri", "sha256")},
        "file_name": [f"sa_{entry.image_id}.jpg" for entry in entries],
        **sides,
        **{f"source_{name}": values for name, values in sides.items()},
        "format": ["JPEG"] * count,
        "status": ["ok"] * count,
        **{name: [None] * count for name in ("reason", "detail")},
        "jpeg": [b""] * count,
    }


def _masks(image_ids: np.ndarray, chance: np.random.Generator) -> dict[str, object]:
    rows = len(image_ids) * MASKS_PER_IMAGE
    within = np.tile(np.arange(MASKS_PER_IMAGE), len(image_ids))
    size = chance.integers(8, 600, (rows, 2), dtype=np.int32)
    corner = (chance.random((rows, 2)) * (np.array([WIDTH, HEIGHT]) - size)).astype(np.int32)
    owner = np.repeat(image_ids, MASKS_PER_IMAGE)
    return {
        "mask_id": owner * 1_000_000 + within,
        "image_id": owner,
        "crop_index": np.zeros(rows, np.int32),
        "crop_layer": np.zeros(rows, np.int32),
        "crop_box": _fixed(np.tile(np.array([0, 0, WIDTH, HEIGHT], np.int32), (rows, 1))),
        "point_coords": _fixed(corner + size / 2),
        "granularity": pa.repeat("part", rows),
        "predicted_iou": chance.uniform(0.88, 1, rows).astype(np.float32),
        "stability_score": chance.uniform(0.95, 1, rows).astype(np.float32),
        "bbox": _fixed(np.hstack([corner, size])),
        "area": size.prod(axis=1, dtype=np.int64),
        "size": _fixed(np.tile(np.array([HEIGHT, WIDTH], np.int32), (rows, 1))),
        "counts": pa.repeat("0" * 8, rows),
        "kept": np.ones(rows, bool),
        "dropped_by": pa.nulls(rows, pa.string()),
        "suppressed_by": pa.nulls(rows, pa.int64()),
        "rank": pa.array(within, pa.int32()),
        "island_area_removed": np.zeros(rows, np.int64),
        "hole_area_filled": np.zeros(rows, np.int64),
    }


def _fixed(values: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def store_materializations(instance: dg.DagsterInstance, shards: Sequence[str]) -> None:
    """Lets Dagster know that every asset of every shard was made, with metadata as `assets/common.py` gives.

    The first event of an asset goes by `report_runless_asset_event`. The others are what it would store, many in one
    transaction: one by one, SQLite takes 8 ms and more for each.
    """
    for asset in AssetName:
        store_asset(instance, asset, shards)


def store_asset(instance: dg.DagsterInstance, asset: AssetName, shards: Sequence[str]) -> None:
    """As `store_materializations`, of one asset."""
    instance.report_runless_asset_event(_materialization(asset, shards[0]))
    for start in range(1, len(shards), EVENTS_AT_ONCE):
        _store(instance, [_entry(_materialization(asset, shard)) for shard in shards[start : start + EVENTS_AT_ONCE]])


def _materialization(asset: AssetName, shard: str) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        asset.value,
        partition=shard,
        metadata={
            "images": 64,
            "seconds": 12.3,
            "reused": False,
            "images_per_second": 5.2,
            "file": dg.MetadataValue.path(f"/data/{artifact_name(asset, shard)}"),
            "checkpoint": "vit_h a7bf3b02f3ebf126",
        },
        tags={"dagster/data_version": hashlib.sha256(f"{asset}{shard}".encode()).hexdigest()},
    )


def _entry(made: dg.AssetMaterialization) -> dg.EventLogEntry:
    from dagster._core.events import DagsterEvent, StepMaterializationData

    return dg.EventLogEntry(
        user_message="",
        level=10,
        run_id=RUNLESS_RUN_ID,
        timestamp=time.time(),
        error_info=None,
        job_name=RUNLESS_JOB_NAME,
        dagster_event=DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name=RUNLESS_JOB_NAME,
            event_specific_data=StepMaterializationData(made),
        ),
    )


def _store(instance: dg.DagsterInstance, entries: Sequence[dg.EventLogEntry]) -> None:
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        storage.store_event_batch(entries)
        return
    with storage.index_transaction() as connection:
        ids = [connection.execute(storage.prepare_insert_event(entry)).inserted_primary_key[0] for entry in entries]
        storage._store_asset_event_tags(connection, entries, ids)
        storage._store_asset_event(connection, entries[-1], ids[-1])  # the asset's own row holds the last event


def store_runs(instance: dg.DagsterInstance, shards: Sequence[str], status: dg.DagsterRunStatus) -> None:
    """Adds a run a shard, copies of one that the backfill queued."""
    template = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]), limit=1)[0]
    store_copies(instance, template, shards, status)


def store_copies(
    instance: dg.DagsterInstance, template: dg.DagsterRun, shards: Sequence[str], status: dg.DagsterRunStatus
) -> None:
    """Adds a copy of a run for each shard."""
    for shard in shards:
        tags = {**template.tags, "dagster/partition": shard}
        instance.run_storage.add_run(template._replace(run_id=str(uuid.uuid4()), tags=tags, status=status))


def register_partitions(dataset: Dataset, instance: dg.DagsterInstance) -> None:
    """Makes every shard of the ledger a partition."""
    instance.add_dynamic_partitions(str(IMAGE_SHARDS.name), list_shards(dataset.storage))
