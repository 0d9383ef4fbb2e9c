"""What Dagster's sensors, schedules, queue and pages take to look after many shards: time, memory, growth.

    python benchmarks/control_plane.py --shards 100 1000 10000 --scratch /dev/shm [--database postgresql]

For each number of shards it makes a dataset without pixels: a folder of 64 files a shard, the ledger, six small valid
files a shard, and in a Dagster instance of its own the partitions, a materialization of each asset of each shard, a
backfill launched over GraphQL, and two runs a shard, of which one waits in the queue. Every part is measured in a
process of its own, forked from one that has imported what all need; the pages are asked of a real `dagster-webserver`.
Printed are seconds, CPU seconds, peak memory and, by the slope of the CPU seconds between the two largest sizes on
logarithmic scales, how each part grows: 1 is linear, above 1.15 is marked. Figures of several runs, one size each, are
put into one table by `--join`.
"""

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from plane import parts, simulation
from plane.growth import FASTER_THAN_LINEAR, last_exponent
from plane.server import PAGES, WebServer, web_server

from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset, save_config
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline.settings import preset

ASKED = 3
BENCHMARKS = Path(__file__).parent

Row = dict[str, Any]


def main() -> None:
    """Does what the module says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--images-per-shard", type=int, default=64)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--scratch", type=Path, help="folder with room for 1 MB a shard; default: the system's")
    parser.add_argument("--output", type=Path, help="also write the figures here, as JSON")
    parser.add_argument("--join", type=Path, nargs="+", help="measure nothing; print what earlier runs wrote")
    arguments = parser.parse_args()
    if arguments.join:
        joined = [json.loads(path.read_text())["shards"] for path in arguments.join]
        print_table({int(size): rows for found in joined for size, rows in found.items()})
        return
    found = {
        number: measure(number, arguments.images_per_shard, arguments.database, arguments.scratch)
        for number in sorted(arguments.shards)
    }
    print_table(found)
    if arguments.output:
        arguments.output.write_text(json.dumps({"database": arguments.database, "shards": found}, indent=1))


def measure(shards: int, images: int, database: str, scratch: Path | None) -> list[Row]:
    """Makes a dataset of so many shards and measures every part."""
    with (
        tempfile.TemporaryDirectory(prefix="sa_pipeline-plane-", dir=scratch) as folder,
        _database(database) as storage,
    ):
        root = Path(folder)
        simulation.write_source(root / "source", 0, shards * images)
        dataset = _open(root, images, storage)
        with _saying(f"{shards} shards") as say:
            return _Measuring(dataset, say).all(shards)


def _open(root: Path, images_per_shard: int, storage: dict[str, Any]) -> Dataset:
    settings = preset("fast")
    images = settings.images.model_copy(update={"images_per_shard": images_per_shard})
    config = DatasetConfig(source=str(root / "source"), settings=settings.model_copy(update={"images": images}))
    dataset = open_dataset(root / "home", config)
    save_config(dataset)
    with ensure_dagster_home(dataset):
        pass
    path = dataset.dagster_home / "dagster.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | storage))
    return dataset


@contextlib.contextmanager
def _database(name: str) -> Iterator[dict[str, Any]]:
    """Yields what `dagster.yaml` says of its storage."""
    if name == "sqlite":
        yield {}
        return
    sys.path.insert(0, str(BENCHMARKS.parent))
    from sa_pipeline_tests.studio.postgresql import dagster_url, postgresql_programs, running_postgresql

    programs = postgresql_programs()
    if programs is None:
        sys.exit("PostgreSQL is not installed; on Debian: apt-get install postgresql.")
    with running_postgresql(programs) as url:
        yield {"storage": {"postgres": {"postgres_url": dagster_url(url)}}}


@contextlib.contextmanager
def _saying(what: str) -> Iterator[Callable[[str], None]]:
    started = time.monotonic()
    yield lambda text: print(f"{what} {time.monotonic() - started:6.0f} s  {text}", file=sys.stderr, flush=True)


class _Measuring:
    def __init__(self, dataset: Dataset, say: Callable[[str], None]) -> None:
        self._dataset = dataset
        self._say = say
        self.rows: list[Row] = []

    def all(self, shards: int) -> list[Row]:
        dataset = self._dataset
        self._part("sensor: first tick", "sensor_tick")
        self._timed("entering all images", self._enter_all)
        with ensure_dagster_home(dataset) as instance:
            simulation.register_partitions(dataset, instance)
            self._part("sensor: all images known", "sensor_tick")
            dataset.ledger_index.unlink()
            self._part("sensor: all known, index lost", "sensor_tick")
            known = list_shards(dataset.storage)
            self._say("writing files")
            simulation.write_artifacts(dataset.home, known)
            self._say("storing materializations")
            simulation.store_materializations(instance, known)
            self._part("nightly backfill: nothing missing", "nightly_ticks")
            images = dataset.settings.images.images_per_shard
            simulation.write_source(Path(str(dataset.config.source)), shards * images, images)
            self._part("sensor: one new shard", "sensor_tick")
            self._part("nightly backfill: one shard missing", "nightly_ticks")
            self._part("nightly backfill: all shards stale", "nightly_ticks", SA_PIPELINE_PRESET="reference")
            self._part("definitions", "definitions")
            with web_server(dataset) as server:
                self._timed("backfill: launch over GraphQL", lambda: server.launch_backfill(known))
                self._part("backfill: first runs queued", "backfill_iteration")
                self._say("storing runs")
                simulation.store_runs(instance, known, dg.DagsterRunStatus.SUCCESS)
                simulation.store_runs(instance, known, dg.DagsterRunStatus.QUEUED)
                simulation.store_runs(instance, known[:1], dg.DagsterRunStatus.STARTED)
                for name, query in PAGES.items():
                    self._page(name, query, server)
            self._part("queue: tick of the daemon", "dequeue")
            self._part("catalogue's sensor", "catalog_sensor_tick")
            self._part("reading the runs", "run_history")
            self._part("catalogue", "catalog")
            self._part("canned views", "views")
            self._part("sa-pipeline stats", "stats")
            self._size(instance)
        return self.rows

    def _enter_all(self) -> None:
        dataset = self._dataset
        append_new_images(
            dataset.storage, str(dataset.config.source), dataset.settings.images, index=dataset.ledger_index
        )

    def _timed(self, name: str, work: Callable[[], object]) -> None:
        started, cpu = time.monotonic(), time.process_time()
        work()
        self._add({"name": name, "seconds": time.monotonic() - started, "cpu": time.process_time() - cpu})

    def _page(self, name: str, query: str, server: WebServer) -> None:
        """Asks three times; the first answer may have to load what later ones find loaded."""
        cpu = server.cpu_seconds()
        seconds = []
        for _ in range(ASKED):
            started = time.monotonic()
            server.ask(query)
            seconds.append(time.monotonic() - started)
        spent = (server.cpu_seconds() - cpu) / ASKED
        memory = server.peak_mebibytes()
        self._add({"name": name, "seconds": statistics.median(seconds), "cpu": spent, "mebibytes": memory})

    def _part(self, name: str, part: str, **environment: str) -> None:
        self._add({"name": name, **parts.measure(part, self._dataset.home, environment)})

    def _size(self, instance: dg.DagsterInstance) -> None:
        size = sum(path.stat().st_size for path in self._dataset.dagster_home.rglob("*") if path.is_file())
        self._add({"name": "Dagster's files", "megabytes": size / 1e6})

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        self._say(" ".join(f"{key}={value}" for key, value in row.items()))


def print_table(found: dict[int, list[Row]]) -> None:
    """Prints seconds, CPU seconds and memory by size, and how they grow."""
    sizes = sorted(found)
    print("| | " + " | ".join(f"{size:,} shards" for size in sizes) + " | grows as | MiB | |")
    print("|---|" + "---|" * (len(sizes) + 3))
    for number, row in enumerate(found[sizes[-1]]):
        rows = {size: found[size][number] for size in sizes}
        slope = last_exponent({size: row.get("cpu", row.get("megabytes", 0)) for size, row in rows.items()})
        growth = "" if slope is None else f"n^{slope:.2f}" + (" !" if slope > FASTER_THAN_LINEAR else "")
        memory = f"{row['mebibytes']:.0f}" if "mebibytes" in row else ""
        cells = " | ".join(_cell(rows[size]) for size in sizes)
        print(f"| {row['name']} | {cells} | {growth} | {memory} | {row.get('note', '')} |")


def _cell(row: Row) -> str:
    return f"{row['cpu']:.2f} ({row['seconds']:.1f}) s" if "cpu" in row else f"{row['megabytes']:.0f} MB"


if __name__ == "__main__":
    main()
