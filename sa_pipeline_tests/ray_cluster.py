"""A real Ray cluster on this machine: a head and workers, each as `ray start` starts it on a machine of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil

from sa_pipeline.dataset import HOME_VARIABLE

HEAD = "head"
PATIENCE_SECONDS = 600.0
OBJECT_STORE_BYTES = 80_000_000


class RayCluster:
    """A head without CPUs, and workers with one CPU each."""

    def __init__(self, folder: Path, workers: int, environment: Mapping[str, str], home: Path) -> None:
        """Starts nothing yet.

        Args:
            folder: For what Ray writes, with a short path: it holds sockets.
            workers: How many.
            environment: Of every node, and so of the runs that it is given.
            home: The dataset's, which only the head knows; workers have empty folders.
        """
        folder.mkdir(parents=True)
        self.names = [HEAD, *(f"worker-{number + 1}" for number in range(workers))]
        self._folder = folder
        self._home = home
        # Jobs call `dagster` by its name, as on a machine whose virtual environment is activated.
        path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
        self._environment = {**environment, "PATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
        self._port, self._dashboard, client = free_ports(3)
        self._head_options = ["--head", f"--port={self._port}", f"--dashboard-port={self._dashboard}"]
        self._head_options += ["--num-cpus=0", f"--ray-client-server-port={client}", f"--temp-dir={folder}"]
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def address(self) -> str:
        """Where jobs are submitted."""
        return f"http://127.0.0.1:{self._dashboard}"

    def tend(self) -> list[str]:
        """Starts every node that does not run, as systemd or Kubernetes would; returns their names.

        Workers are left alone until the head answers.
        """
        down = [name for name in self.names if name not in self._nodes or self._nodes[name].poll() is not None]
        if HEAD in down:
            # Ray looks for processes that know this head, and finds the workers of what should be other machines.
            (self._folder / "ray_current_cluster").unlink(missing_ok=True)
            down = [HEAD]
        elif not self.alive():
            return []
        for name in down:
            self._end(name)
            self._nodes[name] = self._start(name)
        return down

    def kill(self, name: str) -> None:
        """Ends all processes of a node with SIGKILL, the runs on it included, as when its machine loses power."""
        for process in self.processes(name):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._nodes[name].wait(PATIENCE_SECONDS)

    def processes(self, name: str) -> list[psutil.Process]:
        """The processes of a node; those of runs among them."""
        with contextlib.suppress(psutil.NoSuchProcess):
            node = psutil.Process(self._nodes[name].pid)
            return [node, *node.children(recursive=True)]
        return []

    def alive(self) -> int:
        """Number of nodes that the head counts as alive; 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.address}/nodes?view=summary", timeout=10) as answer:
                nodes = json.load(answer)["data"]["summary"]
        except OSError:
            return 0
        return sum(node["raylet"].get("state") == "ALIVE" for node in nodes)

    def wait_until_whole(self) -> None:
        """Waits until the head knows every worker, and tends the nodes meanwhile."""

        def whole() -> bool:
            self.tend()
            return self.alive() >= len(self.names)

        wait_for("the Ray cluster", whole)

    def stop(self) -> None:
        """Ends everything."""
        for name in reversed(self.names):
            self._end(name)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        options = self._head_options
        if name != HEAD:
            options = [f"--address=127.0.0.1:{self._port}", "--num-cpus=1"]
        agent, grpc = free_ports(2)
        options = [*options, f"--dashboard-agent-listen-port={agent}", f"--dashboard-agent-grpc-port={grpc}"]
        ray = Path(sys.executable).with_name("ray")
        home = self._home if name == HEAD else self._folder / f"home-of-{name}"
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [ray, "start", *options, f"--object-store-memory={OBJECT_STORE_BYTES}", "--block"],
                env={**self._environment, HOME_VARIABLE: str(home)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, name: str) -> None:
        """Also what a node left behind that ended by itself: Ray keeps its own processes in one group."""
        if name not in self._nodes:
            return
        self.kill(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._nodes[name].pid, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def wait_for(what: str, condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Waits until a condition holds.

    Raises:
        TimeoutError: It did not in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"Waited {seconds:.0f} s in vain for {what}.")
        time.sleep(0.5)


@contextlib.contextmanager
def running_moto(environment: Mapping[str, str]) -> Iterator[str]:
    """Runs an S3 server of moto's and yields its URL; what it holds is gone afterwards."""
    (port,) = free_ports(1)
    command = [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5):
            return True
        return False

    try:
        wait_for("moto's server", answers)
        yield url
    finally:
        server.kill()
        server.wait()
