"""`sa-pipeline annotate`: from a folder of photographs to people who annotate them, in one command."""

import logging
import shlex
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sa_pipeline.dataset import Dataset, save_config
from sa_pipeline.demo import with_demo_images
from sa_pipeline.errors import StudioError
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.logs import logs_json
from sa_pipeline.metrics_server import METRICS_HOST
from sa_pipeline.progress import Progress, TerminalProgress, watched_by
from sa_pipeline.promotion import ref_in_use
from sa_pipeline.settings import PipelineSettings, preset
from sa_pipeline.shell_options import (
    INTERRUPTED,
    CheckpointOption,
    HomeOption,
    MetricsHostOption,
    MetricsPortOption,
    PresetOption,
)
from sa_pipeline.shell_source import dataset_of_options, require_images
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.models import Stage
from sa_pipeline.studio.people import ensure_local_lead
from sa_pipeline.studio.prefilling import PrefillFrom, masks_to_begin_with
from sa_pipeline.studio.rounds import Round, find_round, require_round_name
from sa_pipeline.studio.serve import HOST, PORT, serve

if TYPE_CHECKING:
    from sa_pipeline.assets.annotation_tasks import AnnotationTasksConfig

console = Console()
_LOG = logging.getLogger(__name__)

_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104  # compared with, not listened on


@dataclass
class Prepared:
    """What was made ready; `round` as it stands afterwards, None if there is none."""

    shards: int = 0
    embedded_shards: int = 0
    round: Round | None = None
    failures: list[str] = field(default_factory=list)


def annotate(
    source: Annotated[
        str | None,
        typer.Argument(help="Folder, tar file, or fsspec URL of images; default: the dataset's own, else six photos."),
    ] = None,
    home: HomeOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on; see docs/annotate.md for other machines.")] = HOST,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = PORT,
    round_name: Annotated[str, typer.Option("--round", help="Of annotation; begun if there is none.")] = "assisted-1",
    prefilled: Annotated[
        bool,
        typer.Option(
            "--prefilled",
            help="A new round's tasks begin with masks of the object detector, else with the automatic ones.",
        ),
    ] = False,
    audit: Annotated[
        int | None,
        typer.Option(min=1, metavar="IMAGES", help="Audit the export: that many of its images, drawn by chance."),
    ] = None,
    checkpoint: CheckpointOption = None,
    preset_name: PresetOption = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM file, to serve HTTPS.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
    metrics_port: MetricsPortOption = None,
    metrics_host: MetricsHostOption = METRICS_HOST,
) -> None:
    """Opens the annotation studio on a dataset, after making what it needs: images, embeddings, tasks.

    Example: sa-pipeline annotate photos --home masks
    """
    if prefilled and audit is not None:
        raise StudioError("--prefilled and --audit: a round is of one stage; leave one of them out.")
    dataset = dataset_of_options(
        home, source=source, preset_name=preset_name, checkpoint=checkpoint, command="sa-pipeline annotate"
    )
    if dataset.config.source is None and not list_shards(dataset.storage):
        chosen = preset_name is not None
        dataset = with_demo_images(dataset, dataset.settings if chosen else _suiting_settings(dataset.settings))
    try:
        prepared = prepare_annotation(dataset, round_name, TerminalProgress(), prefilled=prefilled, audit=audit)
        for failure in prepared.failures:
            console.print(f"[red]Failed:[/] {escape(failure)}", soft_wrap=True, highlight=False)
        if prepared.round is None or not prepared.round.tasks:
            console.print(
                f"Round {round_name} has no tasks; an image that another round has is not given out again.",
                markup=False,
                soft_wrap=True,
            )
            raise typer.Exit(1)
        _greet(dataset, prepared.round, f"{'https' if certificate else 'http'}://{_reachable(host)}:{port}")
        serve(
            dataset,
            host,
            port,
            certificate=certificate,
            key=key,
            metrics_host=metrics_host,
            metrics_port=metrics_port,
        )
    except KeyboardInterrupt:
        console.print("\nStopped; all that was saved is kept, and the same command goes on.")
        raise typer.Exit(INTERRUPTED) from None


def prepare_annotation(
    dataset: Dataset, round_name: str, progress: Progress, *, prefilled: bool = False, audit: int | None = None
) -> Prepared:
    """Makes the images and embeddings that shards lack, each shard one Dagster run, and fills the round's queue.

    Args:
        dataset: Its source's new images are entered first, if it has one.
        round_name: Of the round.
        progress: Shows hashing, the shards, and the work within them.
        prefilled: A new round is semi-automatic: its tasks begin with the masks for the object detector's boxes if
            there is a detector, else with automatic masks (paper §4).
        audit: A new round is an audit of so many images of the export (paper §5).

    Raises:
        SourceError: The dataset has neither shards nor a source with images.
        CheckpointError: The checkpoint is not there.
        StudioError: The round's name cannot be one.
        KeyboardInterrupt: The run was stopped; what was published stays.
    """
    from sa_pipeline.runs import (
        ensure_dagster_home,
        fail_abandoned_runs,
        make_stale_embeddings,
        run_fill,
        shards_passed_over,
    )

    require_round_name(round_name)
    ref_in_use(dataset)  # without weights nothing of the source is entered
    source = None if dataset.config.source is None and list_shards(dataset.storage) else require_images(dataset)
    save_config(dataset)
    prepared = Prepared()
    with ensure_dagster_home(dataset) as instance, watched_by(progress):
        fail_abandoned_runs(instance)
        if source is not None:
            images = dataset.settings.images
            append_new_images(dataset.storage, source, images, index=dataset.ledger_index, progress=progress)
        prepared.shards = len(list_shards(dataset.storage))
        runs = make_stale_embeddings(dataset, instance, progress)
        prepared.embedded_shards = runs.made
        prepared.failures += [f"shard {shard}, {reason}" for shard, reason in runs.failures.items()]
        config = _config(dataset, round_name, prefilled=prefilled, audit=audit)
        outcome = run_fill(dataset, round_name, config, instance)
        if outcome.success:
            passed_over = shards_passed_over(instance, round_name)
            prepared.failures += [f"shard {shard} has no tasks: {reason}" for shard, reason in passed_over.items()]
        else:
            prepared.failures.append(f"round {round_name}: {outcome.error}")
    prepared.round = _round(dataset, round_name)
    return prepared


def _suiting_settings(settings: PipelineSettings) -> PipelineSettings:
    """Those of the automatic stage that suit the built-in checkpoint; the others stay."""
    kept = {name: getattr(settings, name) for name in ("studio", "rounds", "audit", "detector", "checkpoint")}
    return preset("fast").model_copy(update=kept)


def _config(dataset: Dataset, round_name: str, *, prefilled: bool, audit: int | None) -> "AnnotationTasksConfig":
    """A round goes on as it began; an audit keeps its size unless more images are asked for."""
    from sa_pipeline.assets.annotation_tasks import AnnotationTasksConfig

    known = _round(dataset, round_name)
    new = Stage.SEMI_AUTOMATIC if prefilled else Stage.AUDIT if audit else Stage.ASSISTED_MANUAL
    stage = new if prefilled or audit or known is None else known.stage
    if stage is Stage.AUDIT:
        return AnnotationTasksConfig(stage=stage.value, max_images=audit or (known and known.images) or None)
    begin_with = PrefillFrom.NONE if stage is Stage.ASSISTED_MANUAL else masks_to_begin_with(dataset, known)
    return AnnotationTasksConfig(stage=stage.value, prefill=begin_with.value)


def _round(dataset: Dataset, name: str) -> Round | None:
    studio = open_studio(dataset)
    try:
        with studio.read() as connection:
            return find_round(connection, name)
    finally:
        studio.close()


def _greet(dataset: Dataset, standing: Round, address: str) -> None:
    if logs_json():  # what collects logs must not get a token
        _LOG.info("The studio is served at %s.", address)
        return
    studio = open_studio(dataset)
    try:
        name, token = ensure_local_lead(studio)
    finally:
        studio.close()
    home = shlex.quote(str(dataset.home))
    states = ", ".join(f"{count} {state.value.replace('_', ' ')}" for state, count in standing.tasks.items())
    lines = {
        f"sign in, {name}": f"{address}/#token={token}",
        "others": address,
        "their tokens": f"sa-pipeline annotators add NAME --role reviewer --home {home}",
        "the masks": f"sa-pipeline annotations snapshot --round {standing.name} --home {home}",
        "stop": "Ctrl-C",
    }
    console.print(f"\nRound {standing.name}: {states}.", markup=False, highlight=False)
    for what, how in lines.items():
        # Not a table, which would break a long address into two lines that nobody can copy.
        console.print(f"  {what:<16}{how}", markup=False, soft_wrap=True, highlight=False)


def _reachable(host: str) -> str:
    """The host as it stands in an address."""
    if host in _ANYWHERE:
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
