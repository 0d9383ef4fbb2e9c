"""What Prometheus learns of runs and shards, from a real instance with real runs, one of which failed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import dagster as dg
import httpx
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from sa_pipeline.dataset import Dataset, open_dataset, save_config
from sa_pipeline.definitions import defs
from sa_pipeline.images.ledger import append_new_images, ledger_name
from sa_pipeline.monitoring import shards as shard_book
from sa_pipeline.monitoring.exporter import exporting
from sa_pipeline.runs import ensure_dagster_home, run_shard
from sa_pipeline_tests.exposition import Scrape, scrape
from sa_pipeline_tests.studio.browser import wait_until


@pytest.fixture
def instance(dataset: Dataset) -> Iterator[dg.DagsterInstance]:
    """Of a dataset with two shards, of which nothing was made."""
    append_new_images(dataset.storage, str(dataset.config.source), dataset.settings.images)
    save_config(dataset)
    with ensure_dagster_home(dataset) as opened:
        yield opened


@pytest.fixture
def url(dataset: Dataset, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the exporter answers; it looks more often than in earnest."""
    monkeypatch.setattr("sa_pipeline.monitoring.watching.LOOK_SECONDS", 0.1)
    with exporting(dataset, instance, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


def states(seen: Scrape) -> dict[str, int]:
    found = {each.labels["state"]: int(each.value) for each in seen.samples if each.name == "sa_pipeline_shards"}
    return {state: count for state, count in found.items() if count}


def wait_for(url: str, expected: dict[str, int]) -> Scrape:
    wait_until(lambda: states(scrape(url)) == expected, f"shards to be {expected}", 300)
    return scrape(url)


def test_runs_and_shards_are_told_as_they_go(
    dataset: Dataset, instance: dg.DagsterInstance, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = wait_for(url, {"missing": 2})
    assert "sa_pipeline_catalog_built_timestamp_seconds" not in before.names
    assert before.value("sa_pipeline_exported_masks") == 0

    began = time.time()
    assert run_shard(dataset, "000000", instance).success
    dataset.storage.write_bytes(ledger_name("000001"), b"damaged")
    assert not run_shard(dataset, "000001", instance).success
    seen = wait_for(url, {"complete": 1, "failed": 1})
    assert seen.value("sa_pipeline_runs", dagster_job="shard_masks", status="SUCCESS") == 1
    assert seen.value("sa_pipeline_runs", dagster_job="shard_masks", status="FAILURE") == 1
    assert seen.value("sa_pipeline_exported_images") == 2
    assert seen.value("sa_pipeline_exported_masks") > 0
    assert seen.value("sa_pipeline_asset_seconds_count", asset="candidate_masks") == 1
    assert seen.value("sa_pipeline_asset_seconds_sum", asset="candidate_masks") > 0
    assert began < seen.value("sa_pipeline_shard_exported_timestamp_seconds") < time.time()

    instance.report_runless_asset_event(dg.AssetMaterialization("catalog"))
    wait_until(lambda: "sa_pipeline_catalog_built_timestamp_seconds" in scrape(url).names, "the catalogue")

    # Settings make files stale without an event.
    masks = dataset.settings.masks.model_copy(update={"box_nms_thresh": 0.6})
    settings = dataset.settings.model_copy(update={"masks": masks})
    save_config(open_dataset(dataset.home, dataset.config.model_copy(update={"settings": settings})))
    wait_for(url, {"stale": 1, "failed": 1})

    # What a disk or a person did to a file is found by the sweep.
    monkeypatch.setattr(shard_book, "SWEEP_SECONDS", 0.0)
    dataset.storage.write_bytes("sa1b_export/sa_000000.index.json", b"damaged")
    wait_until(lambda: scrape(url).value("sa_pipeline_exported_images") == 0, "the damaged export", 300)
    assert states(scrape(url)) == {"stale": 1, "failed": 1}
    assert httpx.get(f"{url}/health/ready").status_code == 200
    dataset.storage.remove("filtered_masks/000000.parquet")
    wait_for(url, {"missing": 1, "failed": 1})


def test_queue_daemons_and_disk(dataset: Dataset, instance: dg.DagsterInstance, url: str) -> None:
    job = defs.resolve_job_def("shard_masks")
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("sa_pipeline"), "__repository__")
    queued = {"status": dg.DagsterRunStatus.QUEUED, "remote_job_origin": RemoteJobOrigin(repository, job.name)}
    first = instance.create_run_for_job(job, **queued)
    instance.create_run_for_job(job, **queued)
    wait_until(lambda: scrape(url).value("sa_pipeline_queued_runs") == 2, "the queue")
    seen = scrape(url)
    assert 0 < seen.value("sa_pipeline_queue_oldest_seconds") < 600
    assert seen.value("sa_pipeline_runs", dagster_job="shard_masks", status="QUEUED") == 2
    assert {"SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR"} <= seen.labels("sa_pipeline_daemon_healthy", "daemon")
    assert seen.value("sa_pipeline_daemon_healthy") == 0
    assert seen.labels("sa_pipeline_disk_free_bytes", "place") == {"home", "storage"}
    assert seen.value("sa_pipeline_disk_free_bytes", place="home") > 0
    assert seen.value("sa_pipeline_disk_free_bytes") < seen.value("sa_pipeline_disk_size_bytes")
    instance.delete_run(first.run_id)
    wait_until(lambda: scrape(url).value("sa_pipeline_queued_runs") == 1, "the deleted run to be forgotten")


def test_readiness_says_what_cannot_be_read(dataset: Dataset, url: str) -> None:
    wait_until(lambda: httpx.get(f"{url}/health/ready").status_code == 200, "the first look")
    settings = dataset.home / "settings.yaml"
    content = settings.read_text()
    settings.write_text("storage_url: [1]")
    wait_until(lambda: httpx.get(f"{url}/health/ready").status_code == 503, "not ready")
    checks = httpx.get(f"{url}/health/ready").json()["checks"]
    assert checks["dagster"] is None
    assert "storage_url" in checks["dataset"]
    since = scrape(url).value("sa_pipeline_watched_timestamp_seconds")
    settings.write_text(content)
    wait_until(lambda: scrape(url).value("sa_pipeline_watched_timestamp_seconds") > since, "a look without error")


def test_the_command_serves_until_it_is_stopped(dataset: Dataset, instance: dg.DagsterInstance) -> None:
    command = [sys.executable, "-m", "sa_pipeline.cli", "metrics", "--home", str(dataset.home), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "20"}) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip().removesuffix("/metrics")
        wait_for(url, {"missing": 2})
        assert json.loads(httpx.get(f"{url}/health/live").text) == {"status": "live"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
