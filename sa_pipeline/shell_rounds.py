"""`sa-pipeline rounds`: annotation rounds, and the weights that they make."""

from typing import Annotated

import typer
from rich.console import Console

from sa_pipeline.dataset import open_dataset
from sa_pipeline.errors import CheckpointError
from sa_pipeline.shell_options import HomeOption

rounds_app = typer.Typer(help="Annotation rounds, and the weights that they make.", no_args_is_help=True)
console = Console()


@rounds_app.command("promote")
def promote(
    round_name: Annotated[str | None, typer.Argument(metavar="[ROUND]", help="Whose weights are to be used.")] = None,
    home: HomeOption = None,
    start: Annotated[bool, typer.Option("--start", help="Back to the checkpoint that the settings name.")] = False,
    although_worse: Annotated[
        bool, typer.Option("--although-worse", help="Also where the evaluation on held-out images is against it.")
    ] = False,
) -> None:
    """Puts a round's weights into use, an earlier round's too.

    Example: sa-pipeline rounds promote assisted-1
    """
    from sa_pipeline.runs import ensure_dagster_home, put_into_use

    if start == (round_name is not None):
        raise CheckpointError("Name a round, or say --start for the checkpoint of the settings; one of the two.")
    dataset = open_dataset(home)
    with ensure_dagster_home(dataset) as instance:
        change = put_into_use(dataset, round_name, instance, even_if_worse=although_worse)
    ref = change.checkpoint
    console.print(
        f"In use from now on: {ref.name}, {ref.architecture}, sha256 {ref.digest[:16]}. Embeddings and masks of other "
        "weights are stale.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
