"""Dagster's daemon and webserver as processes that can be killed, on a dataset's own instance."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from sa_pipeline.artifacts import AssetName
from sa_pipeline.cli import CODE_SERVER_PATIENCE
from sa_pipeline.dataset import Dataset
from sa_pipeline.runs import INSTANCE_SETTINGS
from sa_pipeline_tests.faults.conftest import PATIENCE_SECONDS, environment_of
from sa_pipeline_tests.studio.browser import free_port, wait_until
from sa_pipeline_tests.studio.postgresql import dagster_url

CODE = ("-m", "sa_pipeline.definitions")
LAUNCH = """
mutation Launch($parameters: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $parameters) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) { __typename ... on PartitionBackfill { status } }
}
"""


def put_instance(dataset: Dataset, postgresql: str | None = None) -> None:
    """Settings of the dataset's Dagster as we ship them, but that lost runs are looked for every second."""
    text = INSTANCE_SETTINGS.read_text().replace("poll_interval_seconds: 10", "poll_interval_seconds: 1")
    if postgresql is not None:
        text += f"storage:\n  postgres:\n    postgres_url: {json.dumps(dagster_url(postgresql))}\n"
    dataset.dagster_home.mkdir(parents=True)
    (dataset.dagster_home / "dagster.yaml").write_text(text)


class Dagster:
    """What runs on one instance."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._port = free_port()
        self._started: list[subprocess.Popen[bytes]] = []

    def start_daemon(self) -> subprocess.Popen[bytes]:
        """Starts a daemon; runs are started by its code server, as processes of their own."""
        return self._start("dagster._daemon", "run", *CODE)

    def start_webserver(self) -> subprocess.Popen[bytes]:
        """Starts the webserver, and waits until it answers."""
        process = self._start("dagster_webserver", "-h", "127.0.0.1", "-p", str(self._port), *CODE)
        wait_until(self._answers, "the webserver", PATIENCE_SECONDS)
        return process

    def launch_backfill(self, shards: list[str]) -> str:
        """Backfills the shards' assets, as the UI does; returns the backfill's id."""
        keys = [{"path": [asset.value]} for asset in AssetName]
        asked = self.ask(LAUNCH, {"parameters": {"assetSelection": keys, "partitionNames": shards, "tags": []}})
        return str(asked["launchPartitionBackfill"]["backfillId"])

    def backfill_status(self, backfill: str) -> str:
        """What the UI shows of it, such as COMPLETED_SUCCESS."""
        return str(self.ask(STATUS, {"id": backfill})["partitionBackfillOrError"]["status"])

    def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The `data` of a GraphQL answer of the webserver."""
        body = json.dumps({"query": query, "variables": variables or {}}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return dict(json.load(answer)["data"])

    def turn_sensor_on(self, name: str) -> None:
        """As the switch in the UI does."""
        command = [sys.executable, "-m", "dagster", "sensor", "start", name, *CODE]
        subprocess.run(command, env=environment_of(self._dataset), check=True, capture_output=True)

    def stop(self) -> None:
        """Kills all processes that were started, and what they started."""
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._dataset.home / "dagster.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=environment_of(self._dataset) | {"DAGSTER_GRPC_TIMEOUT_SECONDS": CODE_SERVER_PATIENCE},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def _answers(self) -> bool:
        try:
            return "repositoriesOrError" in self.ask("{ repositoriesOrError { __typename } }")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


@contextlib.contextmanager
def dagster_of(dataset: Dataset) -> Iterator[Dagster]:
    """Nothing is started yet; all that was is stopped in the end."""
    dagster = Dagster(dataset)
    try:
        yield dagster
    finally:
        dagster.stop()


@contextlib.contextmanager
def telling_runs(dataset: Dataset, instance: dg.DagsterInstance) -> Iterator[None]:
    """Adds to a failed assertion what became of each run, and the end of what Dagster's processes said."""
    try:
        yield
    except AssertionError as error:
        for run in instance.get_runs():
            error.add_note(f"{run.run_id} {run.job_name} {run.status.value} {run.tags}")
            for entry in [] if run.is_success else instance.all_logs(run.run_id)[-5:]:
                error.add_note(f"    {entry.timestamp} {entry.dagster_event_type} {entry.message[:300]}")
        error.add_note((dataset.home / "dagster.log").read_text(errors="replace")[-10_000:])
        raise
