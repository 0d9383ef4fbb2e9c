"""Dagster's web server as a process, asked what its pages ask."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plane.parts import peak_mebibytes
from sa_pipeline.artifacts import AssetName
from sa_pipeline.dataset import HOME_VARIABLE, Dataset

START_SECONDS = 300
ANSWER_SECONDS = 600

LAUNCH = """
mutation Launch($parameters: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $parameters) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""

PAGES = {
    "asset page: partitions": """
query PartitionHealthQuery {
  assetNodeOrError(assetKey: {path: ["raw_images"]}) {
    ... on AssetNode {
      id
      partitionKeysByDimension { name type partitionKeys }
      assetPartitionStatuses {
        ... on DefaultPartitionStatuses { materializedPartitions materializingPartitions failedPartitions }
      }
    }
  }
}
""",
    "asset graph: counts of six assets": """
query AssetGraphLiveQuery {
  assetNodes(assetKeys: [KEYS], loadMaterializations: true) {
    id
    assetMaterializations(limit: 1) { timestamp runId }
    partitionStats { numMaterialized numMaterializing numPartitions numFailed }
  }
  assetsLatestInfo(assetKeys: [KEYS]) { id unstartedRunIds inProgressRunIds latestRun { id status } }
}
""".replace("KEYS", ", ".join(f'{{path: ["{asset.value}"]}}' for asset in AssetName)),
    "runs page": """
query RunsFeedRootQuery {
  runsFeedOrError(limit: 30, view: ROOTS) {
    ... on RunsFeedConnection {
      cursor hasMore
      results {
        id runStatus creationTime startTime endTime tags { key value } jobName
        ... on PartitionBackfill { partitionNames numPartitions }
      }
    }
  }
  queued: runsFeedCountOrError(view: RUNS, filter: {statuses: [QUEUED]}) { ... on RunsFeedCount { count } }
}
""",
    "backfill page": """
query BackfillStatus {
  partitionBackfillsOrError(limit: 1) {
    ... on PartitionBackfills {
      results {
        id status numPartitions
        assetBackfillData {
          rootTargetedPartitions { partitionKeys }
          assetBackfillStatuses {
            ... on AssetPartitionsStatusCounts {
              assetKey { path }
              numPartitionsTargeted numPartitionsInProgress numPartitionsMaterialized numPartitionsFailed
            }
          }
        }
      }
    }
  }
}
""",
}
"""What the pages of Dagster 1.13 ask for, without what does not depend on the number of partitions or runs."""


class WebServer:
    """A running `dagster-webserver`."""

    def __init__(self, url: str, process: "subprocess.Popen[bytes]") -> None:
        self._url = url
        self._process = process

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The `data` of a GraphQL answer.

        Raises:
            RuntimeError: The answer tells of errors.
        """
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            content = json.load(answer)
        if content.get("errors"):
            raise RuntimeError(f"GraphQL: {content['errors']}")
        return dict(content["data"])

    def launch_backfill(self, shards: list[str]) -> str:
        """Launches a backfill of the six assets and returns its id."""
        keys = [{"path": [asset.value]} for asset in AssetName]
        outcome = self.ask(LAUNCH, parameters={"assetSelection": keys, "partitionNames": shards, "tags": []})
        return str(outcome["launchPartitionBackfill"]["backfillId"])

    def peak_mebibytes(self) -> float:
        """Peak memory of the web server; its code server is another process."""
        return peak_mebibytes(self._process.pid)

    def cpu_seconds(self) -> float:
        """CPU time of the web server since it was started."""
        user, system = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def web_server(dataset: Dataset) -> Iterator[WebServer]:
    """Runs the web server on a free port until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "DAGSTER_HOME": str(dataset.dagster_home), HOME_VARIABLE: str(dataset.home)}
    with (dataset.home / "webserver.log").open("wb") as log:
        process = subprocess.Popen([*command, "-m", "sa_pipeline.definitions"], stdout=log, stderr=log, env=environment)
    try:
        server = WebServer(f"http://127.0.0.1:{port}/graphql", process)
        _wait_until_loaded(server, process)
        yield server
    finally:
        process.terminate()
        process.wait()


def _wait_until_loaded(server: WebServer, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError("dagster-webserver ended at once; see webserver.log in the home.")
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            loaded = server.ask("{ repositoriesOrError { __typename } }")
            if loaded["repositoriesOrError"]["__typename"] == "RepositoryConnection":
                return
        time.sleep(0.5)
    raise RuntimeError(f"dagster-webserver did not answer within {START_SECONDS} s.")
