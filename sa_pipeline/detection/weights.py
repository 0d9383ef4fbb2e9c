"""Weights of a detector as a safetensors file that says what it is for."""

from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import save_file
from torchvision.models.detection import FasterRCNN

from sa_pipeline.detection.model import assemble_detector
from sa_pipeline.errors import CheckpointError, describe_validation_error
from sa_pipeline.sam.state import first_line
from sa_pipeline.settings import DetectorSettings

SETTINGS_KEY = "detector"
"""Key of the settings in the file's metadata."""


def write_detector(detector: FasterRCNN, settings: DetectorSettings, path: Path) -> None:
    """Writes a detector's weights and the settings that it was built from; equal weights give equal bytes."""
    state = {name: value.detach().cpu().contiguous() for name, value in sorted(detector.state_dict().items())}
    # Where the backbone's first weights came from matters no more, and would be missed on another machine.
    kept = settings.model_copy(update={"backbone_weights": None})
    save_file(state, path, metadata={SETTINGS_KEY: kept.model_dump_json()})


def read_detector(path: Path) -> FasterRCNN:
    """Reads a detector, in evaluation mode and on a GPU if there is one.

    Raises:
        CheckpointError: The file is damaged or holds no detector.
    """
    try:
        with safe_open(path, framework="pt") as file:
            settings = DetectorSettings.model_validate_json(file.metadata()[SETTINGS_KEY])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        frozen_norms = any(name.endswith(".running_mean") for name in state)
        detector = assemble_detector(settings, frozen_norms=frozen_norms)
        detector.load_state_dict(state)
    except ValidationError as error:
        raise CheckpointError(describe_validation_error(error, name=str(path))) from None
    except Exception as error:  # whatever a damaged file makes the readers raise
        raise CheckpointError(
            f"{path} cannot be read as a detector ({type(error).__name__}: {first_line(error)}); materialize "
            "object_detector again."
        ) from error
    return detector.to("cuda" if torch.cuda.is_available() else "cpu")
