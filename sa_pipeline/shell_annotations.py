"""`sa-pipeline annotations`: what people made, as files."""

from typing import Annotated

import typer
from rich.console import Console

from sa_pipeline.artifacts import RoundAssetName, artifact_name, read_header
from sa_pipeline.dataset import open_dataset
from sa_pipeline.errors import StudioError
from sa_pipeline.progress import TerminalProgress, watched_by
from sa_pipeline.shell_options import HomeOption

annotations_app = typer.Typer(help="Masks that people made: snapshots, import, export.", no_args_is_help=True)
console = Console()

RoundOption = Annotated[str, typer.Option("--round", help="Annotation round.")]


@annotations_app.command("snapshot")
def snapshot(round_name: RoundOption, home: HomeOption = None) -> None:
    """Writes the accepted masks of a round to files, checks them, and takes them into the catalogue.

    Example: sa-pipeline annotations snapshot --round assisted-1
    """
    from sa_pipeline.runs import ensure_dagster_home, run_catalog, run_round

    dataset = open_dataset(home)
    with ensure_dagster_home(dataset) as instance, watched_by(TerminalProgress()):
        for outcome in (run_round(dataset, round_name, instance), run_catalog(dataset, instance)):
            if not outcome.success:
                raise StudioError(f"{outcome.failed_step} of round {round_name}: {outcome.error}")
    header = read_header(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name)
    counts = header.counts if header else {}
    console.print(
        f"{counts['masks']} masks of {counts['tasks']} accepted tasks on {counts['images']} images.", highlight=False
    )
    for title, asset in (("masks", RoundAssetName.HUMAN_MASKS), ("events", RoundAssetName.HUMAN_MASK_EVENTS)):
        place = dataset.storage.url_of(artifact_name(asset, round_name))
        console.print(f"  {title:<8}{place}", markup=False, soft_wrap=True, highlight=False)
