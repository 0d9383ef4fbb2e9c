"""The registry of checkpoints: the built-in `tiny`, the three official ones, and any file in their format."""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sa_pipeline.artifacts import CheckpointRef, digest_of
from sa_pipeline.errors import CheckpointError

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

FOLDER_VARIABLE = "SA_PIPELINE_CHECKPOINTS"
DEFAULT_FOLDER = Path("~/.cache/sa_pipeline/checkpoints")
SIZE_TOLERANCE = 0.05
"""Share by which a retrained file's size may differ from the official one and still tell the architecture."""


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
TINY = "tiny"


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory and where its weights came from."""

    sam: "Sam"
    ref: CheckpointRef


def checkpoint_names() -> tuple[str, ...]:
    """Names that need no path, the built-in one first."""
    return (TINY, *OFFICIAL)


def checkpoint_folder() -> Path:
    """Where downloaded checkpoints lie: `SA_PIPELINE_CHECKPOINTS`, else a folder in the user's cache."""
    return Path(os.environ.get(FOLDER_VARIABLE, DEFAULT_FOLDER)).expanduser()


def checkpoint_path(name: str) -> Path:
    """The file of a checkpoint.

    Args:
        name: A registered name or a path.

    Raises:
        CheckpointError: The name is unknown or its file is not on this machine; the text says what to put where.
    """
    if name == TINY:
        return Path(__file__).parent / "weights" / "tiny.safetensors"
    path = checkpoint_folder() / OFFICIAL[name].file_name if name in OFFICIAL else Path(name).expanduser()
    if path.is_file():
        return path
    if name in OFFICIAL:
        raise CheckpointError(
            f"Checkpoint {name} is not on this machine; run `sa-pipeline checkpoints download {name}`, or put "
            f"{OFFICIAL[name].file_name} from {OFFICIAL[name].url} into {checkpoint_folder()}."
        )
    raise CheckpointError(
        f"Checkpoint {name}: no such file; expected one of {', '.join(checkpoint_names())} or the path of a .pth file."
    )


def checkpoint_ref(name: str) -> CheckpointRef:
    """Name, architecture and digest of a checkpoint, without loading it.

    Raises:
        CheckpointError: The checkpoint is unknown, not on this machine or of no known architecture.
    """
    path = checkpoint_path(name)
    label = name if name in checkpoint_names() else path.stem
    status = path.stat()
    return CheckpointRef(
        name=label,
        architecture=_architecture(name, path),
        digest=_digest(str(path), status.st_size, status.st_mtime_ns),
    )


def load_model(name: str) -> LoadedModel:
    """Loads a checkpoint onto the best device, a GPU if there is one.

    Args:
        name: A registered name or the path of a file in the official format.

    Raises:
        CheckpointError: The checkpoint is unknown, missing, damaged or of another architecture.
    """
    import torch
    from segment_anything import sam_model_registry

    ref, path = checkpoint_ref(name), checkpoint_path(name)
    if ref.architecture == TINY:
        from safetensors.torch import load_file

        from sa_pipeline.sam.tiny import build_tiny

        sam, read = build_tiny(), load_file
    else:
        sam, read = sam_model_registry[ref.architecture](), functools.partial(torch.load, weights_only=True)
    try:
        state = read(path)
        sam.load_state_dict({key: value.float() for key, value in state.items()})
    except Exception as error:  # whatever a damaged file makes the readers raise
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"Checkpoint {path} cannot be loaded as {ref.architecture}: {first_line}; expected a state dict in the "
            "format of segment_anything."
        ) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return LoadedModel(sam.to(device).eval(), ref)


def load_checkpoint(name: str) -> "Sam":
    """Loads a model for use in a notebook: `load_model` without the provenance.

    Args:
        name: `tiny`, `vit_b`, `vit_l`, `vit_h`, or the path of an official `.pth` file.

    Raises:
        CheckpointError: The checkpoint is unknown, missing, damaged or of another architecture.
    """
    return load_model(name).sam


@functools.lru_cache(maxsize=64)
def _digest(path: str, _size: int, _modified: int) -> str:
    return digest_of(Path(path))


def _architecture(name: str, path: Path) -> str:
    if name in checkpoint_names():
        return name
    if path.suffix == ".safetensors":
        return TINY
    for architecture, official in OFFICIAL.items():
        if abs(path.stat().st_size - official.size) <= SIZE_TOLERANCE * official.size:
            return architecture
    raise CheckpointError(
        f"Checkpoint {path} has {path.stat().st_size} bytes, which fits none of "
        f"{', '.join(OFFICIAL)}; expected a float32 state dict in the format of segment_anything."
    )
