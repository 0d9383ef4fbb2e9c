"""A shard on a real Ray cluster whose worker is lost in the middle; four minutes on two busy cores."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from sa_pipeline.artifacts import export_tar_name
from sa_pipeline.assets.common import IMAGE_SHARDS
from sa_pipeline.cli import CODE_SERVER_PATIENCE
from sa_pipeline.dataset import HOME_VARIABLE, STORAGE_VARIABLE, Dataset, open_dataset, save_config
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.run_history import shard_of
from sa_pipeline.runs import ensure_dagster_home, run_shard
from sa_pipeline_tests.deploy.test_deploy_files import put_instance
from sa_pipeline_tests.ray_cluster import HEAD, RayCluster, wait_for

pytestmark = pytest.mark.timeout(1200)
SHARD = "000000"


@pytest.fixture
def storage(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The dataset with its files and its settings in a storage that all machines reach, and an empty home."""
    url = f"file://{tmp_path}/storage"
    monkeypatch.setenv(STORAGE_VARIABLE, url)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    save_config(open_dataset(dataset.home, dataset.config.model_copy(update={"storage_url": url})))
    shared = open_dataset(dataset.home)
    append_new_images(shared.storage, str(shared.config.source), shared.settings.images)
    return shared


@pytest.fixture
def cluster(storage: Dataset, shared_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayCluster]:
    with tempfile.TemporaryDirectory(prefix="sa-", ignore_cleanup_errors=True) as folder:
        running = RayCluster(Path(folder) / "ray", 2, os.environ, storage.home)
        monkeypatch.setenv("SA_PIPELINE_RAY", running.address)
        try:
            running.wait_until_whole()
            yield running
        finally:
            running.stop()


@pytest.fixture
def daemon(cluster: RayCluster, storage: Dataset, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Dagster's daemon on the instance of `deploy/ray`."""
    put_instance(storage, "ray")
    monkeypatch.setenv("DAGSTER_HOME", str(storage.dagster_home))
    monkeypatch.setenv(HOME_VARIABLE, str(storage.home))
    monkeypatch.setenv("DAGSTER_GRPC_TIMEOUT_SECONDS", CODE_SERVER_PATIENCE)
    command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "sa_pipeline.definitions"]
    process = subprocess.Popen(command, start_new_session=True)
    yield
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(60)
    shutil.rmtree(storage.dagster_home, ignore_errors=True)


def launch(shard: str) -> None:
    tags = json.dumps({"dagster/partition": shard})
    command = ["dagster", "job", "launch", "-m", "sa_pipeline.definitions", "-j", "shard_masks", "--tags", tags]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)


def worker_of(cluster: RayCluster, run_id: str) -> str | None:
    """The node that executes a run."""
    for name in cluster.names:
        if any(run_id in " ".join(process.cmdline()) for process in cluster.processes(name)):
            return name
    return None


def test_a_shard_survives_the_loss_of_its_worker_and_equals_one_made_on_one_machine(
    cluster, daemon, storage, tmp_path, monkeypatch
) -> None:
    with ensure_dagster_home(storage) as instance:
        instance.add_dynamic_partitions(str(IMAGE_SHARDS.name), list_shards(storage.storage))
        launch(SHARD)
        started = dg.RunsFilter(job_name="shard_masks", statuses=[dg.DagsterRunStatus.STARTED])
        succeeded = dg.RunsFilter(job_name="shard_masks", statuses=[dg.DagsterRunStatus.SUCCESS])
        wait_for("the run to start", lambda: bool(instance.get_runs(started)), 600)
        (first,) = instance.get_runs(started)
        worker = worker_of(cluster, first.run_id)
        assert worker not in (None, HEAD)
        cluster.kill(worker)

        def retried() -> bool:
            cluster.tend()
            return bool(instance.get_runs(succeeded))

        wait_for("the retry to succeed", retried, 600)
        assert instance.get_run_by_id(first.run_id).status is dg.DagsterRunStatus.FAILURE
        (retry,) = instance.get_runs(succeeded)
        assert (retry.root_run_id, shard_of(retry)) == (first.run_id, SHARD)

    monkeypatch.delenv(STORAGE_VARIABLE)
    monkeypatch.delenv("SA_PIPELINE_DATABASE")
    alone = open_dataset(tmp_path / "alone", storage.config.model_copy(update={"storage_url": None}))
    save_config(alone)
    append_new_images(alone.storage, str(alone.config.source), alone.settings.images)
    with ensure_dagster_home(alone) as instance:
        assert run_shard(alone, SHARD, instance).success
    name = export_tar_name(SHARD)
    assert storage.storage.digest(name) == alone.storage.digest(name)
