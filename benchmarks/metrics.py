"""What watching costs: the studio's requests with and without it, and the exporter of a dataset of many shards.

    python benchmarks/metrics.py studio [--requests 3000]
    python benchmarks/metrics.py runs [--shards 10000] [--changed 30]

`studio` asks two real servers of one studio in turns, one that counts, times and names every request, and one that
does not, and prints the ratio of the processor's time, client included, and of the median request. `runs` makes the
headers of that many shards (no pixels), as many runs in Dagster's SQLite, and compares a look at what is new, and a
scrape, with a look at everything. Seconds are the processor's, so that they hold on a machine that does other things.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import dagster as dg
import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prometheus_client import CollectorRegistry, generate_latest

from sa_pipeline.artifacts import HEADER_KEY, ArtifactHeader, AssetName, artifact_name, export_tar_name
from sa_pipeline.assets.common import IMAGE_SHARDS
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset, save_config
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.monitoring import watching
from sa_pipeline.monitoring.exporter import RunCollector
from sa_pipeline.monitoring.shards import ShardState
from sa_pipeline.promotion import ref_in_use
from sa_pipeline.provenance import expected_header
from sa_pipeline.run_history import PARTITION_TAG
from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline.settings import ImageSettings, PipelineSettings, StudioSettings
from sa_pipeline.studio.app import create_app
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.observing import Observer
from sa_pipeline.studio.people import add_annotator
from sa_pipeline_tests.studio.desk import serving

BLOCK = 50


def main() -> None:
    """Prints the figures of one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("studio", "runs"))
    parser.add_argument("--requests", type=int, default=3000, help="to each server")
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--changed", type=int, default=30, help="shards made between two looks")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.part == "studio":
            measure_studio(Path(folder), arguments.requests)
        else:
            measure_runs(Path(folder), arguments.shards, arguments.changed)


def measure_studio(folder: Path, requests: int) -> None:
    """Two servers, asked in turns so that whatever else the machine does hits both."""
    settings = PipelineSettings(studio=StudioSettings(requests_per_second=1_000_000))
    studio = open_studio(open_dataset(folder, DatasetConfig(settings=settings)))
    headers = {"Authorization": f"Bearer {add_annotator(studio, 'Ada')}"}
    watched, plain = create_app(studio.dataset, studio), create_app(studio.dataset, studio)
    plain.user_middleware = [each for each in plain.user_middleware if each.cls is not Observer]
    object.__setattr__(plain.state.workplace.studio, "timer", lambda *_: None)
    seconds: dict[str, list[float]] = {"watched": [], "plain": []}
    work = dict.fromkeys(seconds, 0.0)
    with serving(watched) as first, serving(plain) as second, httpx.Client(headers=headers) as client:
        for _ in range(requests // BLOCK):
            for name, url in (("watched", first), ("plain", second)):
                before = time.process_time()
                for _ in range(BLOCK):
                    start = time.perf_counter()
                    client.get(f"{url}/api/labels").raise_for_status()
                    seconds[name].append(time.perf_counter() - start)
                work[name] += time.process_time() - before
        scrapes = [_timed(lambda: generate_latest(watched.state.workplace.metrics.registry)) for _ in range(20)]
    studio.close()
    medians = {name: 1000 * float(np.median(times)) for name, times in seconds.items()}
    each = {name: 1000 * total / requests for name, total in work.items()}
    print(f"GET /api/labels, {requests} times each, watched and not:")
    print(f"processor {each['watched']:.3f} and {each['plain']:.3f} ms, ratio {each['watched'] / each['plain']:.3f};")
    ratio = medians["watched"] / medians["plain"]
    print(f"median request {medians['watched']:.3f} and {medians['plain']:.3f} ms, ratio {ratio:.3f};")
    print(f"a scrape {1000 * np.median(scrapes):.1f} ms")


def measure_runs(folder: Path, shards: int, changed: int) -> None:
    """A look at everything, at nothing new, and at some new shards."""
    dataset = open_dataset(folder, DatasetConfig(settings=PipelineSettings(checkpoint="tiny")))
    save_config(dataset)
    with ensure_dagster_home(dataset) as instance:
        print(f"{shards} shards and runs made in {_timed(lambda: _make(dataset, instance, shards)):.0f} s", flush=True)
        registry = CollectorRegistry()
        watcher = watching.Watcher(dataset.home, instance, registry)
        registry.register(RunCollector(dataset, instance, watcher))
        before = _memory()
        sweep = _timed(lambda: _look_at_all(watcher))
        assert watcher.seen.shards[ShardState.COMPLETE] == shards, watcher.seen
        print(f"everything: {sweep:.1f} s, in parts of 2 s; memory from {before:.0f} to {_memory():.0f} MB")
        idle = min(_timed(watcher.look) for _ in range(5))
        for number in range(changed):
            instance.report_runless_asset_event(
                dg.AssetMaterialization("sa1b_export", partition=f"{number:06d}", metadata={"seconds": 1.0})
            )
        new = _timed(watcher.look)
        scrape = min(_timed(lambda: generate_latest(registry)) for _ in range(5))
        size = len(generate_latest(registry))
    print(f"nothing new: {idle * 1000:.0f} ms, {sweep / idle:.0f} times less;")
    print(f"{changed} shards made: {new * 1000:.0f} ms, {sweep / new:.0f} times less;")
    print(f"a scrape: {scrape * 1000:.1f} ms, {size} bytes")


def _look_at_all(watcher: watching.Watcher) -> None:
    while watcher.look():
        pass


def _make(dataset: Dataset, instance: dg.DagsterInstance, shards: int) -> None:
    """Files that hold nothing but their headers, and a run of each shard."""
    checkpoint = ref_in_use(dataset)
    for folder in ("source", *AssetName):
        (dataset.home / folder).mkdir()
    for number in range(shards):
        (dataset.home / "source" / f"{number:06d}.jpg").write_text(str(number))
    append_new_images(dataset.storage, str(dataset.home / "source"), ImageSettings(images_per_shard=1))
    names = list_shards(dataset.storage)
    instance.add_dynamic_partitions(str(IMAGE_SHARDS.name), names)
    for shard in names:
        for asset in AssetName:
            header = expected_header(dataset, asset, shard, checkpoint)
            counts = {"images": 64, "masks": 6400}
            _write(dataset, header.model_copy(update={"counts": counts, "content_digest": f"{asset} {shard}"}))
        run = dg.DagsterRun(
            "shard_masks", str(uuid4()), status=dg.DagsterRunStatus.SUCCESS, tags={PARTITION_TAG: shard}
        )
        instance.add_run(run)


def _write(dataset: Dataset, header: ArtifactHeader) -> None:
    path = dataset.home / artifact_name(header.asset, header.partition)
    match header.asset:
        case AssetName.IMAGE_EMBEDDINGS:
            text = json.dumps({"__metadata__": {HEADER_KEY: header.dump()}}).encode()
            path.write_bytes(len(text).to_bytes(8, "little") + text)
        case AssetName.SA1B_EXPORT:
            (dataset.home / export_tar_name(header.partition)).touch()
            path.write_text(json.dumps({"tar_size": 0, "header": header.model_dump(mode="json")}))
        case _:
            schema = pa.schema([pa.field("image_id", pa.int64())], metadata={HEADER_KEY: header.dump()})
            pq.write_table(schema.empty_table(), path)


def _timed(work: Callable[[], object]) -> float:
    """Seconds of the processor."""
    start = time.process_time()
    work()
    return time.process_time() - start


def _memory() -> float:
    """MB that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
