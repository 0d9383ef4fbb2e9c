"""The weights in a checkpoint file: reading them, and telling from their shapes which architecture they are for."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sa_pipeline.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

TINY = "tiny"
POSITIONS = "image_encoder.pos_embed"
"""Position embedding of the official encoders, (1, 64, 64, width)."""
ARCHITECTURE_BY_WIDTH: Mapping[int, str] = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
"""Width of the ViT encoder (`segment_anything`, `build_sam.py`)."""
TINY_LEARNED = "image_encoder.describe.0.weight"


def read_state(path: Path) -> "dict[str, Tensor]":
    """Reads a state dict as float32, whatever the precision in which it is stored.

    Args:
        path: A `.safetensors` file, or what `torch.save` wrote.

    Raises:
        CheckpointError: The file is damaged or holds something else than a state dict.
    """
    return {key: value.float() for key, value in _read(path, shapes_only=False).items()}


def architecture_of(path: Path) -> str:
    """Tells which model a checkpoint is for, without reading its numbers.

    Returns:
        `tiny`, `vit_b`, `vit_l` or `vit_h`.

    Raises:
        CheckpointError: The file is damaged, or its weights are those of no known architecture.
    """
    status = path.stat()
    return _architecture(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _architecture(path: Path, _size: int, _modified: int) -> str:
    state = _read(path, shapes_only=True)
    if TINY_LEARNED in state:
        return TINY
    positions = state.get(POSITIONS)
    width = positions.shape[-1] if positions is not None and positions.ndim else 0
    if width in ARCHITECTURE_BY_WIDTH:
        return ARCHITECTURE_BY_WIDTH[width]
    found = f"{POSITIONS} of width {width}" if width else f"neither {POSITIONS} nor {TINY_LEARNED}"
    raise CheckpointError(
        f"Checkpoint {path} holds {found}; expected a state dict in the format of segment_anything for one of "
        f"{', '.join((TINY, *ARCHITECTURE_BY_WIDTH.values()))}."
    )


def _read(path: Path, *, shapes_only: bool) -> "dict[str, Tensor]":
    import torch
    from safetensors import safe_open

    device = "meta" if shapes_only else "cpu"
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt", device="cpu") as file:
                keys = list(file.keys())
                if shapes_only:
                    return {key: torch.empty(file.get_slice(key).get_shape(), device=device) for key in keys}
                return {key: file.get_tensor(key) for key in keys}
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever a damaged file makes the readers raise
        raise CheckpointError(
            f"Checkpoint {path} cannot be read: {first_line(error)}; expected a state dict in the format of "
            "segment_anything, a .pth or .safetensors file."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise CheckpointError(
            f"Checkpoint {path} holds something else than a state dict; expected what "
            "torch.save(model.state_dict(), path) writes."
        )
    return state


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its type where it has none."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
