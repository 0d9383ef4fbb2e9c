"""SIGKILL of each process that a backfill needs, its database among them; and one daemon too many."""

import os
import signal
from collections import Counter

import dagster as dg
import psutil
import pytest

from sa_pipeline.artifacts import AssetName, artifact_name
from sa_pipeline.dataset import Dataset
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.run_history import PARTITION_TAG, worker_pid
from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline_tests.faults.conftest import PATIENCE_SECONDS, digests, left_aside
from sa_pipeline_tests.faults.processes import dagster_of, put_instance, telling_runs
from sa_pipeline_tests.studio.browser import wait_until
from sa_pipeline_tests.studio.postgresql import PostgreSQL, postgresql_programs

pytestmark = pytest.mark.timeout(3000)
SHARDS = ["000000", "000001", "000002"]


@pytest.fixture
def database():
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (initdb is neither on PATH nor in /usr/lib/postgresql)")
    with PostgreSQL(programs, "fsync=off") as running:
        yield running


def wait_for_candidates(dataset: Dataset, shard: str) -> None:
    """Until a shard's run is under way: its embeddings are there, its candidates not yet."""
    embeddings = artifact_name(AssetName.IMAGE_EMBEDDINGS, shard)
    wait_until(lambda: dataset.storage.exists(embeddings), f"shard {shard}", PATIENCE_SECONDS)


def runs_of_shards(instance: dg.DagsterInstance, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
    runs = instance.get_runs(dg.RunsFilter(statuses=list(statuses)))
    return [run for run in runs if run.tags.get(PARTITION_TAG) in SHARDS]


def done(instance: dg.DagsterInstance) -> set[str]:
    return {run.tags[PARTITION_TAG] for run in runs_of_shards(instance, dg.DagsterRunStatus.SUCCESS)}


def test_a_backfill_ends_whichever_of_its_processes_are_killed(database, new_dataset, undisturbed) -> None:
    dataset = new_dataset("home")
    put_instance(dataset, database.url)
    with ensure_dagster_home(dataset) as instance, dagster_of(dataset) as dagster, telling_runs(dataset, instance):
        instance.add_dynamic_partitions("image_shards", list_shards(dataset.storage))
        daemon = dagster.start_daemon()
        webserver = dagster.start_webserver()
        backfill = dagster.launch_backfill(SHARDS)

        wait_for_candidates(dataset, SHARDS[0])
        started = runs_of_shards(instance, dg.DagsterRunStatus.STARTED)
        (run,) = [run for run in started if run.tags[PARTITION_TAG] == SHARDS[0]]
        os.kill(worker_pid(instance, run.run_id), signal.SIGKILL)
        webserver.kill()

        wait_for_candidates(dataset, SHARDS[1])
        database.kill()
        database.start()

        wait_for_candidates(dataset, SHARDS[2])
        daemon.kill()
        dagster.start_daemon()

        wait_until(lambda: done(instance) == set(SHARDS), "all shards", PATIENCE_SECONDS)
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
        dagster.start_webserver()
        wait_until(lambda: dagster.backfill_status(backfill) == "COMPLETED_SUCCESS", "the backfill", PATIENCE_SECONDS)
    assert digests(dataset) == digests(undisturbed)
    assert left_aside(dataset) == []


def test_a_run_is_missed_also_when_the_code_server_that_started_it_is_gone(new_dataset, undisturbed) -> None:
    dataset = new_dataset("home")
    put_instance(dataset)
    with ensure_dagster_home(dataset) as instance, dagster_of(dataset) as dagster, telling_runs(dataset, instance):
        dagster.start_daemon()
        dagster.turn_sensor_on("new_images")
        wait_for_candidates(dataset, SHARDS[0])
        started = runs_of_shards(instance, dg.DagsterRunStatus.STARTED)
        (run,) = [run for run in started if run.tags[PARTITION_TAG] == SHARDS[0]]
        worker = psutil.Process(worker_pid(instance, run.run_id))
        worker.parent().kill()
        worker.kill()
        wait_until(lambda: done(instance) == set(SHARDS), "all shards", PATIENCE_SECONDS)
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
    assert digests(dataset) == digests(undisturbed)
    assert left_aside(dataset) == []


def test_two_daemons_ask_for_each_shard_once(new_dataset, undisturbed) -> None:
    dataset = new_dataset("home")
    put_instance(dataset)
    with ensure_dagster_home(dataset) as instance, dagster_of(dataset) as dagster, telling_runs(dataset, instance):
        dagster.start_daemon()
        dagster.start_daemon()
        dagster.turn_sensor_on("new_images")
        wait_until(lambda: done(instance) == set(SHARDS), "all shards", PATIENCE_SECONDS)
        requested = Counter(run.tags[PARTITION_TAG] for run in runs_of_shards(instance) if run.root_run_id is None)
    assert requested == dict.fromkeys(SHARDS, 1)
    assert digests(dataset) == digests(undisturbed)
    assert left_aside(dataset) == []
