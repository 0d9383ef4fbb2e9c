"""`sa-pipeline ui` with its GraphQL API, for the benchmarks that launch backfills as the browser does."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sa_pipeline.artifacts import AssetName

LOOK_EVERY_SECONDS = 2.0
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
_started = time.monotonic()


def say(text: str) -> None:
    """Prints a line with the seconds since the start."""
    print(f"{time.monotonic() - _started:7.1f} s  {text}", flush=True)


def wait(what: str, condition: Callable[[], bool], timeout: float) -> None:
    """Waits until a condition holds; ends the program if it does not in `timeout` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"Waited {timeout:.0f} s in vain for {what}.")
        time.sleep(LOOK_EVERY_SECONDS)


class DagsterUi:
    """Web server, daemon and code server of a dataset."""

    def __init__(self, home: Path, timeout: float, environment: Mapping[str, str] = os.environ) -> None:
        """Starts them on a free port; `timeout` seconds are what a backfill may take."""
        self.timeout = timeout
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}/graphql"
        command = [sys.executable, "-m", "sa_pipeline.cli", "ui", "--home", str(home), "--port", str(port)]
        with (home / "ui.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=dict(environment), stdout=log, stderr=log, start_new_session=True
            )
        wait("the UI", self._answers, 600)
        say(f"UI and daemon run on port {port}")

    def launch_backfill(self, shards: list[str]) -> str:
        """Launches a backfill of the six assets and returns its id."""
        keys = [{"path": [asset.value]} for asset in AssetName]
        launched = self.ask(LAUNCH, parameters={"assetSelection": keys, "partitionNames": shards, "tags": []})
        outcome = launched["launchPartitionBackfill"]
        if outcome["__typename"] != "LaunchBackfillSuccess":
            sys.exit(f"Dagster refused the backfill: {outcome}")
        say(f"backfill {outcome['backfillId']} of {len(shards)} shards launched over GraphQL")
        return str(outcome["backfillId"])

    def wait_for_backfill(self, backfill: str) -> None:
        """Waits until Dagster calls it complete."""
        wait(f"backfill {backfill}", lambda: self.ended(backfill), self.timeout)
        say(f"backfill {backfill} is COMPLETED_SUCCESS")

    def ended(self, backfill: str) -> bool:
        """Whether it is complete; ends this program if it failed."""
        status = self.ask(STATUS, id=backfill)["partitionBackfillOrError"]["status"]
        if status in ("FAILED", "COMPLETED_FAILED", "CANCELED"):
            sys.exit(f"Backfill {backfill} ended as {status}.")
        return bool(status == "COMPLETED_SUCCESS")

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The `data` of a GraphQL answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            content = json.load(answer)
        if content.get("errors"):
            sys.exit(f"GraphQL: {content['errors']}")
        return dict(content["data"])

    def stop(self) -> None:
        """Stops it and all that it started, as Ctrl-C in its terminal does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(60)
            os.killpg(self._process.pid, signal.SIGKILL)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            sys.exit("The UI ended at once; its log is ui.log in the home (--home keeps it).")
        try:
            loaded = self.ask("{ repositoriesOrError { __typename } }")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return bool(loaded["repositoriesOrError"]["__typename"] == "RepositoryConnection")
