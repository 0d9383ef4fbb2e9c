"""The registry of checkpoints: the built-in `tiny`, the three official ones, those added, and any file's path."""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from sa_pipeline.artifacts import CheckpointRef, digest_of
from sa_pipeline.errors import CheckpointError, describe_validation_error
from sa_pipeline.sam.state import TINY, architecture_of, first_line, read_state

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

FOLDER_VARIABLE = "SA_PIPELINE_CHECKPOINTS"
DEFAULT_FOLDER = Path("~/.cache/sa_pipeline/checkpoints")
RECORD_SUFFIX = ".checkpoint.json"
"""Beside the file of a checkpoint that was added, its record has this suffix after the name."""


@dataclass(frozen=True)
class OfficialCheckpoint:
    """A checkpoint that Meta published with Segment Anything.

    Attributes:
        architecture: Key in `segment_anything.sam_model_registry`.
        url: Where it is downloaded from.
        size: Bytes.
        sha256: Digest of the file.
    """

    architecture: str
    url: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """Name under which Meta published the file."""
        return self.url.rsplit("/", 1)[-1]


_BASE_URL = "https://dl.fbaipublicfiles.com/segment_anything"
OFFICIAL: Mapping[str, OfficialCheckpoint] = {
    "vit_b": OfficialCheckpoint(
        "vit_b",
        f"{_BASE_URL}/sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    "vit_l": OfficialCheckpoint(
        "vit_l",
        f"{_BASE_URL}/sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    "vit_h": OfficialCheckpoint(
        "vit_h",
        f"{_BASE_URL}/sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
}


class RegisteredCheckpoint(BaseModel):
    """A checkpoint that somebody added: its name, what it is, and its file in the checkpoint folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    architecture: str
    sha256: str
    file_name: str


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory and where its weights came from."""

    sam: "Sam"
    ref: CheckpointRef


def checkpoint_names() -> tuple[str, ...]:
    """Names that need no path: the built-in one, the official ones, those that were added."""
    return (TINY, *OFFICIAL, *registered_checkpoints())


def checkpoint_folder() -> Path:
    """Where checkpoints lie: `SA_PIPELINE_CHECKPOINTS`, else a folder in the user's cache."""
    return Path(os.environ.get(FOLDER_VARIABLE, DEFAULT_FOLDER)).expanduser()


def registered_checkpoints() -> dict[str, RegisteredCheckpoint]:
    """The checkpoints that were added, by name.

    Raises:
        CheckpointError: A record in the checkpoint folder is damaged.
    """
    found = {}
    for path in sorted(checkpoint_folder().glob(f"*{RECORD_SUFFIX}")):
        try:
            record = RegisteredCheckpoint.model_validate_json(path.read_bytes())
        except ValidationError as error:
            found_wrong = describe_validation_error(error, name=str(path))
            raise CheckpointError(f"{found_wrong} Delete the file and add the checkpoint again.") from None
        found[record.name] = record
    return found


def checkpoint_path(name: str) -> Path:
    """The file of a checkpoint.

    Args:
        name: A registered name or a path.

    Raises:
        CheckpointError: The name is unknown or its file is not on this machine; the text says what to put where.
    """
    return _locate(name).path


def checkpoint_ref(name: str) -> CheckpointRef:
    """Name, architecture and digest of a checkpoint, without loading it.

    Raises:
        CheckpointError: The checkpoint is unknown, not on this machine, of no known architecture, or not what was
            registered under its name.
    """
    return _locate(name).ref()


def load_model(name: str) -> LoadedModel:
    """Loads a checkpoint onto the best device, a GPU if there is one.

    Args:
        name: A registered name or the path of a file in the official format.

    Raises:
        CheckpointError: The checkpoint is unknown, missing, damaged or of another architecture.
    """
    import torch
    from segment_anything import sam_model_registry

    from sa_pipeline.sam.tiny import build_tiny

    located = _locate(name)
    ref = located.ref()
    sam = build_tiny() if ref.architecture == TINY else sam_model_registry[ref.architecture]()
    try:
        sam.load_state_dict(read_state(located.path))
    except RuntimeError as error:  # a tensor is missing, one too many, or of another shape
        raise CheckpointError(
            f"Checkpoint {located.path} cannot be loaded as {ref.architecture}: {first_line(error)} Expected a state "
            "dict in the format of segment_anything."
        ) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return LoadedModel(sam.to(device).eval(), ref)


def load_checkpoint(name: str) -> "Sam":
    """Loads a model for use in a notebook: `load_model` without the provenance.

    Args:
        name: `tiny`, `vit_b`, `vit_l`, `vit_h`, a name that was added, or the path of a file in the official format.

    Raises:
        CheckpointError: The checkpoint is unknown, missing, damaged or of another architecture.
    """
    return load_model(name).sam


@dataclass(frozen=True)
class _Located:
    """A checkpoint's file, and what is known of it beforehand."""

    label: str
    path: Path
    architecture: str | None = None
    sha256: str | None = None

    def ref(self) -> CheckpointRef:
        status = self.path.stat()
        digest = _digest(self.path, status.st_size, status.st_mtime_ns)
        if self.sha256 not in (None, digest):
            raise CheckpointError(
                f"Checkpoint {self.label}: {self.path} has the SHA-256 {digest}, expected {self.sha256}; put the right "
                "file there, or add this one under a name of its own: sa-pipeline checkpoints add NAME PATH."
            )
        return CheckpointRef(
            name=self.label, architecture=self.architecture or architecture_of(self.path), digest=digest
        )


def _locate(name: str) -> _Located:
    if name == TINY:
        return _Located(TINY, Path(__file__).parent / "weights" / "tiny.safetensors", TINY)
    if name in OFFICIAL:
        official = OFFICIAL[name]
        located = _Located(name, checkpoint_folder() / official.file_name, official.architecture, official.sha256)
        advice = (
            f"Checkpoint {name} is not on this machine; run `sa-pipeline checkpoints download {name}`, or put "
            f"{official.file_name} from {official.url} into {checkpoint_folder()}."
        )
    elif added := registered_checkpoints().get(name):
        located = _Located(name, checkpoint_folder() / added.file_name, added.architecture, added.sha256)
        advice = f"Checkpoint {name}: {located.path} is gone; delete {name}{RECORD_SUFFIX} beside it and add it again."
    else:
        path = Path(name).expanduser()
        located = _Located(path.stem, path)
        advice = (
            f"Checkpoint {name}: no such file; expected one of {', '.join(checkpoint_names())} or the path of a .pth "
            "or .safetensors file."
        )
    if not located.path.is_file():
        raise CheckpointError(advice)
    return located


@functools.lru_cache(maxsize=64)
def _digest(path: Path, _size: int, _modified: int) -> str:
    return digest_of(path)
