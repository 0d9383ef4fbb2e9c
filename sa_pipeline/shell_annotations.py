"""`sa-pipeline annotations`: what people made, as files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sa_pipeline.annotated.references import ReferenceFormat, open_references
from sa_pipeline.artifacts import RoundAssetName, artifact_name, read_header
from sa_pipeline.errors import StudioError
from sa_pipeline.progress import TerminalProgress, watched_by
from sa_pipeline.shell_options import HomeOption
from sa_pipeline.shell_source import dataset_with_images
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.exporting import ExportFormat, export_round
from sa_pipeline.studio.importing import ImportAs, import_masks
from sa_pipeline.studio.matching import ImageIndex
from sa_pipeline.studio.rounds import require_round_name

annotations_app = typer.Typer(no_args_is_help=True)
console = Console()

RoundOption = Annotated[str, typer.Option("--round", help="Annotation round.")]


@annotations_app.command("snapshot")
def snapshot(round_name: RoundOption, home: HomeOption = None) -> None:
    """Writes the accepted masks of a round to files, checks them, and takes them into the catalogue.

    Example: sa-pipeline annotations snapshot --round assisted-1
    """
    from sa_pipeline.runs import ensure_dagster_home, run_catalog, run_round

    dataset = dataset_with_images(home)
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


@annotations_app.command("import")
def import_file(
    file: Annotated[
        Path,
        typer.Argument(help="COCO's instance file, folder of label maps (.mat, .png), or SA-1B tar or folder of such."),
    ],
    form: Annotated[ReferenceFormat, typer.Option("--format", help="Of the file.")],
    round_name: RoundOption,
    how: Annotated[
        ImportAs, typer.Option("--as", help="To be completed by annotators, looked at by reviewers, or taken as is.")
    ] = ImportAs.PREFILLED,
    home: HomeOption = None,
) -> None:
    """Makes tasks of masks that were made elsewhere, for the images that are in the dataset.

    Example: sa-pipeline annotations import instances.json --format coco --round assisted-1 --as finished
    """
    dataset = dataset_with_images(home)
    references = TerminalProgress().track(open_references(file, form), description="importing")
    require_round_name(round_name)
    index = ImageIndex(dataset, by_bytes=form is ReferenceFormat.SA1B)
    studio = open_studio(dataset)
    try:
        report = import_masks(studio, references, round_name, how, index)
    finally:
        studio.close()
    counts = report.counts
    console.print(
        f"{counts['masks']} masks on {counts['images']} images became {counts['tasks']} tasks of round {round_name}.",
        report.describe(),
        markup=False,
        soft_wrap=True,
        highlight=False,
    )


@annotations_app.command("export")
def export_file(
    round_name: RoundOption,
    form: Annotated[ExportFormat, typer.Option("--format", help="Of the file.")],
    output: Annotated[Path, typer.Option(help="The file: .json for coco, .tar for sa1b.")],
    home: HomeOption = None,
) -> None:
    """Writes the snapshot of a round for other programs.

    Example: sa-pipeline annotations export --round assisted-1 --format coco --output instances.json
    """
    report = export_round(dataset_with_images(home), round_name, form, output)
    further = f" {report.left_out} masks of further people on the same images are not in it." if report.left_out else ""
    console.print(
        f"{report.masks} masks on {report.images} images: {output}.{further}",
        markup=False,
        soft_wrap=True,
        highlight=False,
    )
