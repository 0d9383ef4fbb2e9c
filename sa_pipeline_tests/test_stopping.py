"""A run that is stopped from outside, by Ctrl-C or by SIGKILL, and the same command after it."""

import functools
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from sa_pipeline.artifacts import AssetName, artifact_name, export_tar_name, read_header
from sa_pipeline.dataset import Dataset, open_dataset, save_config
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.provenance import shard_assets
from sa_pipeline.run_history import worker_pid
from sa_pipeline.runs import ensure_dagster_home

CANDIDATES = artifact_name(AssetName.CANDIDATE_MASKS, "000000")


@pytest.fixture
def slow(dataset: Dataset) -> Dataset:
    """So many points that there is time to stop it between the images of a shard."""
    masks = dataset.settings.masks.model_copy(update={"points_per_side": 16})
    settings = dataset.settings.model_copy(update={"masks": masks})
    changed = open_dataset(dataset.home, dataset.config.model_copy(update={"settings": settings}))
    save_config(changed)
    return changed


def start(dataset: Dataset) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sa_pipeline.cli", "run", str(dataset.config.source), "--output", dataset.home]
    # Whoever runs the tests in the background has Ctrl-C ignored, and would hand that down.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipe = subprocess.PIPE
    return subprocess.Popen([*map(str, command)], stdout=pipe, stderr=pipe, text=True, preexec_fn=heed)


def stop_between_images(dataset: Dataset, how: signal.Signals) -> tuple[subprocess.Popen[str], str, str]:
    """Starts a run and sends it a signal once the first image of the first shard has its candidates."""
    process = start(dataset)
    while not list((dataset.home / "candidate_masks" / "parts").glob("000000-*/*.parquet")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(how)
    stdout, stderr = process.communicate()
    assert not dataset.storage.exists(CANDIDATES)
    return process, stdout, stderr


def call_again(dataset: Dataset) -> str:
    process = start(dataset)
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    return stdout


def files_aside(dataset: Dataset) -> list[Path]:
    parts = (dataset.home / "candidate_masks" / "parts").rglob("*.parquet")
    return [path for path in dataset.home.rglob("*") if ".aside-" in path.name] + list(parts)


def statuses(dataset: Dataset) -> list[dg.DagsterRunStatus]:
    with ensure_dagster_home(dataset) as instance:
        return [run.status for run in reversed(instance.get_runs(dg.RunsFilter(job_name="shard_masks")))]


def digests(dataset: Dataset) -> dict[str, str]:
    shards = list_shards(dataset.storage)
    names = [artifact_name(asset, shard) for asset in shard_assets(dataset.settings) for shard in shards]
    return {name: dataset.storage.digest(name) for name in [*names, *map(export_tar_name, shards)]}


def test_a_killed_run_leaves_nothing_half_written_and_the_next_call_makes_the_same_bytes(slow, tmp_path) -> None:
    process, _, _ = stop_between_images(slow, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert [path.name for path in files_aside(slow) if ".aside-" in path.name], "the file that was being written"
    assert read_header(slow.storage, AssetName.IMAGE_EMBEDDINGS, "000000") is not None
    assert statuses(slow) == [dg.DagsterRunStatus.STARTED], "nobody was left to say that it ended"
    with ensure_dagster_home(slow) as instance:
        (run,) = instance.get_runs()
        assert worker_pid(instance, run.run_id) == process.pid

    call_again(slow)
    assert statuses(slow) == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.SUCCESS]
    assert files_aside(slow) == []
    # In a process of its own as well: the encoder's last bit depends on torch's number of threads, which tests change.
    twin = open_dataset(tmp_path / "undisturbed", slow.config)
    save_config(twin)
    call_again(twin)
    assert digests(twin) == digests(slow)


def test_ctrl_c_ends_a_run_with_a_sentence_and_the_next_call_goes_on(slow) -> None:
    process, stdout, stderr = stop_between_images(slow, signal.SIGINT)
    assert process.returncode == 130
    assert "Stopped; the same command goes on where it stopped." in stdout
    assert "Traceback" not in stderr
    assert [path for path in files_aside(slow) if ".aside-" in path.name] == []
    assert statuses(slow) == [dg.DagsterRunStatus.FAILURE], "neither was the step tried again nor the next shard begun"
    assert "5 images" in call_again(slow)
    assert files_aside(slow) == []
