"""Weights for use: the averaged parameters as float16 safetensors, with logits steep enough for stability scores."""

from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from sa_pipeline.training.loop import TrainState

LOGIT_SCALE = 5.0
"""Factor on the mask logits. Focal loss leaves them shallow, and the stability score shifts them by one: unscaled,
no mask would count as stable. Masks themselves, logits above 0, stay as they are."""


def export_weights(state: TrainState, path: Path) -> None:
    """Writes the weights of `state` to `path`, aside and then renamed."""
    weights = scale_logits({**state.sam.state_dict(), **state.average}, LOGIT_SCALE)
    aside = path.with_name(path.name + ".part")
    aside.write_bytes(save({name: value.detach().half().contiguous() for name, value in sorted(weights.items())}))
    aside.replace(path)


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
