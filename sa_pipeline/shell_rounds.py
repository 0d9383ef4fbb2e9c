"""`sa-pipeline rounds`: annotation rounds from their queue to the weights that they make."""

import contextlib
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console

from sa_pipeline.dataset import Dataset, open_dataset
from sa_pipeline.errors import CheckpointError, StudioError
from sa_pipeline.progress import TerminalProgress, watched_by
from sa_pipeline.promotion import ref_in_use
from sa_pipeline.round_checkpoints import read_round_checkpoint
from sa_pipeline.shell_options import INTERRUPTED, HomeOption
from sa_pipeline.shell_source import dataset_with_images
from sa_pipeline.shell_tables import rows_table
from sa_pipeline.studio.choosing import Choice
from sa_pipeline.studio.database import Studio, open_studio
from sa_pipeline.studio.models import Stage, TaskState
from sa_pipeline.studio.prefilling import PrefillFrom, masks_to_begin_with
from sa_pipeline.studio.rounds import Round, all_rounds, find_round, require_round_name
from sa_pipeline.studio.standing import standing

rounds_app = typer.Typer(no_args_is_help=True)
console = Console()

_Name = Annotated[str, typer.Argument(metavar="ROUND", help="Name of the round, such as assisted-2.")]


@rounds_app.command("open")
def open_round(
    round_name: _Name,
    home: HomeOption = None,
    stage: Annotated[
        Stage,
        typer.Option(help="Semi-automatic rounds begin with masks of the detector, audits with exported ones."),
    ] = Stage.ASSISTED_MANUAL,
    max_images: Annotated[int | None, typer.Option(min=1, help="That the round has in the end; default: all.")] = None,
    choose: Annotated[Choice, typer.Option(help="Which images come first.")] = Choice.RANDOM,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice at random.")] = 0,
) -> None:
    """Makes the embeddings by the weights in use that are missing, and fills the queue of a round, new or open.

    Example: sa-pipeline rounds open assisted-2 --max-images 100 --choose uncertainty
    """
    from sa_pipeline.assets.annotation_tasks import AnnotationTasksConfig
    from sa_pipeline.runs import ensure_dagster_home, make_stale_embeddings, run_fill, shards_passed_over

    require_round_name(round_name)
    dataset = dataset_with_images(home)
    with _studio(dataset) as studio, studio.read() as connection:
        known = find_round(connection, round_name)
    semi_automatic = stage is Stage.SEMI_AUTOMATIC
    begin_with = masks_to_begin_with(dataset, known) if semi_automatic else PrefillFrom.NONE
    config = AnnotationTasksConfig(
        stage=stage.value,
        max_images=max_images,
        choose=choose.value,
        seed=seed,
        prefill=begin_with.value,
    )
    progress = TerminalProgress()
    with _stoppable(), ensure_dagster_home(dataset) as instance, watched_by(progress):
        failures = make_stale_embeddings(dataset, instance, progress).failures
        outcome = run_fill(dataset, round_name, config, instance)
        if not outcome.success:
            raise StudioError(f"Round {round_name}: {outcome.error}")
        passed_over = shards_passed_over(instance, round_name) | failures
    for shard, reason in passed_over.items():
        _say(f"Shard {shard} has no tasks: {reason}")
    with _studio(dataset) as studio:
        found = standing(studio, round_name).round
    _say(f"Round {round_name}: {found.images} images; {_states(found) or 'no tasks'}.")
    _say(f"People annotate with: sa-pipeline annotate --round {round_name} --home {dataset.home}")


@rounds_app.command("list")
def list_rounds(home: HomeOption = None) -> None:
    """Lists the rounds, the oldest first, and what became of them.

    Example: sa-pipeline rounds list
    """
    dataset = dataset_with_images(home)
    with _studio(dataset) as studio, studio.read() as connection:
        rounds = all_rounds(connection)
    rows = [
        (
            found.name,
            found.stage.value,
            "open" if found.is_open else "closed",
            found.images,
            _states(found),
            _made(dataset, found.name),
        )
        for found in rounds
    ]
    console.print(rows_table(console, ("round", "stage", "state", "images", "tasks", "weights"), rows))
    ref = ref_in_use(dataset)
    _say(f"Weights in use: {ref.name}, {ref.architecture}, sha256 {ref.digest[:16]}.")


@rounds_app.command("show")
def show(round_name: _Name, home: HomeOption = None) -> None:
    """Says how a round goes: tasks, people, speed, weights.

    Example: sa-pipeline rounds show assisted-1
    """
    dataset = dataset_with_images(home)
    with _studio(dataset) as studio:
        found = standing(studio, round_name)
    seconds = "-" if found.seconds_per_mask is None else f"{found.seconds_per_mask:.1f}"
    rows = {
        "stage": found.round.stage.value,
        "state": "open" if found.round.is_open else "closed",
        "images": found.round.images,
        **{f"tasks {state.value.replace('_', ' ')}": found.round.tasks.get(state, 0) for state in TaskState},
        "people at work now": found.active,
        "masks by hand so far": found.masks,
        "seconds a mask": seconds,
        "prepared with": ", ".join(digest[:16] for digest in found.prepared_with) or "-",
        "weights made": _made(dataset, round_name),
    }
    console.print(rows_table(console, ("", round_name), list(rows.items())))
    if found.people:
        people = [
            (person.annotator, person.tasks, person.masks, person.seconds_per_mask, person.acceptance)
            for person in found.people
        ]
        columns = ("person", "tasks finished", "masks", "seconds a mask", "accepted at first")
        console.print(rows_table(console, columns, people))


@rounds_app.command("close")
def close(
    round_name: _Name,
    home: HomeOption = None,
    give_up_reviews: Annotated[
        bool, typer.Option("--give-up-reviews", help="Also finished tasks that nobody has reviewed.")
    ] = False,
) -> None:
    """Hands nothing more out of a round, frees the images that nobody finished, and snapshots what was accepted.

    Example: sa-pipeline rounds close assisted-1
    """
    from sa_pipeline.runs import ensure_dagster_home, run_catalog, run_close, run_round

    dataset = dataset_with_images(home)
    with _stoppable(), ensure_dagster_home(dataset) as instance, watched_by(TerminalProgress()):
        closed = run_close(dataset, round_name, instance, give_up_reviews=give_up_reviews)
        if not closed.success:
            raise StudioError(str(closed.error))
        for outcome in (run_round(dataset, round_name, instance), run_catalog(dataset, instance)):
            if not outcome.success:
                raise StudioError(f"{outcome.failed_step} of round {round_name}: {outcome.error}")
    with _studio(dataset) as studio:
        found = standing(studio, round_name).round
    _say(f"Round {round_name} is closed: {_states(found) or 'it had no tasks'}.")


@rounds_app.command("retrain")
def retrain(round_name: _Name, home: HomeOption = None) -> None:
    """Retrains the weights in use on a round's accepted masks, and promotes what is not worse on held-out images.

    Example: sa-pipeline rounds retrain assisted-1
    """
    from sa_pipeline.runs import ensure_dagster_home, run_catalog, run_retraining

    dataset = dataset_with_images(home)
    with _stoppable(), ensure_dagster_home(dataset) as instance, watched_by(TerminalProgress()):
        outcome = run_retraining(dataset, round_name, instance)
        run_catalog(dataset, instance)
    if not outcome.success:
        raise CheckpointError(f"{outcome.failed_step} of round {round_name}: {outcome.error}")
    _say(f"Round {round_name}: {_made(dataset, round_name)}.")


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
    _say(
        f"In use from now on: {ref.name}, {ref.architecture}, sha256 {ref.digest[:16]}. Embeddings and masks of other "
        "weights are stale."
    )


def _made(dataset: Dataset, round_name: str) -> str:
    made = read_round_checkpoint(dataset.storage, round_name)
    if made is None:
        return "-"
    verdict = "not worse" if made.promoted else "worse than before"
    in_use = ", in use" if ref_in_use(dataset).digest == made.checkpoint.digest else ""
    return f"{made.checkpoint.digest[:16]}, {verdict}{in_use}"


def _states(found: Round) -> str:
    return ", ".join(f"{count} {state.value.replace('_', ' ')}" for state, count in found.tasks.items())


def _say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _studio(dataset: Dataset) -> Iterator[Studio]:
    studio = open_studio(dataset)
    try:
        yield studio
    finally:
        studio.close()


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _say("\nStopped; the same command goes on where it stopped.")
        raise typer.Exit(INTERRUPTED) from None
