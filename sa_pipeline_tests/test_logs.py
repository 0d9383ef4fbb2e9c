"""What the shell and Dagster's runs write when lines of JSON are wanted."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from sa_pipeline.dataset import Dataset, save_config
from sa_pipeline.errors import SettingsError
from sa_pipeline.images.ledger import append_new_images, ledger_name
from sa_pipeline.logs import LOG_FORMAT_VARIABLE, log_format


def call(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def lines_of(text: str) -> list[dict[str, Any]]:
    """Lines of the log, each of which must be JSON."""
    lines = [json.loads(line) for line in text.splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    return lines


def test_the_shell_logs_its_errors_as_json(dataset: Dataset) -> None:
    gone = call("sa_pipeline.cli", "--log-format", "json", "stats", "--home", str(dataset.home), environment={})
    assert gone.returncode == 1
    (line,) = lines_of(gone.stderr)
    assert (line["level"], line["logger"]) == ("ERROR", "sa_pipeline.cli")
    assert str(dataset.home) in line["message"]


def test_a_wrong_format_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG_FORMAT_VARIABLE, "yaml")
    with pytest.raises(SettingsError, match="expected text or json, got 'yaml'"):
        log_format()


def test_a_run_says_in_each_line_of_json_where_it_comes_from(dataset: Dataset) -> None:
    append_new_images(dataset.storage, str(dataset.config.source), dataset.settings.images)
    dataset.storage.write_bytes(ledger_name("000001"), b"damaged")
    save_config(dataset)
    environment = {
        LOG_FORMAT_VARIABLE: "json",
        "SA_PIPELINE_HOME": str(dataset.home),
        "DAGSTER_HOME": str(dataset.dagster_home),
        "PYTHONWARNINGS": "ignore",  # Dagster's command says that another is to come
    }
    program = f"""
import sys
from sa_pipeline.dataset import open_dataset
from sa_pipeline.logs import configure_logging
from sa_pipeline.runs import ensure_dagster_home, run_embeddings
configure_logging()
dataset = open_dataset({str(dataset.home)!r})
with ensure_dagster_home(dataset) as instance:
    assert not run_embeddings(dataset, "000001", instance).success
    instance.add_dynamic_partitions("image_shards", ["000000"])
"""
    failed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    error = next(line for line in lines_of(failed.stderr) if line.get("event") == "STEP_FAILURE")
    assert {name: error[name] for name in ("level", "job", "asset", "shard")} == {
        "level": "ERROR",
        "job": "shard_embeddings",
        "asset": "raw_images",
        "shard": "000001",
    }
    assert "is damaged" in error["exception"]

    # As a worker's process does it: Dagster's own command, with the loggers that it makes by itself.
    job = ("dagster", "job", "execute", "-m", "sa_pipeline.definitions", "-j", "shard_embeddings")
    worked = call(*job, "--tags", '{"dagster/partition": "000000"}', environment=environment)
    assert worked.returncode == 0, worked.stderr
    lines = [line for line in lines_of(worked.stderr) if line.get("run_id")]
    assert len({line["run_id"] for line in lines}) == 1
    assert {line["job"] for line in lines} == {"shard_embeddings"}
    assert {line["shard"] for line in lines} == {"000000"}
    progress = next(line for line in lines if "raw_images 000000" in line["message"])
    assert progress["asset"] == "raw_images"
    assert progress["message"] == progress["message"].strip()
