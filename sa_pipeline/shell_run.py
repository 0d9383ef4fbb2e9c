"""A whole dataset from the shell: new images into shards, stale shards through Dagster, the catalogue at the end."""

import time
from dataclasses import dataclass, field

from sa_pipeline.artifacts import AssetName, export_tar_name, read_header
from sa_pipeline.dataset import Dataset, save_config
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.progress import Progress, watched_by
from sa_pipeline.promotion import ref_in_use
from sa_pipeline.provenance import Freshness, shard_freshness
from sa_pipeline.shell_source import require_images


@dataclass
class RunSummary:
    """What a run did; counts are of the whole dataset as it stands afterwards."""

    shards: int = 0
    fresh_shards: int = 0
    images: int = 0
    rejected: int = 0
    masks: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def run_dataset(dataset: Dataset, progress: Progress) -> RunSummary:
    """Brings every shard of the dataset's source up to date; each shard is one Dagster run, seen in the UI.

    The dataset's settings file is written once its checkpoint and source have been found, so that a slip of the
    keyboard leaves nothing behind.

    Args:
        dataset: With a source.
        progress: Shows hashing, the shards, and the work within them.

    Raises:
        SourceError: The dataset has no source, it cannot be listed, or it holds nothing.
        CheckpointError: The checkpoint is not there.
        KeyboardInterrupt: The run was stopped; what was published stays.
    """
    from sa_pipeline.runs import ensure_dagster_home, fail_abandoned_runs, run_catalog, run_shard

    started = time.monotonic()
    checkpoint = ref_in_use(dataset)
    source = require_images(dataset)
    save_config(dataset)
    with ensure_dagster_home(dataset) as instance, watched_by(progress):
        fail_abandoned_runs(instance)
        images = dataset.settings.images
        append_new_images(dataset.storage, source, images, index=dataset.ledger_index, progress=progress)
        shards = list_shards(dataset.storage)
        summary = RunSummary(shards=len(shards))
        for shard in progress.track(shards, description="shards", total=len(shards)):
            states = shard_freshness(dataset, shard, checkpoint).values()
            if all(state is Freshness.FRESH for state in states):
                summary.fresh_shards += 1
                continue
            outcome = run_shard(dataset, shard, instance)
            if not outcome.success:
                summary.failures.append(f"shard {shard}, {outcome.failed_step}: {outcome.error}")
        if summary.fresh_shards < len(shards) or not dataset.catalog_path.exists():
            outcome = run_catalog(dataset, instance)
            if not outcome.success:
                summary.failures.append(f"{outcome.failed_step}: {outcome.error}")
    _count(dataset, shards, summary)
    summary.seconds = time.monotonic() - started
    return summary


def unpack_exports(dataset: Dataset, progress: Progress) -> None:
    """Unpacks every exported tar into the home's folder `unpacked`."""
    from sa_pipeline.sa1b.reader import unpack

    names = [
        export_tar_name(shard)
        for shard in list_shards(dataset.storage)
        if dataset.storage.exists(export_tar_name(shard))
    ]
    for name in progress.track(names, description="unpacking", total=len(names)):
        with dataset.storage.local_copy(name) as path:
            unpack(path, dataset.home / "unpacked")


def _count(dataset: Dataset, shards: list[str], summary: RunSummary) -> None:
    for shard in shards:
        raw = read_header(dataset.storage, AssetName.RAW_IMAGES, shard)
        exported = read_header(dataset.storage, AssetName.SA1B_EXPORT, shard)
        if raw is not None:
            summary.rejected += raw.counts.get("rejected", 0)
        if exported is not None:
            summary.images += exported.counts["images"]
            summary.masks += exported.counts["masks"]
