"""Runs the studio's server until it is stopped."""

from pathlib import Path

import uvicorn

from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import StudioError
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
) -> None:
    """Serves a dataset's studio until Ctrl-C or SIGTERM; requests that are being answered are finished first.

    Args:
        dataset: Whose pictures are annotated.
        host: Address to listen on. From elsewhere than this machine, browsers give the page threads only over HTTPS.
        port: Port to listen on.
        certificate: PEM file for HTTPS.
        key: PEM file that goes with it.

    Raises:
        SettingsError: The URL of the database is wrong.
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
            access_log=False,
            server_header=False,
            ws="none",
            ssl_certfile=certificate,
            ssl_keyfile=key,
            timeout_graceful_shutdown=10,
        )
        server = uvicorn.Server(config)
        try:
            server.run()
        except SystemExit as error:
            raise StudioError(
                f"The server did not start on {host}:{port}; is the port taken? Choose another."
            ) from error
    finally:
        studio.close()
