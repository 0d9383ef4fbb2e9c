"""Which parameters AdamW decays, and at what share of the learning rate it moves them."""

import re
from typing import Any

from torch import nn

RATE_SHARE = "rate_share"
"""Key of a parameter group: the factor on the learning rate."""

_BLOCK = re.compile(r"image_encoder\.blocks\.(\d+)\.")
_FIRST_LAYER = ("image_encoder.patch_embed.", "image_encoder.pos_embed")


def parameter_groups(model: nn.Module, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
    """Groups for the optimizer.

    Vectors, such as biases and normalisations, are not decayed. With layer-wise decay (Appendix A, "Training
    recipe"), a ViT encoder's patch and position embedding are layer 0, its blocks layers 1 to D, and neck, prompt
    encoder and mask decoder layer D + 1; layer i learns at `layer_decay ** (D + 1 - i)` of the rate.

    Args:
        model: A `Sam`, or any other, which has no blocks.
        weight_decay: Of everything that is more than a vector.
        layer_decay: In (0, 1]; 1 for the same rate everywhere. Without effect on an encoder without blocks.
    """
    depth = len(getattr(getattr(model, "image_encoder", None), "blocks", ()))
    groups: dict[tuple[int, float], dict[str, Any]] = {}
    for decayed in (True, False):
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad or (parameter.ndim > 1) != decayed:
                continue
            layer = _layer_of(name, depth) if layer_decay != 1.0 else depth + 1
            decay = weight_decay if decayed else 0.0
            new = {"params": [], "weight_decay": decay, RATE_SHARE: layer_decay ** (depth + 1 - layer)}
            groups.setdefault((layer, decayed), new)["params"].append(parameter)
    return list(groups.values())


def _layer_of(name: str, depth: int) -> int:
    if name.startswith(_FIRST_LAYER):
        return 0
    block = _BLOCK.match(name)
    return int(block[1]) + 1 if block else depth + 1
