"""A studio's server in a thread, for the benchmarks that look at its page."""

import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn

from sa_pipeline.studio.app import create_app
from sa_pipeline.studio.database import Studio


@contextlib.contextmanager
def serving(studio: Studio) -> Iterator[str]:
    """Serves a studio on a free port and yields its address."""
    server = uvicorn.Server(uvicorn.Config(create_app(studio.dataset, studio), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
