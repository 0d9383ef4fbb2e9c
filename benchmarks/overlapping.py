"""Steps of a shard beside each other against one after the other: `images_ahead` 2 and 0, in turns.

    python benchmarks/overlapping.py --images PHOTOS                  # a disk
    python benchmarks/overlapping.py --images PHOTOS --delay-ms 50    # S3, every request so much slower than loopback

Timed are `image_embeddings` and `candidate_masks` of one shard, `tiny` with the preset `fast`, by plain functions.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sa_pipeline.artifacts import AssetName, artifact_name
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.images.ledger import append_new_images
from sa_pipeline.sam.registry import LoadedModel, load_model
from sa_pipeline.settings import PipelineSettings, preset
from sa_pipeline.stages.candidate_masks import make_candidate_masks
from sa_pipeline.stages.image_embeddings import make_image_embeddings
from sa_pipeline.stages.raw_images import make_raw_images
from sa_pipeline_tests.s3_faults import Fault
from sa_pipeline_tests.s3_server import running_s3

SHARD = "000000"
MADE = (AssetName.IMAGE_EMBEDDINGS, AssetName.CANDIDATE_MASKS)
WAYS = {"one after the other": 0, "beside each other": 2}


def main() -> None:
    """Prints the medians, their ratio, and whether the files are equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of JPEG files")
    parser.add_argument("--count", type=int, default=12, help="of them")
    parser.add_argument("--points-per-side", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--delay-ms", type=int, help="of every request to S3; default: a disk")
    arguments = parser.parse_args()
    model = load_model("tiny")
    with tempfile.TemporaryDirectory() as folder, _storage(arguments.delay_ms) as bucket:
        images = Path(folder) / "images"
        images.mkdir()
        for path in sorted(arguments.images.rglob("*.jpg"))[: arguments.count]:
            (images / path.name).symlink_to(path.resolve())
        datasets = {
            way: _open(
                Path(folder) / str(ahead), bucket and f"{bucket}/{ahead}", images, arguments.points_per_side, ahead
            )
            for way, ahead in WAYS.items()
        }
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(arguments.pairs):
            for way, dataset in datasets.items():
                seconds[way].append(_make(dataset, model))
        digests = [
            [dataset.storage.digest(artifact_name(asset, SHARD)) for asset in MADE] for dataset in datasets.values()
        ]
        for way, spent in seconds.items():
            print(f"{way:20} {statistics.median(spent):6.2f} s for {len(list(images.iterdir()))} images")
        ratios = [slow / fast for slow, fast in zip(*seconds.values(), strict=True)]
        print(f"{statistics.median(ratios):.2f} x; files {'equal' if digests[0] == digests[1] else 'NOT EQUAL'}")


def _make(dataset: Dataset, model: LoadedModel) -> float:
    for asset in MADE:
        dataset.storage.remove(artifact_name(asset, SHARD))
    started = time.monotonic()
    make_image_embeddings(dataset, SHARD, model)
    make_candidate_masks(dataset, SHARD, model)
    return time.monotonic() - started


def _open(home: Path, storage_url: str | None, images: Path, points_per_side: int, ahead: int) -> Dataset:
    fast = preset("fast")
    masks = fast.masks.model_copy(update={"points_per_side": points_per_side})
    settings: PipelineSettings = fast.model_copy(update={"masks": masks, "images_ahead": ahead})
    dataset = open_dataset(home, DatasetConfig(source=str(images), storage_url=storage_url, settings=settings))
    append_new_images(dataset.storage, dataset.config.source, settings.images)
    make_raw_images(dataset, SHARD)
    return dataset


@contextlib.contextmanager
def _storage(delay_ms: int | None) -> Iterator[str | None]:
    """A bucket's URL; None for a disk."""
    if delay_ms is None:
        yield None
        return
    with running_s3() as server:
        os.environ.update(server.environment)
        server.make_bucket("benchmark")
        server.fail(Fault(kind="slow", seconds=delay_ms / 1000))
        yield "s3://benchmark"


if __name__ == "__main__":
    main()
