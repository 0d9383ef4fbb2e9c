"""`raw_images`: the files of a shard as images, or as rows that say why not."""

from dataclasses import asdict

import pyarrow as pa

from sa_pipeline.artifacts import ArtifactHeader, AssetName, writing_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.images.ingest import ingest_shard
from sa_pipeline.images.ledger import read_ledger_shard
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.provenance import expected_header
from sa_pipeline.schemas import RAW_IMAGES
from sa_pipeline.stages.result import StageResult, make_unless_fresh


def make_raw_images(dataset: Dataset, shard: str, progress: Progress | None = None) -> StageResult:
    """Reads, checks and stores a shard's images (SA-1B's downsizing: paper §5).

    Counts: files, ok, rejected, and rejected_{reason}.

    Raises:
        ArtifactError: The ledger of the shard is damaged.
        SourceError: The source cannot be reached.
        StorageError: The shard is not in the ledger, or the file cannot be written.
    """
    entries = read_ledger_shard(dataset.storage, shard)

    def make(header: ArtifactHeader) -> None:
        with writing_table(dataset.storage, RAW_IMAGES, header) as writer:
            writer.counts.update(files=0, ok=0, rejected=0)
            for image in ingest_shard(entries, dataset.settings.images, progress or SilentProgress()):
                writer.write(pa.Table.from_pylist([asdict(image)], schema=RAW_IMAGES))
                writer.counts.update(["files", image.status])
                if image.reason is not None:
                    writer.counts[f"rejected_{image.reason}"] += 1

    return make_unless_fresh(dataset.storage, expected_header(dataset, AssetName.RAW_IMAGES, shard), make)
