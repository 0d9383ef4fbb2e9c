"""The studio's server as a process of its own, and the simulated people who work at it until nothing is left."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from sa_pipeline.dataset import Dataset
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.models import Role
from sa_pipeline.studio.people import add_annotator, list_annotators, renew_token
from turning.plan import Plan

PEOPLE = {"Ada": Role.ANNOTATOR, "Bea": Role.ANNOTATOR, "Grace": Role.REVIEWER}
ANNOTATOR = Path(__file__).parents[1] / "simulated_annotator.py"

# Its standard input ends when this process does, however that comes about.
_SERVE = """
import os, sys, threading
from sa_pipeline.dataset import open_dataset
from sa_pipeline.studio.serve import serve
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
serve(open_dataset(sys.argv[1]), port=int(sys.argv[2]))
"""
_START_SECONDS = 600.0
_LOOK_SECONDS = 0.5
"""Between two looks whether the server is still there."""


def let_people_work(dataset: Dataset, plan: Plan, folder: Path) -> str:
    """Opens the studio and waits until all its tasks are accepted; returns what the people said.

    Raises:
        SystemExit: The server or a person gave up.
    """
    tokens = folder / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text("\n".join(_tokens(dataset)))
    with _serving(dataset) as server:
        command = [sys.executable, ANNOTATOR, "--url", server.url, "--tokens", tokens]
        command += ["--source", plan.images, "--references", plan.references]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as people:
            while True:
                try:
                    said, _ = people.communicate(timeout=_LOOK_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    server.ensure()
    if people.returncode != 0:
        raise SystemExit("The simulated people gave up; start again to go on.")
    return said


def _tokens(dataset: Dataset) -> Iterator[str]:
    studio = open_studio(dataset)
    try:
        known = {person.name for person in list_annotators(studio)}
        for name, role in PEOPLE.items():
            yield renew_token(studio, name) if name in known else add_annotator(studio, name, role)
    finally:
        studio.close()


class _Server:
    """The studio's server, started again whenever it died, as a service manager would."""

    def __init__(self, dataset: Dataset) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-c", _SERVE, str(dataset.home), str(port)]
        self._process = self._started()

    def ensure(self) -> None:
        """Starts it again if it is gone."""
        if self._process.poll() is not None:
            self._process.communicate()
            self._process = self._started()

    def end(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.communicate()

    def _started(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE)
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/api/health").is_success:
                    return process
            time.sleep(0.1)
        process.kill()
        raise SystemExit("The studio's server did not start.")


@contextlib.contextmanager
def _serving(dataset: Dataset) -> Iterator[_Server]:
    server = _Server(dataset)
    try:
        yield server
    finally:
        server.end()
