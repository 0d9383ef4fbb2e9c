"""Drop path, or stochastic depth, for the blocks of `segment_anything`'s ViT encoder, which has none of its own."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@contextmanager
def drop_path(encoder: nn.Module, rate: float, draws: Sequence[np.random.Generator]) -> Iterator[None]:
    """While it is open, the encoder's blocks leave out attention or MLP of an image at random (Appendix A).

    The rate rises linearly from 0 at the first block to `rate` at the last, as in ViTDet, from which the encoder is
    taken; what is kept is scaled up, so that the expected value stays. Hooks do it: the state dict keeps its keys.

    Args:
        encoder: With `blocks`; an encoder without is left as it is.
        rate: At the last block, 0 <= rate < 1.
        draws: A source of chance for each image of the batch.
    """
    blocks = list(getattr(encoder, "blocks", ()))
    rates = np.repeat(np.linspace(0.0, rate, len(blocks)), 2)
    kept = np.array([rng.random(len(rates)) >= rates for rng in draws], np.float32)
    factors = torch.from_numpy((kept / (1.0 - rates)).astype(np.float32))
    with ExitStack() as hooks:
        for index, block in enumerate(blocks):
            for branch, column in ((block.attn, 2 * index), (block.mlp, 2 * index + 1)):
                hooks.enter_context(_scaled(branch, factors[:, column]))
        yield


@contextmanager
def _scaled(branch: nn.Module, factors: Tensor) -> Iterator[None]:
    def scale(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        # Windowed attention has each image's windows one after the other in its batch.
        each = factors.to(output).repeat_interleave(len(output) // len(factors))
        return output * each.view(-1, *[1] * (output.ndim - 1))

    handle = branch.register_forward_hook(scale)
    try:
        yield
    finally:
        handle.remove()
