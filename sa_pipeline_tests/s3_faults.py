"""A WSGI layer before moto's S3 that answers chosen requests with faults, which a healthy server does not have.

`python -m sa_pipeline_tests.s3_faults` runs the server and prints its port. `sa_pipeline_tests.s3_server` is how tests
use it.
"""

import contextlib
import json
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from pydantic import BaseModel, ConfigDict
from werkzeug.serving import make_server

CONTROL = "/faults-control"
"""Path at which the faults are set (PUT, a JSON list) and the requests are told (GET, a JSON list of `Request`)."""


class Fault(BaseModel):
    """What befalls the requests that match.

    Attributes:
        kind: `error` answers with `status` and S3's `code`; `slow` waits `seconds` and then answers; `reset` breaks the
            connection; `truncate` sends the answer's headers and half of its body, and breaks the connection.
        method: Of the requests, such as `PUT`; None for any.
        path: Regular expression that the path with its query must contain, such as `/bucket/a` or `uploadId=`.
        times: How many of the requests are hit; None for all.
        share: Chance of a request to be hit.
        done: Whether what was asked for is done all the same (`error` and `reset`), as when an answer is lost.
        status: HTTP status of an `error`.
        code: S3's word for it.
        seconds: Of a `slow`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["error", "slow", "reset", "truncate"]
    method: str | None = None
    path: str = ""
    times: int | None = None
    share: float = 1.0
    done: bool = False
    status: int = 503
    code: str = "SlowDown"
    seconds: float = 0.0


class Request(BaseModel):
    """A request that the server got; `fault` is the kind that befell it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    path: str
    range: str | None = None
    fault: str | None = None


class FaultyS3:
    """The WSGI application."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._faults: list[Fault] = []
        self._hits: list[int] = []
        self._requests: list[Request] = []
        self._random = random.Random(0)
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == CONTROL:
            return self._control(environ, start_response)
        fault = self._fault_of(environ)
        if fault is None:
            return self._app(environ, start_response)
        return getattr(self, f"_{fault.kind}")(fault, environ, start_response)

    def _control(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            if environ["REQUEST_METHOD"] == "PUT":
                given = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
                self._faults = [Fault(**each) for each in given]
                self._hits, self._requests = [0] * len(given), []
            told = json.dumps([request.model_dump() for request in self._requests]).encode()
        start_response("200 OK", [("Content-Length", str(len(told)))])
        return [told]

    def _fault_of(self, environ: dict[str, Any]) -> Fault | None:
        method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING")
        path = environ["PATH_INFO"] + (f"?{query}" if query else "")
        with self._lock:
            found = None
            for number, fault in enumerate(self._faults):
                if fault.method not in (None, method) or not re.search(fault.path, path):
                    continue
                if fault.kind == "truncate" and method == "HEAD":  # such an answer has no body
                    continue
                if fault.times is not None and self._hits[number] >= fault.times:
                    continue
                if self._random.random() < fault.share:
                    self._hits[number] += 1
                    found = fault
                    break
            kind = found.kind if found else None
            self._requests.append(Request(method=method, path=path, range=environ.get("HTTP_RANGE"), fault=kind))
            return found

    def _do(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        answer: list[Any] = []
        body = b"".join(self._app(environ, lambda status, headers, *_: answer.extend((status, headers))))
        return answer[0], answer[1], body

    def _error(self, fault: Fault, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if fault.done:
            self._do(environ)
        else:  # the body must be taken, or the client sees a broken pipe in place of the status
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = f"<Error><Code>{fault.code}</Code><Message>Injected {fault.code}.</Message></Error>".encode()
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        start_response(f"{fault.status} Injected", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _slow(self, fault: Fault, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        time.sleep(fault.seconds)
        return self._app(environ, start_response)

    def _reset(self, fault: Fault, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if fault.done:
            self._do(environ)
        _break(environ)
        start_response("500 Never Heard", [])
        return []

    def _truncate(self, fault: Fault, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, headers, body = self._do(environ)
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(body)))])

        def half() -> Iterator[bytes]:
            yield body[: len(body) // 2]
            _break(environ, gently=True)

        return half()


def _break(environ: dict[str, Any], *, gently: bool = False) -> None:
    connection: socket.socket = environ["werkzeug.socket"]
    if not gently:  # to linger for no time is to reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _QuietHandler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        pass


def main() -> None:
    """Serves on a free port of loopback until it is killed."""
    app = FaultyS3(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_QuietHandler)
    print(server.server_port, flush=True)  # noqa: T201  # to who started it
    server.serve_forever()


if __name__ == "__main__":
    main()
