"""What run monitoring is told of runs of this machine."""

import json
import os
import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from sa_pipeline.dataset import Dataset
from sa_pipeline.runs import ensure_dagster_home


@pytest.fixture
def ended():
    """A process that ended, and that nobody has asked about."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


def started_run(instance: dg.DagsterInstance, pid: int | None, host: str) -> dg.DagsterRun:
    job = dg.GraphDefinition(name="nothing").to_job()
    run = instance.create_run_for_job(job, tags={GRPC_INFO_TAG: json.dumps({"host": host})})
    if pid is not None:
        instance.report_engine_event("Started", run, EngineEventData.in_process(pid))
    return run


def status(dataset: Dataset, pid: int | None, host: str = "localhost") -> WorkerStatus:
    with ensure_dagster_home(dataset) as instance:
        launcher = instance.run_launcher
        assert launcher.supports_check_run_worker_health
        return launcher.check_run_worker_health(started_run(instance, pid, host)).status


def test_a_run_whose_process_is_gone_has_failed(dataset, ended) -> None:
    assert status(dataset, ended) is WorkerStatus.FAILED


def test_a_run_is_believed_to_run_unless_its_process_is_known_to_be_gone(dataset, ended) -> None:
    assert status(dataset, os.getpid()) is WorkerStatus.RUNNING
    assert status(dataset, None) is WorkerStatus.RUNNING
    assert status(dataset, ended, host="elsewhere") is WorkerStatus.RUNNING
