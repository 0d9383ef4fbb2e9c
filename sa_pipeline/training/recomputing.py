"""Less memory for a ViT encoder in training: activations within its blocks are computed again when they are needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def recomputed(encoder: nn.Module) -> Iterator[None]:
    """While it is open, forward and backward pass included, each block keeps its input alone.

    Without it, the four blocks of global attention keep 4096 x 4096 weights a head. The gradient stays the same.

    Args:
        encoder: With `blocks`; an encoder without is left as it is.
    """
    blocks = list(getattr(encoder, "blocks", ()))
    for block in blocks:
        vars(block)["forward"] = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in blocks:
            del vars(block)["forward"]
