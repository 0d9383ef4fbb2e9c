"""Options that several commands of `sa-pipeline` have."""

import enum
from pathlib import Path
from typing import Annotated

import typer

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


class Preset(enum.StrEnum):
    """Names of the presets, which are heavy to load."""

    REFERENCE = "reference"
    SA1B = "sa1b"
    FAST = "fast"


HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of the dataset; default: $SA_PIPELINE_HOME, else ./sa_pipeline_home."),
]
CheckpointOption = Annotated[
    str | None, typer.Option(help="A name that `checkpoints list` shows, or the path of a file in the official format.")
]
PresetOption = Annotated[
    Preset | None, typer.Option("--preset", help="Settings; default: the folder's own, else sa1b.")
]
MetricsPortOption = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port for Prometheus; default: no metrics. Whoever reaches it may read them."),
]
MetricsHostOption = Annotated[str, typer.Option(help="Address to serve metrics on.")]
