"""The `sa-pipeline` command: every task of the data engineer and the researcher from the shell."""

import json
import logging
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from sa_pipeline.errors import SaPipelineError
from sa_pipeline.logs import LOG_FORMAT_VARIABLE, LogFormat, configure_logging, logs_json
from sa_pipeline.progress import TerminalProgress
from sa_pipeline.shell_later import LaterCommand
from sa_pipeline.shell_options import INTERRUPTED, CheckpointOption, HomeOption, Preset, PresetOption
from sa_pipeline.shell_tables import rows_table

if TYPE_CHECKING:
    from sa_pipeline.dataset import Dataset

LATER = (
    LaterCommand(
        "annotate",
        "sa_pipeline.shell_annotate",
        "annotate",
        "Opens the annotation studio on a dataset, after making what it needs: images, embeddings, tasks.",
    ),
    LaterCommand(
        "verify",
        "sa_pipeline.shell_verify",
        "verify",
        "Checks every digest, record and count of a dataset; exit status 1 if something is damaged or missing.",
    ),
    LaterCommand(
        "metrics",
        "sa_pipeline.shell_operate",
        "metrics",
        "Serves metrics of runs and shards for Prometheus, and health endpoints, until it is stopped.",
    ),
    LaterCommand(
        "backup",
        "sa_pipeline.shell_operate",
        "backup",
        "Writes what cannot be made again into one tar: ledger, the studio's SQLite database, settings, guidelines.",
    ),
    LaterCommand(
        "restore",
        "sa_pipeline.shell_operate",
        "restore",
        "Puts a backup into the home of a dataset; replaces nothing that is there.",
    ),
    LaterCommand(
        "annotators",
        "sa_pipeline.shell_annotators",
        "annotators_app",
        "People who may work in the annotation studio.",
    ),
    LaterCommand(
        "annotations",
        "sa_pipeline.shell_annotations",
        "annotations_app",
        "Masks that people made: snapshots, import, export.",
    ),
    LaterCommand(
        "rounds",
        "sa_pipeline.shell_rounds",
        "rounds_app",
        "Annotation rounds, and the weights that they make.",
    ),
)


class Commands(TyperGroup):
    """The commands of this module, and those that are loaded when they are called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for command in LATER:
            self.add_command(command)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
checkpoints_app = typer.Typer(help="List, add and download model checkpoints.", no_args_is_help=True)
app.add_typer(checkpoints_app, name="checkpoints")
console = Console()

_LOG = logging.getLogger("sa_pipeline.cli")  # also where this file is the program

CODE_SERVER_PATIENCE = "300"
"""Seconds that Dagster waits for its code server. Models take all cores, and on a busy machine Dagster's own minute was
seen to pass before a run had started, which then counts as failed."""


@app.callback()
def prepare(
    wanted: Annotated[
        LogFormat | None,
        typer.Option("--log-format", help=f"Of what goes to stderr; default: ${LOG_FORMAT_VARIABLE}, else text."),
    ] = None,
) -> None:
    """The open data engine for segmentation masks: images in by the shard, SA-1B masks out."""
    if wanted is not None:
        os.environ[LOG_FORMAT_VARIABLE] = wanted.value
    configure_logging()


@app.command()
def demo(
    output: Annotated[Path | None, typer.Option(help="Folder of the dataset.")] = None,
) -> None:
    """Finds the masks in a few photographs that come with scikit-image.

    Example: sa-pipeline demo
    """
    from sa_pipeline.dataset import open_dataset
    from sa_pipeline.demo import with_demo_images
    from sa_pipeline.settings import preset

    _run(with_demo_images(open_dataset(output), preset("fast")))


@app.command()
def run(
    source: Annotated[str, typer.Argument(help="Folder, tar file, or fsspec URL of the images.")],
    output: Annotated[Path, typer.Option(help="Folder of the dataset; a later call goes on with it.")],
    preset_name: PresetOption = None,
    checkpoint: CheckpointOption = None,
    images_per_shard: Annotated[int | None, typer.Option(help="Images in a shard, for new shards.")] = None,
    unpacked: Annotated[bool, typer.Option("--unpacked", help="Also write the images and records as files.")] = False,
) -> None:
    """Makes SA-1B masks for a source of images.

    Example: sa-pipeline run photos --output masks --preset fast
    """
    from sa_pipeline.shell_source import dataset_of_options

    dataset = dataset_of_options(
        output,
        source=source,
        preset_name=preset_name,
        checkpoint=checkpoint,
        images_per_shard=images_per_shard,
        command="sa-pipeline run",
    )
    _run(dataset, unpacked=unpacked)


@app.command()
def ui(
    home: HomeOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
) -> None:
    """Opens the dataset in Dagster's UI, daemon included.

    Example: sa-pipeline ui --home masks
    """
    from sa_pipeline.dataset import open_dataset
    from sa_pipeline.runs import ensure_dagster_home, fail_abandoned_runs

    dataset = open_dataset(home)
    with ensure_dagster_home(dataset) as instance:
        fail_abandoned_runs(instance)
    own = {"DAGSTER_HOME": str(dataset.dagster_home), "SA_PIPELINE_HOME": str(dataset.home)}
    environment = {"DAGSTER_GRPC_TIMEOUT_SECONDS": CODE_SERVER_PATIENCE} | os.environ | own
    command = [sys.executable, "-m", "dagster", "dev", "-m", "sa_pipeline.definitions", "-h", host, "-p", str(port)]
    if logs_json():
        command += ["--log-format", "json"]
    os.execve(sys.executable, command, environment)  # noqa: S606  # a command of our own


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="A DuckDB query.")],
    home: HomeOption = None,
    limit: Annotated[int, typer.Option(help="Rows printed.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print all rows as JSON.")] = False,
) -> None:
    """Asks the catalogue.

    Example: sa-pipeline query "select * from masks_per_image"
    """
    from sa_pipeline.catalog.query import query as ask
    from sa_pipeline.dataset import open_dataset

    rows = ask(open_dataset(home), sql)
    if as_json:
        typer.echo(json.dumps(rows.to_dict(orient="records"), default=str))
        return
    _print_rows(rows.head(limit))
    if len(rows) > limit:
        console.print(f"{limit} of {len(rows)} rows; --limit shows more.")


@app.command()
def stats(home: HomeOption = None) -> None:
    """Prints what is in the dataset.

    Example: sa-pipeline stats --home masks
    """
    from sa_pipeline.catalog.query import statistics
    from sa_pipeline.dataset import open_dataset

    for title, rows in statistics(open_dataset(home)):
        console.print()
        _print_rows(rows, title=title)


@app.command()
def card(
    home: HomeOption = None,
    output: Annotated[str | None, typer.Option(help="Folder or URL; default: cards/ in the dataset's storage.")] = None,
) -> None:
    """Writes the dataset card, the annotation card, the page of the rounds and Croissant metadata.

    Example: sa-pipeline card --home masks
    """
    from sa_pipeline.cards.write import write_cards, write_rounds_page
    from sa_pipeline.dataset import open_dataset

    written = write_cards(open_dataset(home), output, TerminalProgress())
    rounds = write_rounds_page(open_dataset(home), output)
    console.print(f"{written.masks} masks on {written.images} images; the shapes of {written.sampled} were measured.")
    for path in (*written.files.values(), *rounds.values()):
        console.print(f"  {escape(path)}", soft_wrap=True, highlight=False)


@app.command()
def retune(
    home: HomeOption = None,
    predicted_iou: Annotated[float | None, typer.Option(help="New threshold of predicted IoU.")] = None,
    stability: Annotated[float | None, typer.Option(help="New threshold of the stability score.")] = None,
) -> None:
    """Applies new thresholds without running the model.

    Example: sa-pipeline retune --predicted-iou 0.9
    """
    from sa_pipeline.cards.write import write_cards
    from sa_pipeline.catalog.build import build_catalog
    from sa_pipeline.dataset import open_dataset, save_config
    from sa_pipeline.report.page import write_report
    from sa_pipeline.retuning import retune as apply
    from sa_pipeline.retuning import retuned_settings

    dataset = open_dataset(home)
    settings = retuned_settings(dataset.settings, pred_iou_thresh=predicted_iou, stability_score_thresh=stability)
    changed = open_dataset(dataset.home, dataset.config.model_copy(update={"settings": settings}))
    save_config(changed)
    totals = apply(changed, TerminalProgress())
    build_catalog(changed)
    write_report(changed)
    write_cards(changed)
    console.print(
        f"{totals['exported']} masks exported; {totals['kept']} of {totals['candidates']} candidates have predicted "
        f"IoU > {settings.masks.pred_iou_thresh} and stability >= {settings.masks.stability_score_thresh}."
    )


@app.command()
def evaluate(
    source: Annotated[
        str, typer.Argument(help="SA-1B tar, or folder or URL of tars; or, with --references, folder of images.")
    ],
    output: Annotated[Path, typer.Option(help="Folder of the tables and the report; a later call goes on with it.")],
    references: Annotated[
        Path | None, typer.Option(help="COCO's instance file, or a folder of label maps (BSDS500's .mat, or .png).")
    ] = None,
    checkpoint: CheckpointOption = None,
    preset_name: Annotated[Preset, typer.Option("--preset", help="Settings of the automatic stage.")] = Preset.FAST,
    mask_setting: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the automatic stage, such as points_per_side=32.")
    ] = None,
    max_segments_per_image: Annotated[
        int | None, typer.Option(help="Segments clicked on, drawn by chance; default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of that chance.")] = 0,
) -> None:
    """Measures a model against people's masks.

    Example: sa-pipeline evaluate images/val --references groundTruth/val --output evaluation
    """
    from sa_pipeline.shell_evaluation import evaluation_settings, run_evaluation, summary_tables

    settings = evaluation_settings(preset_name.value, mask_setting or [], max_segments_per_image, seed)
    try:
        summary, page = run_evaluation(source, references, checkpoint or "tiny", settings, output, TerminalProgress())
    except KeyboardInterrupt:
        console.print("\nStopped; the same command goes on where it stopped.")
        raise typer.Exit(INTERRUPTED) from None
    for table in summary_tables(summary):
        console.print(table)
    console.print(f"{summary.images} images; the automatic stage took {summary.seconds_per_image:.2f} s an image.")
    console.print(f"Pictures and charts: {page}", soft_wrap=True)


@app.command()
def train(
    source: Annotated[
        str,
        typer.Argument(
            help="SA-1B tar, or folder or URL of tars; with --references, folder of images; or `drawn`: scenes."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the weights and the log; a later call goes on with it.")],
    references: Annotated[
        Path | None, typer.Option(help="COCO's instance file, or a folder of label maps (BSDS500's .mat, or .png).")
    ] = None,
    checkpoint: CheckpointOption = None,
    preset_name: Annotated[str, typer.Option("--preset", help="retrain, paper or automatic.")] = "retrain",
    steps: Annotated[int | None, typer.Option(help="Gradient steps; default: the preset's.")] = None,
    images: Annotated[int | None, typer.Option(help="Images a step; default: the preset's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of all chance in it.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting of docs/training.md, such as corrections=3.")
    ] = None,
) -> None:
    """Trains a model on masks.

    Example: sa-pipeline train masks/sa1b_export --checkpoint vit_b --output round_1 --steps 1000
    """
    from sa_pipeline.shell_training import run_training, training_settings

    settings = training_settings(preset_name, setting or [], {"steps": steps, "images": images, "seed": seed})
    outcome = run_training(source, references, checkpoint or "tiny", settings, output, TerminalProgress())
    if int(os.environ.get("RANK", "0")):
        return
    if not outcome.finished:
        console.print(f"\nStopped after step {outcome.step} of {settings.steps}; the same command goes on from there.")
        raise typer.Exit(INTERRUPTED)
    console.print(f"{outcome.step} steps done; weights: {outcome.weights}", soft_wrap=True)
    console.print(f"To use them by name: sa-pipeline checkpoints add NAME {outcome.weights}", soft_wrap=True)


@app.command()
def doctor(home: HomeOption = None) -> None:
    """Says what is installed and what works.

    Example: sa-pipeline doctor
    """
    from sa_pipeline.dataset import open_dataset
    from sa_pipeline.doctor import examine

    table = Table("", "subject", "finding")
    healthy = True
    for finding in examine(open_dataset(home)):
        verdict = {True: Text("ok", "green"), False: Text("no", "red"), None: Text("-")}[finding.ok]
        table.add_row(verdict, Text(finding.subject), Text(finding.detail, overflow="fold"))
        healthy = healthy and finding.ok is not False
    console.print(table)
    if not healthy:
        raise typer.Exit(1)


@checkpoints_app.command("list")
def list_checkpoints() -> None:
    """Lists known checkpoints and where they lie.

    Example: sa-pipeline checkpoints list
    """
    from sa_pipeline.sam.registry import checkpoint_names, checkpoint_path, checkpoint_ref

    table = Table("name", "sha256", "file")
    for name in checkpoint_names():
        try:
            digest, place = checkpoint_ref(name).digest[:16], str(checkpoint_path(name))
        except SaPipelineError as error:
            digest, place = "-", str(error)
        table.add_row(name, digest, Text(place, overflow="fold"))
    console.print(table)


@checkpoints_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name under which it is used from now on.")],
    path: Annotated[Path, typer.Argument(help="State dict in the format of segment_anything, .pth or .safetensors.")],
) -> None:
    """Registers a checkpoint of your own.

    Example: sa-pipeline checkpoints add night_shots retrained.pth
    """
    from sa_pipeline.sam.adding import add_checkpoint

    added = add_checkpoint(name, path)
    console.print(f"{added.name} is registered: {added.architecture}, sha256 {added.sha256}.", soft_wrap=True)


@checkpoints_app.command("download")
def download(name: Annotated[str, typer.Argument(help="vit_b, vit_l or vit_h.")]) -> None:
    """Downloads an official checkpoint.

    Example: sa-pipeline checkpoints download vit_b
    """
    from sa_pipeline.sam.download import download_checkpoint

    path = download_checkpoint(name, TerminalProgress())
    console.print(f"{path} is complete and verified.", soft_wrap=True)


def main() -> None:
    """Entry point; turns our own errors into one sentence and exit status 1."""
    try:
        app()
    except SaPipelineError as error:
        if logs_json():
            _LOG.error("%s", error)
        else:
            Console(stderr=True).print(f"[red]Error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(1)


def _run(dataset: "Dataset", *, unpacked: bool = False) -> None:
    from sa_pipeline.shell_run import run_dataset, unpack_exports

    progress = TerminalProgress()
    try:
        summary = run_dataset(dataset, progress)
        if unpacked:
            unpack_exports(dataset, progress)
    except KeyboardInterrupt:
        console.print("\nStopped; the same command goes on where it stopped.")
        raise typer.Exit(INTERRUPTED) from None
    console.print(
        f"\n{summary.masks} masks on {summary.images} images in {summary.seconds:.0f} s; {summary.rejected} files "
        f"rejected; {summary.fresh_shards} of {summary.shards} shards were fresh already."
    )
    for failure in summary.failures:
        console.print(f"[red]Failed:[/] {escape(failure)}", soft_wrap=True, highlight=False)
    places = {
        "overlays": dataset.home / "report" / "index.html",
        "SA-1B tars": dataset.storage.url_of("sa1b_export"),
        "cards": dataset.storage.url_of("cards"),
        **({"records": dataset.home / "unpacked"} if unpacked else {}),
        "statistics": f"sa-pipeline stats --home {shlex.quote(str(dataset.home))}",
        "catalogue": dataset.catalog_path,
        "Dagster UI": f"sa-pipeline ui --home {shlex.quote(str(dataset.home))}",
    }
    for name, place in places.items():
        # Not a table, which would break a long path into two lines that nobody can copy.
        console.print(f"  {name:<12}{escape(str(place))}", soft_wrap=True, highlight=False)
    if summary.failures:
        raise typer.Exit(1)


def _print_rows(rows: "pandas.DataFrame", title: str | None = None) -> None:  # type: ignore[name-defined]  # noqa: F821  # loaded with the catalogue
    columns = [str(column) for column in rows.columns]
    console.print(rows_table(console, columns, list(rows.itertuples(index=False, name=None)), title))


if __name__ == "__main__":
    main()
