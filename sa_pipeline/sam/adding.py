"""Adding checkpoints of one's own to the registry, under a name."""

import re
import shutil
from pathlib import Path

from sa_pipeline.artifacts import digest_of
from sa_pipeline.errors import CheckpointError
from sa_pipeline.sam.registry import (
    OFFICIAL,
    RECORD_SUFFIX,
    RegisteredCheckpoint,
    checkpoint_folder,
    load_model,
    registered_checkpoints,
)
from sa_pipeline.sam.state import TINY
from sa_pipeline.storage import Storage

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def add_checkpoint(name: str, path: Path) -> RegisteredCheckpoint:
    """Copies a checkpoint into the checkpoint folder and registers it; from then on its name can be used anywhere.

    It is loaded first, so that what is registered works. Adding the same weights under the same name again does
    nothing.

    Args:
        name: Letters, digits, `_`, `.` and `-`; none of the names that are there already.
        path: A state dict in the format of `segment_anything`, `.pth` or `.safetensors`, in any precision.

    Raises:
        CheckpointError: The name is not free or not a name, or the file cannot be loaded.
        StorageError: The checkpoint folder cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise CheckpointError(f"{name!r} is no name for a checkpoint; expected up to 64 letters, digits, _, . and -.")
    if name in (TINY, *OFFICIAL):
        raise CheckpointError(f"The name {name} belongs to a built-in or official checkpoint; choose another.")
    known = registered_checkpoints().get(name)
    model = load_model(str(path))
    if known is not None:
        if known.sha256 == model.ref.digest:
            return known
        raise CheckpointError(
            f"The name {name} is taken by other weights ({known.sha256[:16]}); choose another, or delete "
            f"{checkpoint_folder() / f'{name}{RECORD_SUFFIX}'} first."
        )
    folder = Storage(checkpoint_folder())
    added = RegisteredCheckpoint(
        name=name, architecture=model.ref.architecture, sha256=model.ref.digest, file_name=f"{name}{path.suffix}"
    )
    with folder.writing(added.file_name) as aside:
        shutil.copyfile(path, aside)
        if digest_of(aside) != added.sha256:
            raise CheckpointError(f"{path} changed while it was copied; add it again when nobody writes to it.")
    folder.write_bytes(f"{name}{RECORD_SUFFIX}", added.model_dump_json(indent=2).encode())
    return added
