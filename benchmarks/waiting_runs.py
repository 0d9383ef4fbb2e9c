"""How long Dagster takes over its storage when many shards were made and many runs wait.

    python benchmarks/waiting_runs.py HOME --shards 300 1000 3000 10000 --scratch /dev/shm

Takes a run that waits in the queue of HOME, a dataset of which a backfill was launched, and copies it in instances of
their own: a waiting run a shard, one that goes on and holds the pool, and a materialization of one asset a shard.
Printed are CPU seconds and, in brackets, seconds of each question, and the milliseconds to store an event and a run.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
from plane import parts, simulation

from sa_pipeline.artifacts import AssetName
from sa_pipeline.assets.common import IMAGE_SHARDS
from sa_pipeline.automation import SHARD_JOBS
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.run_history import count_unfinished, read_run_history, shards_in_progress
from sa_pipeline.runs import ensure_dagster_home


def main() -> None:
    """Does what the module says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--shards", type=int, nargs="+", default=[300, 1_000, 3_000, 10_000])
    parser.add_argument("--scratch", type=Path, help="folder for the instances; default: the system's")
    arguments = parser.parse_args()
    with ensure_dagster_home(open_dataset(arguments.home)) as instance:
        waiting = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]), limit=1)
    if not waiting:
        parser.error(f"no run waits in {arguments.home}; launch a backfill there")
    template = waiting[0]._replace(job_snapshot_id=None, execution_plan_snapshot_id=None)
    os.fsync = lambda _file: None
    for number in arguments.shards:
        with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
            dataset = open_dataset(folder, DatasetConfig())
            with ensure_dagster_home(dataset) as instance:
                measure(dataset, instance, template, number)


def measure(dataset: Dataset, instance: dg.DagsterInstance, template: dg.DagsterRun, number: int) -> None:
    """Fills an instance and asks it."""
    shards = [f"{shard:06d}" for shard in range(number)]
    instance.add_dynamic_partitions(str(IMAGE_SHARDS.name), shards)

    def say(name: str, work: Callable[[], object], divisor: int = 1) -> None:
        started, cpu = time.monotonic(), time.process_time()
        work()
        spent, passed = (time.process_time() - cpu) / divisor, (time.monotonic() - started) / divisor
        print(f"{number:6d}  {name}: {spent:.4f} CPU s ({passed:.4f} s)", flush=True)

    queued, started = dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED
    key = dg.AssetKey(AssetName.RAW_IMAGES.value)
    say("storing an event", lambda: simulation.store_asset(instance, AssetName.RAW_IMAGES, shards), number)
    say("storing a run", lambda: simulation.store_copies(instance, template, shards, queued), number)
    simulation.store_copies(instance, template, shards[:1], started)
    say("materialized partitions", lambda: instance.get_materialized_partitions(key))
    say("statuses of partitions", lambda: instance.get_status_by_partition(key, shards, IMAGE_SHARDS))
    say("reading the runs for the catalogue", lambda: read_run_history(instance))
    say("counting unfinished runs", lambda: count_unfinished(instance, SHARD_JOBS))
    say("shards in progress", lambda: shards_in_progress(instance))
    print(f"{number:6d}  tick of the queue: {parts.dequeue(dataset, instance)}")


if __name__ == "__main__":
    main()
