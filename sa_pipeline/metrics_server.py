"""A small HTTP server for whoever watches over a process: `/metrics`, `/health/live` and `/health/ready`.

It has a port of its own and no doors: it is for the machines of the monitoring alone, and can be reached from this
machine only, unless it is told otherwise. Sentences of `/health/ready` name files and hosts.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from sa_pipeline.errors import SettingsError

Checks = Mapping[str, str | None]
"""What was looked at, by name: None where it is well, else a sentence that says what is wrong."""

METRICS_HOST = "127.0.0.1"

_KEEP_SECONDS = 2.0


class Readiness:
    """Looks whether a process can do its work, at most every two seconds, since looking writes and reads."""

    def __init__(self, look: Callable[[], Checks]) -> None:
        """Takes what looks."""
        self._look = look
        self._lock = threading.Lock()
        self._seen: Checks = {}
        self._seen_at = -_KEEP_SECONDS

    def checks(self) -> Checks:
        """What was found now, or a moment ago; may be called from several threads."""
        with self._lock:
            if time.monotonic() - self._seen_at >= _KEEP_SECONDS:
                self._seen = self._look()
                self._seen_at = time.monotonic()
            return self._seen


@contextlib.contextmanager
def serving_metrics(registry: CollectorRegistry, readiness: Readiness, host: str, port: int) -> Iterator[int]:
    """Serves until the block ends, on threads of its own.

    Args:
        registry: What `/metrics` shows.
        readiness: What `/health/ready` asks: 200 when all is well, else 503.
        host: Address to listen on.
        port: Port to listen on; 0 has the system choose one.

    Yields:
        The port.

    Raises:
        SettingsError: The port is taken or the address is none of this machine.
    """
    try:
        server = make_server(host, port, _application(registry, readiness), ThreadingWSGIServer, _Silent)
    except OSError as error:
        raise SettingsError(
            f"Metrics cannot be served on {host}:{port}: {error.strerror or error}; choose another port."
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="metrics-server", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Silent(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # named so by the base
        """Writes nothing: who watches asks every few seconds."""


def _application(registry: CollectorRegistry, readiness: Readiness) -> Callable[..., Iterable[bytes]]:
    metrics = make_wsgi_app(registry)

    def answer(environment: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environment["PATH_INFO"]
        if path == "/metrics":
            return metrics(environment, start_response)
        status, content = HTTPStatus.NOT_FOUND, dict[str, object](detail="/metrics, /health/live or /health/ready.")
        if path == "/health/live":
            status, content = HTTPStatus.OK, {"status": "live"}
        elif path == "/health/ready":
            checks = readiness.checks()
            ready = not any(checks.values())
            status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
            content = {"status": "ready" if ready else "not_ready", "checks": dict(checks)}
        start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
        return [json.dumps(content).encode()]

    return answer
