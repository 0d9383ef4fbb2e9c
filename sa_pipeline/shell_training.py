"""Training from the shell: what the options mean, and what is said at the end."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from sa_pipeline.annotated.opening import open_annotated
from sa_pipeline.errors import SettingsError
from sa_pipeline.progress import Progress
from sa_pipeline.sam.registry import load_model
from sa_pipeline.training.distributed import joined_group
from sa_pipeline.training.retrain import TrainingOutcome, retrain
from sa_pipeline.training.samples import AnnotatedScenes, DrawnSource, SampleSource
from sa_pipeline.training.settings import TrainingSettings, training_preset

DRAWN = "drawn"
"""The source that needs no files: scenes drawn on the fly."""
DRAWN_SIDE = 512


def training_settings(
    preset_name: str, assignments: Sequence[str], given: dict[str, int | float | None]
) -> TrainingSettings:
    """Settings from the command line.

    Args:
        preset_name: `retrain`, `paper` or `automatic`.
        assignments: Changes to it, each `NAME=VALUE` with a field of `TrainingSettings`.
        given: Changes by options of their own; None where an option was not given.

    Raises:
        SettingsError: An assignment has a wrong form, name or value.
    """
    changes = {name: value for name, value in given.items() if value is not None}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator:
            raise SettingsError(f"--set {assignment}: expected NAME=VALUE, such as corrections=3.")
        changes[name] = yaml.safe_load(value)
    return training_preset(preset_name, changes)


def run_training(
    source: str,
    references: Path | None,
    checkpoint: str,
    settings: TrainingSettings,
    output: Path,
    progress: Progress,
) -> TrainingOutcome:
    """Trains a checkpoint on annotated images or drawn scenes, alone or as one of `torchrun`'s processes.

    Raises:
        SaPipelineError: Something cannot be read, or does not fit together.
    """
    with joined_group() as group:
        scenes, name = _open(source, references, settings)
        return retrain(load_model(checkpoint), scenes, name, settings, output, progress, group)


def _open(source: str, references: Path | None, settings: TrainingSettings) -> tuple[SampleSource, str]:
    if source == DRAWN and references is None:
        return DrawnSource(settings.input_size or DRAWN_SIDE, difficulty=1.0), DRAWN
    scenes = AnnotatedScenes(open_annotated(source, references), settings.max_mask_share)
    name = str(Path(source).expanduser().resolve())
    return scenes, name if references is None else f"{name} with {references.expanduser().resolve()}"
