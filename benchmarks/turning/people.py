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
_START_SECONDS = 120.0


def let_people_work(dataset: Dataset, plan: Plan, folder: Path) -> str:
    """Opens the studio and waits until all its tasks are accepted; returns what the people said.

    Raises:
        SystemExit: The server or a person gave up.
    """
    tokens = folder / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text("\n".join(_tokens(dataset)))
    with _serving(dataset) as url:
        command = [sys.executable, ANNOTATOR, "--url", url, "--tokens", tokens]
        command += ["--source", plan.images, "--references", plan.references]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit("The simulated people gave up; start again to go on.")
    return done.stdout


def _tokens(dataset: Dataset) -> Iterator[str]:
    studio = open_studio(dataset)
    try:
        known = {person.name for person in list_annotators(studio)}
        for name, role in PEOPLE.items():
            yield renew_token(studio, name) if name in known else add_annotator(studio, name, role)
    finally:
        studio.close()


@contextlib.contextmanager
def _serving(dataset: Dataset) -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-c", _SERVE, str(dataset.home), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(process, url)
            yield url
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/api/health").is_success:
                return
        time.sleep(0.1)
    raise SystemExit("The studio's server did not start.")
