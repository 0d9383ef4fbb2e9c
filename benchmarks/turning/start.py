"""The weights that the circle starts from: `tiny` before its training."""

from pathlib import Path

import torch
from segment_anything.modeling import Sam

from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.training.export import export_weights
from sa_pipeline.training.initial_weights import bind_decoder
from sa_pipeline.training.loop import new_state
from sa_pipeline.training.train_tiny import OPTIMIZER

SEED = 0

UNDONE = tuple(f"mask_decoder.output_hypernetworks_mlps.{output}.layers.2." for output in (1, 2, 3))
"""Last layers of the heads that draw the three masks of one click."""


def ensure_undertrained(path: Path, *, undone: bool = False) -> Path:
    """Writes weights that have seen no mask, unless they are there: a decoder that is written down, the rest by chance.

    The file is in the form of the shipped weights and the same on every call.

    Args:
        path: The file.
        undone: What is written down draws masks about as good as training makes them, so that people's masks have
            little to teach. With `undone`, noise as strong as they are lies over the biases that the three masks' heads
            end with, which are all that draws.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with torch.random.fork_rng():
            torch.manual_seed(SEED)
            sam = build_tiny()
            bind_decoder(sam)
            if undone:
                _undo_heads(sam)
            export_weights(new_state(sam, OPTIMIZER, SEED), path)
    return path


def _undo_heads(sam: Sam) -> None:
    with torch.no_grad():
        for name, weight in sam.named_parameters():
            if name.startswith(UNDONE) and name.endswith(".bias"):
                weight += torch.randn_like(weight) * weight.std()
