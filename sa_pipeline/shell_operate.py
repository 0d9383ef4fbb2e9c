"""Commands for whoever keeps the engine running: metrics, backup, restore."""

import signal
import threading
from typing import Annotated

import typer
from rich.console import Console

from sa_pipeline.dataset import is_home, open_dataset
from sa_pipeline.errors import SettingsError
from sa_pipeline.metrics_server import METRICS_HOST
from sa_pipeline.shell_options import HomeOption, MetricsHostOption

console = Console()

METRICS_PORT = 9464


def metrics(
    home: HomeOption = None,
    host: MetricsHostOption = METRICS_HOST,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = METRICS_PORT,
) -> None:
    """Serves metrics of runs and shards for Prometheus, and health endpoints, until it is stopped.

    Example: sa-pipeline metrics --home masks
    """
    from sa_pipeline.monitoring.exporter import exporting
    from sa_pipeline.runs import ensure_dagster_home

    dataset = open_dataset(home)
    if not is_home(dataset.home):
        raise SettingsError(f"{dataset.home} is not the home of a dataset that was run; name one with --home.")
    stop = threading.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda *_: stop.set())
    with ensure_dagster_home(dataset) as instance, exporting(dataset, instance, host, port) as served:
        console.print(f"http://{host}:{served}/metrics", soft_wrap=True, highlight=False)
        stop.wait()
