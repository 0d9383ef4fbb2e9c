"""The measured parts of the control plane, each in a process of its own."""

import contextlib
import logging
import multiprocessing
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

import dagster as dg

from sa_pipeline.assets.common import IMAGE_SHARDS, MODEL_POOL
from sa_pipeline.dataset import HOME_VARIABLE, Dataset, open_dataset
from sa_pipeline.resources import DatasetResource
from sa_pipeline.run_history import read_run_history

RUNS_OF_BACKFILL = 200
"""Runs after which the daemon's iteration over a backfill is stopped."""

Figures = dict[str, float | str]
_T = TypeVar("_T")


def measure(name: str, home: Path, environment: Mapping[str, str]) -> Figures:
    """Figures of one part: seconds, CPU seconds, peak memory in MiB, and a note.

    Args:
        name: Of a function in `PARTS`.
        home: The dataset's.
        environment: Variables that are set for this part.
    """
    server = multiprocessing.get_context("forkserver")
    # What every part imports is loaded once; its memory counts in each.
    server.set_forkserver_preload(["plane.parts", "sa_pipeline.definitions", "sa_pipeline.catalog.build"])
    receiver, sender = server.Pipe(duplex=False)
    process = server.Process(target=_run, args=(name, home, dict(environment), sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise RuntimeError(f"The part {name} told no figures; see above.") from None
    finally:
        process.join()


def _run(name: str, home: Path, environment: Mapping[str, str], told: Connection) -> None:
    os.environ.update({HOME_VARIABLE: str(home), "OMP_NUM_THREADS": "1", **environment})
    dataset = open_dataset(home)
    with dg.DagsterInstance.from_config(str(dataset.dagster_home)) as instance:
        if name == backfill_iteration.__name__:
            backfill_iteration(dataset, instance, told)
        else:
            told.send({**PARTS[name](dataset, instance), "mebibytes": peak_mebibytes()})


def _timed(work: Callable[[], _T]) -> tuple[Figures, _T]:
    started, cpu = time.monotonic(), time.process_time()
    found = work()
    return {"seconds": time.monotonic() - started, "cpu": time.process_time() - cpu}, found


def sensor_tick(dataset: Dataset, instance: dg.DagsterInstance) -> Figures:
    """A tick of `new_images`; the partitions that it asks for are registered, as the daemon does."""
    from sa_pipeline.automation import new_images

    context = dg.build_sensor_context(instance=instance, resources={"data": DatasetResource(home=str(dataset.home))})
    figures, found = _timed(lambda: new_images(context))
    if not isinstance(found, dg.SensorResult):
        return {**figures, "note": "nothing new"}
    for request in found.dynamic_partitions_requests or []:
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    return {**figures, "note": f"{len(found.run_requests or [])} shards"}


def nightly_ticks(dataset: Dataset, instance: dg.DagsterInstance) -> Figures:
    """Ticks of `nightly_backfill` until it has looked at every shard; seconds are of all of them."""
    from sa_pipeline.automation import BackfillPosition, nightly_backfill

    resources = {"data": DatasetResource(home=str(dataset.home))}
    cursor, ticks, longest, wanted, seconds, cpu = None, 0, 0.0, 0, 0.0, 0.0
    while cursor is None or not BackfillPosition.model_validate_json(cursor).done:
        context = dg.build_sensor_context(instance=instance, resources=resources, cursor=cursor)
        figures, found = _timed(lambda context=context: nightly_backfill(context))
        cursor, ticks, wanted = found.cursor, ticks + 1, wanted + len(found.run_requests or [])
        longest = max(longest, figures["seconds"])
        seconds, cpu = seconds + figures["seconds"], cpu + figures["cpu"]
    note = f"{wanted} shards; {ticks} ticks, the longest {longest:.1f} s"
    return {"seconds": seconds, "cpu": cpu, "note": note}


def catalog_sensor_tick(dataset: Dataset, instance: dg.DagsterInstance) -> Figures:
    """A tick of `catalog_after_shards`."""
    from sa_pipeline.automation import catalog_after_shards

    figures, _ = _timed(lambda: catalog_after_shards(dg.build_sensor_context(instance=instance)))
    return figures


def definitions(dataset: Dataset, instance: dg.DagsterInstance) -> Figures:
    """Resolving the definitions, imported before, and every partition of an asset."""

    def load() -> int:
        from sa_pipeline.definitions import defs

        defs.get_repository_def()
        return len(IMAGE_SHARDS.get_partition_keys(dynamic_partitions_store=instance))

    figures, partitions = _timed(load)
    return {**figures, "note": f"{partitions} partitions"}


def catalog(dataset: Dataset, instance: dg.DagsterInstance) -> Figures:
    """Building the catalogue, runs included."""
    from sa_pipeline.catalog.build import build_catalog

    figures, report = _timed(lambda: build_catalog(dataset, runs=read_run_history(instance)))
    size = dataset.catalog_path.stat().st_size
    return {**figures, "note": f"{report.counts['masks']} masks, {size / 2**20:.0f} MiB"}


def run_history(dataset: Dataset, instance: dg.DagsterInstance) -> Figures:
    """Reading Dagster's runs for the catalogue."""
    figures, runs = _timed(lambda: read_run_history(instance))
    return {**figures, "note": f"{runs.num_rows} runs"}


def views(dataset: Dataset, instance: dg.DagsterInstance) -> Figures:
    """Every canned view, its first 50 rows."""
    from sa_pipeline.catalog.query import query
    from sa_pipeline.catalog.schema import VIEW_MEANINGS

    seconds: dict[str, float] = {}

    def ask() -> None:
        for name in VIEW_MEANINGS:
            started = time.monotonic()
            query(dataset, f"SELECT * FROM {name} LIMIT 50")
            seconds[name] = time.monotonic() - started

    figures, _ = _timed(ask)
    slowest = max(seconds, key=seconds.__getitem__)
    return {**figures, "note": f"slowest {slowest} {seconds[slowest]:.2f} s"}


def stats(dataset: Dataset, instance: dg.DagsterInstance) -> Figures:
    """`sa-pipeline stats`, its imports included."""
    from typer.testing import CliRunner

    def run() -> str:
        from sa_pipeline.cli import app

        return CliRunner().invoke(app, ["stats", "--home", str(dataset.home)], catch_exceptions=False).output

    figures, output = _timed(run)
    return {**figures, "note": f"{len(output.splitlines())} lines"}


def dequeue(dataset: Dataset, instance: dg.DagsterInstance) -> Figures:
    """The daemon's tick over the queue while the only place of the pool is taken, so that it looks at every run."""
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget
    from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

    # A pool that nobody has asked for yet is not limited in the first tick; ours has been in use.
    instance.event_log_storage.initialize_concurrency_limit_to_default(MODEL_POOL)
    waiting = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    with (
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace,
        QueuedRunCoordinatorDaemon(interval_seconds=1) as daemon,
    ):
        first, _ = _timed(lambda: list(daemon.run_iteration(workspace)))
        later, _ = _timed(lambda: list(daemon.run_iteration(workspace)))
    return {**later, "note": f"{waiting} runs wait; first tick {first['seconds']:.1f} s"}


def backfill_iteration(dataset: Dataset, instance: dg.DagsterInstance, told: Connection) -> None:
    """The backfill daemon's iteration, until it has queued its first runs; then the process ends, as if killed."""
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import ModuleTarget
    from dagster._daemon.backfill import execute_backfill_iteration

    target = ModuleTarget("sa_pipeline.definitions", None, str(Path.cwd()), "sa_pipeline")
    pause = threading.Event()
    with WorkspaceProcessContext(instance, target) as workspace:
        workspace.create_request_context()
        before = queued = _queued(instance)
        started = time.monotonic()
        iteration = threading.Thread(
            target=lambda: list(execute_backfill_iteration(workspace, logging.getLogger("backfill"))), daemon=True
        )
        iteration.start()
        first, first_runs = float("nan"), 0
        while iteration.is_alive() and queued - before < RUNS_OF_BACKFILL:
            pause.wait(0.2)
            queued = _queued(instance)
            if queued > before and not first_runs:
                first, first_runs = time.monotonic() - started, queued - before
        each = (time.monotonic() - started - first) / max(1, queued - before - first_runs)
        note = f"then {1000 * each:.0f} ms a run ({queued - before} runs)"
        told.send({"seconds": first, "cpu": time.process_time(), "note": note, "mebibytes": peak_mebibytes()})
        if iteration.is_alive():
            with contextlib.suppress(Exception):
                workspace.__exit__(None, None, None)
            os._exit(0)


def _queued(instance: dg.DagsterInstance) -> int:
    return instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))


def peak_mebibytes(pid: int | str = "self") -> float:
    """Peak memory of a process; what a parent held before it became this program is not counted."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


PARTS: dict[str, Callable[[Dataset, dg.DagsterInstance], Figures]] = {
    part.__name__: part
    for part in (
        sensor_tick,
        nightly_ticks,
        catalog_sensor_tick,
        definitions,
        catalog,
        run_history,
        views,
        stats,
        dequeue,
    )
}
