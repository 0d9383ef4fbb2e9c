"""The weights that the circle starts from: `tiny` before its training, with corrections and boxes written in."""

from pathlib import Path

import torch

from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.training.export import export_weights
from sa_pipeline.training.initial_corrections import bind_corrections
from sa_pipeline.training.initial_weights import bind_positions, bind_regions
from sa_pipeline.training.loop import new_state
from sa_pipeline.training.train_tiny import OPTIMIZER

SEED = 0


def ensure_undertrained(path: Path) -> Path:
    """Writes weights that have seen no mask, unless they are there: a decoder that is written down, the rest by chance.

    The file is in the form of the shipped weights and the same on every call.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with torch.random.fork_rng():
            torch.manual_seed(SEED)
            sam = build_tiny()
            bind_positions(sam)
            bind_regions(sam)
            bind_corrections(sam)
            export_weights(new_state(sam, OPTIMIZER, SEED), path)
    return path
