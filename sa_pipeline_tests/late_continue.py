"""An S3 server that says `100 Continue` twice, the second time after the body, and then falls silent; once."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
DONE = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n'
BETWEEN_SECONDS = 0.5


@contextlib.contextmanager
def late_continue(silent_seconds: float) -> Iterator[str]:
    """Runs the server on a free port of loopback and yields its URL; every request but the first is answered at once.

    A client that does not ask for `100 Continue` is not told it, and is left without an answer all the same.
    """
    first = threading.Lock()

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while request := _read_head(connection):
                expects = b"100-continue" in request
                if expects:
                    connection.sendall(CONTINUE)
                _read_body(connection, request)
                if first.acquire(blocking=False):
                    time.sleep(BETWEEN_SECONDS)
                    if expects:
                        connection.sendall(CONTINUE)
                    time.sleep(silent_seconds)
                    return
                connection.sendall(DONE)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _read_head(connection: socket.socket) -> bytes:
    """The request up to its body, of which some may follow; empty when the client has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    return data.lower()


def _read_body(connection: socket.socket, request: bytes) -> None:
    head, _, body = request.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
    missing = sum(lengths) - len(body)
    while missing > 0:
        missing -= len(connection.recv(missing))
