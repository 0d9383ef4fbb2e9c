"""`sa-pipeline verify`: is a dataset, or a folder of exports, what was written?"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sa_pipeline.errors import VerificationError
from sa_pipeline.progress import TerminalProgress
from sa_pipeline.shell_options import INTERRUPTED, HomeOption
from sa_pipeline.verification.findings import FindingKind, VerificationReport

FINDINGS_PRINTED = 50
COLORS = {
    FindingKind.DAMAGED: "red",
    FindingKind.MISSING: "red",
    FindingKind.STALE: "yellow",
    FindingKind.UNEXPLAINED: "yellow",
}
console = Console()


def verify(
    dataset: Annotated[
        str | None,
        typer.Argument(help="Home of a dataset, URL of its storage, or folder of exported tars; default: the home."),
    ] = None,
    home: HomeOption = None,
    shards: Annotated[
        str, typer.Option(help="Only these, such as '0000*'; rounds and weights are left out then.")
    ] = "*",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: the cores, if the work pays them.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Also write what is found, to a .json or .parquet file.")] = None,
) -> None:
    """Checks every digest, record and count of a dataset; exit status 1 if something is damaged or missing.

    Example: sa-pipeline verify masks
    """
    from sa_pipeline.verification.place import find_place
    from sa_pipeline.verification.reports import check_output, write_report
    from sa_pipeline.verification.verify import verify as check

    if dataset is not None and home is not None:
        raise VerificationError("Name the dataset once: as the argument, or as --home.")
    if output is not None:
        check_output(output)
    try:
        report = check(find_place(dataset, home), shards=shards, jobs=jobs, progress=TerminalProgress())
    except KeyboardInterrupt:
        console.print("\nStopped; nothing was changed. --shards verifies a part at a time.")
        raise typer.Exit(INTERRUPTED) from None
    if output is not None:
        write_report(report, output)
    _print(report)
    if not report.ok:
        raise typer.Exit(1)


def _print(report: VerificationReport) -> None:
    for finding in report.findings[:FINDINGS_PRINTED]:
        color = COLORS[finding.kind]
        console.print(f"[{color}]{finding.kind}[/] {escape(str(finding))}", soft_wrap=True, highlight=False)
    if len(report.findings) > FINDINGS_PRINTED:
        console.print(f"and {len(report.findings) - FINDINGS_PRINTED} more; --output report.json has all of them.")
    table = Table("files", "GB", "shards", "rounds", "images", "masks", "seconds", "MB/s", title=report.place)
    table.add_row(
        *(f"{count:,}" for count in (report.files,)),
        f"{report.size / 1e9:.3f}",
        *(f"{count:,}" for count in (report.shards, report.rounds, report.images, report.masks)),
        f"{report.seconds:.1f}",
        f"{report.megabytes_per_second:.0f}",
    )
    console.print(table)
    console.print(report.verdict, style="green" if report.ok else "red", highlight=False)
