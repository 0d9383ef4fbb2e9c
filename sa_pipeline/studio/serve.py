"""Runs the studio's server until it is stopped."""

import contextlib
from pathlib import Path

import uvicorn

from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import StudioError
from sa_pipeline.logs import logs_json
from sa_pipeline.metrics_server import METRICS_HOST, serving_metrics
from sa_pipeline.studio.app import create_app
from sa_pipeline.studio.database import open_studio

HOST = "127.0.0.1"
PORT = 8765


def serve(
    dataset: Dataset,
    host: str = HOST,
    port: int = PORT,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    metrics_host: str = METRICS_HOST,
    metrics_port: int | None = None,
) -> None:
    """Serves a dataset's studio until Ctrl-C or SIGTERM; requests that are being answered are finished first.

    Args:
        dataset: Whose pictures are annotated.
        host: Address to listen on. From elsewhere than this machine, browsers give the page threads only over HTTPS.
        port: Port to listen on.
        certificate: PEM file for HTTPS.
        key: PEM file that goes with it.
        metrics_host: Address on which metrics are served, to whoever reaches it.
        metrics_port: Port for them; None: they are not served.

    Raises:
        SettingsError: The URL of the database is wrong, or the port of the metrics is taken.
        StudioError: The database does not answer, or the port is taken.
    """
    studio = open_studio(dataset)
    try:
        app = create_app(dataset, studio)
        app.state.workplace.pictures.warm_up()
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            # With lines of JSON all goes to the handler of this process.
            log_config=None if logs_json() else uvicorn.config.LOGGING_CONFIG,
            access_log=False,
            server_header=False,
            ws="none",
            ssl_certfile=certificate,
            ssl_keyfile=key,
            timeout_graceful_shutdown=10,
        )
        server = uvicorn.Server(config)
        with contextlib.ExitStack() as stack:
            if metrics_port is not None:
                registry = app.state.workplace.metrics.registry
                stack.enter_context(serving_metrics(registry, app.state.readiness, metrics_host, metrics_port))
            _run(server)
    finally:
        studio.close()


def _run(server: uvicorn.Server) -> None:
    try:
        server.run()
    except SystemExit as error:
        where = f"{server.config.host}:{server.config.port}"
        raise StudioError(f"The server did not start on {where}; is the port taken? Choose another.") from error
