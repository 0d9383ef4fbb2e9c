"""Commands for whoever keeps the engine running: metrics, backup, restore."""

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sa_pipeline.dataset import SETTINGS_FILE, DatasetConfig, is_home, open_dataset
from sa_pipeline.errors import SettingsError
from sa_pipeline.metrics_server import METRICS_HOST
from sa_pipeline.progress import TerminalProgress
from sa_pipeline.shell_options import HomeOption, MetricsHostOption

if TYPE_CHECKING:
    from sa_pipeline.backup import Manifest

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


def backup(
    target: Annotated[Path, typer.Argument(help="Tar to write; there must be none of that name.")],
    home: HomeOption = None,
) -> None:
    """Writes what cannot be made again into one tar: ledger, the studio's SQLite database, settings, guidelines.

    Example: sa-pipeline backup masks-backup.tar --home masks
    """
    from sa_pipeline.backup import back_up

    dataset = open_dataset(home)
    if not (dataset.home / SETTINGS_FILE).is_file():
        raise SettingsError(f"{dataset.home} is not the home of a dataset; name one with --home.")
    made = back_up(dataset, target.expanduser().absolute(), TerminalProgress())
    console.print(f"{target}: {_what(made)}.", soft_wrap=True, highlight=False, markup=False)
    if made.database == "postgresql":
        console.print(f"The studio's database is in PostgreSQL and not in it; {_DUMP}", soft_wrap=True, markup=False)


def restore(
    source: Annotated[Path, typer.Argument(help="Tar that `backup` wrote.")],
    home: HomeOption = None,
) -> None:
    """Puts a backup into the home of a dataset; replaces nothing that is there.

    Example: sa-pipeline restore masks-backup.tar --home masks
    """
    from sa_pipeline.backup import restore as put_back

    dataset = open_dataset(home, DatasetConfig())
    made = put_back(source, dataset.home, TerminalProgress())
    console.print(f"{dataset.home}: {_what(made)}, of {made.made_at:%Y-%m-%d %H:%M} UTC.", soft_wrap=True, markup=False)
    if made.database == "postgresql":
        console.print("The studio's database was in PostgreSQL; restore it with pg_restore.", soft_wrap=True)


_DUMP = 'dump it with: pg_dump --format=custom --file=studio.dump "$SA_PIPELINE_STUDIO_DATABASE"'


def _what(made: "Manifest") -> str:
    shards = sum(name.startswith("storage/ledger/") for name in made.digests)
    database = {"sqlite": "the studio's database", "postgresql": "no database", "none": "no database"}[made.database]
    return f"the ledger of {shards} shards, {database}, {len(made.digests)} files in all"
