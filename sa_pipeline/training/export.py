"""Weights for use: official state dicts for ViTs; for `tiny`, float16 with logits steep enough for stability scores."""

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from sa_pipeline.sam.state import TINY
from sa_pipeline.training.loop import TrainState

LOGIT_SCALE = 10.0
"""Factor on the mask logits. Training leaves them shallow, and the stability score shifts them by one: unscaled,
few masks would count as stable. Masks themselves, logits above 0, stay as they are."""


def weights_name(architecture: str) -> str:
    """Name of the file that `export_checkpoint` writes for an architecture."""
    return "weights.safetensors" if architecture == TINY else "weights.pth"


def export_checkpoint(state: TrainState, architecture: str, folder: Path) -> Path:
    """Writes the weights in the form that the registry of checkpoints takes.

    Returns:
        The file: what `torch.save(sam.state_dict(), path)` writes for a ViT, which `segment_anything` loads;
        safetensors for `tiny`.
    """
    path = folder / weights_name(architecture)
    if architecture == TINY:
        export_weights(state, path)
        return path
    weights = {name: value.detach().float().cpu() for name, value in _averaged(state).items()}
    aside = path.with_name(path.name + ".part")
    torch.save(weights, aside)
    aside.replace(path)
    return path


def export_weights(state: TrainState, path: Path) -> None:
    """Writes the weights of `state`, a `tiny`, to `path`, aside and then renamed."""
    weights = scale_logits(_averaged(state), LOGIT_SCALE)
    half = {name: value.detach().half().cpu().contiguous() for name, value in sorted(weights.items())}
    aside = path.with_name(path.name + ".part")
    aside.write_bytes(save(half))
    aside.replace(path)


def _averaged(state: TrainState) -> dict[str, Tensor]:
    return {**state.sam.state_dict(), **state.average}


def scale_logits(weights: dict[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Multiplies all mask logits by `scale` and divides mask prompts by it, as those are logits of an earlier round.

    Args:
        weights: State dict of a `Sam`.
        scale: Above 0.

    Returns:
        A new state dict; its logits are `scale` times those of `weights` for every prompt, refined or not.
    """
    scaled = dict(weights)
    for name in weights:
        if name.startswith("mask_decoder.output_hypernetworks_mlps.") and ".layers.2." in name:
            scaled[name] = weights[name] * scale
    first = "prompt_encoder.mask_downscaling.0.weight"
    scaled[first] = weights[first] / scale
    return scaled
