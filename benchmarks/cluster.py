"""Backfills on a real Ray cluster with S3 and PostgreSQL, whose machines are killed, against one machine.

    python benchmarks/cluster.py --images photos --workers 2 --kills 4
    python benchmarks/cluster.py --images photos --workers 1 2

It starts PostgreSQL, moto's S3 server, a Ray head without CPUs and workers of one CPU each (as `ray start` does, all
on this machine), and `sa-pipeline ui` with `deploy/ray/dagster.yaml`. Images, settings and files lie in S3, runs and
events in PostgreSQL. One backfill makes all shards, while SIGKILL ends all processes of a worker or of the head at
random moments; what was killed is started again, as systemd or Kubernetes would. All exports are compared byte for byte
with those of `sa-pipeline run` in a home of its own, from the same images, with the same settings and one thread.

With several numbers of workers, each gets a bucket and a database of its own, and the ratio of the times is printed.
It exits with 0 if nothing is wrong.
"""

import argparse
import hashlib
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import duckdb
import fsspec
import psycopg
from dagster_ui import DagsterUi, say, wait

from sa_pipeline.artifacts import AssetName
from sa_pipeline.assets.common import IMAGE_SHARDS
from sa_pipeline.dataset import DatasetConfig, open_dataset, save_config
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline.settings import PipelineSettings, preset
from sa_pipeline.storage import Storage
from sa_pipeline_tests.ray_cluster import RayCluster, running_moto
from sa_pipeline_tests.studio.postgresql import dagster_url, postgresql_programs, running_postgresql

RAY_INSTANCE = Path(__file__).parents[1] / "deploy" / "ray" / "dagster.yaml"
PHOTOS = "s3://photos"
PAUSE_SECONDS = (5.0, 40.0)
"""Between a cluster that is whole again and the next kill; drawn by chance."""


def main() -> None:
    """Does what the module says, step by step."""
    arguments = _parse()
    programs = postgresql_programs()
    if programs is None:
        sys.exit("PostgreSQL is not installed: initdb and postgres were not found.")
    settings = _settings(arguments)
    # Short, since Ray and PostgreSQL put sockets into it.
    with tempfile.TemporaryDirectory(prefix="sa-", ignore_cleanup_errors=True) as scratch:
        folder = arguments.keep or Path(scratch)
        os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="us-east-1")
        with running_postgresql(programs) as database, running_moto(os.environ) as s3:
            os.environ["AWS_ENDPOINT_URL"] = s3
            _upload(arguments.images, PHOTOS)
            expected = _one_machine(folder / "one", settings)
            seconds = {}
            for workers in arguments.workers:
                trial = _Trial(folder / f"{workers}", workers, arguments, settings, database)
                seconds[workers] = trial.run()
                trial.compare(expected)
            for workers in arguments.workers[1:]:
                first = arguments.workers[0]
                say(
                    f"{workers} workers against {first}: {seconds[first]:.0f} s / {seconds[workers]:.0f} s = "
                    f"{seconds[first] / seconds[workers]:.2f} times as fast"
                )
    say("All as it should be.")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of images")
    parser.add_argument("--shards", type=int, default=12, help="how many (default: 12)")
    parser.add_argument("--workers", type=int, nargs="+", default=[2], help="nodes of one CPU each (default: 2)")
    parser.add_argument("--kills", type=int, default=0, help="machines killed at random moments (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="of moments and machines (default: 0)")
    parser.add_argument("--points-per-side", type=int, default=4, help="of the grid (default: 4)")
    parser.add_argument("--max-shorter-side", type=int, default=160, help="px; larger images are brought down to it")
    parser.add_argument("--keep", type=Path, help="put everything into this new folder with a short path, and keep it")
    parser.add_argument("--timeout", type=float, default=7200, help="seconds that a backfill may take (default: 7200)")
    return parser.parse_args()


def _settings(arguments: argparse.Namespace) -> PipelineSettings:
    fast = preset("fast")
    masks = fast.masks.model_copy(update={"points_per_side": arguments.points_per_side})
    files = [path for path in arguments.images.rglob("*") if path.is_file()]
    images = fast.images.model_copy(
        update={
            "images_per_shard": math.ceil(len(files) / arguments.shards),
            "max_shorter_side": arguments.max_shorter_side,
        }
    )
    return fast.model_copy(update={"masks": masks, "images": images})


def _one_machine(home: Path, settings: PipelineSettings) -> Mapping[str, str]:
    """Digests of the exports that `sa-pipeline run` makes."""
    save_config(open_dataset(home, DatasetConfig(settings=settings)))
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "sa_pipeline.cli", "run", PHOTOS, "--output", str(home)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"sa-pipeline run ended with {done.returncode}: {done.stdout}{done.stderr}")
    say(f"one machine, one thread: {time.monotonic() - started:.0f} s; {' '.join(done.stdout.split()[:9])}")
    return _exports(Storage(home))


def _exports(storage: Storage) -> dict[str, str]:
    return {name: storage.digest(name) for name in storage.list(AssetName.SA1B_EXPORT.value)}


class _Trial:
    """One backfill on a cluster of its own."""

    def __init__(
        self, folder: Path, workers: int, arguments: argparse.Namespace, settings: PipelineSettings, database: str
    ) -> None:
        self._arguments, self._kills = arguments, arguments.kills
        self._chance = random.Random(arguments.seed)
        bucket, name = f"s3://masks-{workers}", f"workers_{workers}"
        fsspec.filesystem("s3").mkdir(bucket)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        os.environ |= {
            "SA_PIPELINE_STORAGE": f"{bucket}/dataset",
            "SA_PIPELINE_DATABASE": dagster_url(database, name),
        }
        home = folder / "home"
        self._cluster = RayCluster(folder / "ray", workers, {**os.environ, "OMP_NUM_THREADS": "1"}, home)
        os.environ["SA_PIPELINE_RAY"] = self._cluster.address
        config = DatasetConfig(source=PHOTOS, storage_url=f"{bucket}/dataset", settings=settings)
        save_config(open_dataset(home, config))
        (home / "dagster").mkdir(parents=True)
        shutil.copyfile(RAY_INSTANCE, home / "dagster" / "dagster.yaml")
        self._dataset = open_dataset(home)
        self._next_kill = math.inf
        self._killed = 0

    def run(self) -> float:
        """Makes all shards and returns the seconds that it took."""
        dataset = self._dataset
        append_new_images(dataset.storage, str(dataset.config.source), dataset.settings.images)
        shards = list_shards(dataset.storage)
        with ensure_dagster_home(dataset) as instance:
            instance.add_dynamic_partitions(str(IMAGE_SHARDS.name), shards)
            try:
                self._cluster.wait_until_whole()
                say(f"Ray head and {len(self._cluster.names) - 1} workers run at {self._cluster.address}")
                ui = DagsterUi(dataset.home, self._arguments.timeout)
                try:
                    started = time.monotonic()
                    backfill = ui.launch_backfill(shards)
                    wait(f"backfill {backfill}", lambda: self._look(ui, instance, backfill), ui.timeout)
                    seconds = time.monotonic() - started
                    say(f"backfill {backfill} is COMPLETED_SUCCESS after {seconds:.0f} s")
                    _report_runs(instance, backfill)
                    wait("the catalogue", lambda: self._cataloged(shards), ui.timeout)
                    say("the catalogue was built on the head and knows every shard")
                finally:
                    ui.stop()
            finally:
                self._cluster.stop()
        return seconds

    def compare(self, expected: Mapping[str, str]) -> None:
        """Demands the exports of one machine."""
        found = _exports(self._dataset.storage)
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        if wrong:
            sys.exit(f"WRONG: these differ from those of one machine, or are missing: {wrong}")
        together = hashlib.sha256("".join(found[name] for name in sorted(found)).encode()).hexdigest()
        say(f"{len(found)} files of exports are byte for byte those of one machine (sha256 of all {together[:16]})")

    def _look(self, ui: DagsterUi, instance: dg.DagsterInstance, backfill: str) -> bool:
        """Whether the backfill is done; between two looks, machines go down and come back."""
        if self._kills and self._cluster.alive() == len(self._cluster.names):
            working = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
            if self._next_kill is math.inf and working:
                self._next_kill = time.monotonic() + self._chance.uniform(*PAUSE_SECONDS)
            if time.monotonic() >= self._next_kill and working:
                self._kill_one(instance)
        for name in self._cluster.tend():
            say(f"  {name} was started again")
        return ui.ended(backfill)

    def _kill_one(self, instance: dg.DagsterInstance) -> None:
        victim = self._chance.choice(self._cluster.names)
        runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        under_way = " and ".join(sorted(str(run.tags.get("dagster/partition")) for run in runs))
        count = len(self._cluster.processes(victim))
        self._cluster.kill(victim)
        self._killed += 1
        self._kills -= 1
        self._next_kill = math.inf
        say(f"  kill {self._killed}: SIGKILL to the {count} processes of {victim}; under way: {under_way}")

    def _cataloged(self, shards: list[str]) -> bool:
        self._cluster.tend()
        if not self._dataset.catalog_path.exists():
            return False
        with duckdb.connect(str(self._dataset.catalog_path), read_only=True) as catalog:
            complete = catalog.execute("SELECT count(*) FROM shards WHERE files = 6").fetchall()[0][0]
        return int(complete) == len(shards)


def _upload(images: Path, url: str) -> None:
    fsspec.filesystem("s3").mkdir(url)
    target = Storage(url)
    for path in sorted(images.rglob("*")):
        if path.is_file():
            target.write_bytes(str(path.relative_to(images)), path.read_bytes())


def _report_runs(instance: dg.DagsterInstance, backfill: str) -> None:
    records = instance.get_run_records(dg.RunsFilter(tags={"dagster/backfill": backfill}))
    states = [record.dagster_run.status.value for record in records]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    retries = sum("dagster/retry_number" in record.dagster_run.tags for record in records)
    say(f"{len(records)} runs: {counts}; {retries} of them were retries")
    stats = [instance.get_run_stats(record.dagster_run.run_id) for record in records if record.dagster_run.is_success]
    starting = statistics.median(each.start_time - each.launch_time for each in stats)
    working = statistics.median(each.end_time - each.start_time for each in stats)
    say(f"a run that succeeded, median: {starting:.1f} s until it started, {working:.1f} s at work")


if __name__ == "__main__":
    main()
