"""Trains `tiny` for some steps and keeps each process's gradients and weights: run by torchrun in a test."""

import sys
from pathlib import Path

import torch

from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.training.distributed import joined_group
from sa_pipeline.training.interaction import InteractionSettings
from sa_pipeline.training.loop import OptimizerSettings, Phase, new_state, train
from sa_pipeline.training.samples import DrawnSource

OPTIMIZER = OptimizerSettings(warmup_steps=1, average_decay=None)


def phase(images: int = 2, accumulate: int = 1) -> Phase:
    clicks = InteractionSettings(prompts=2, corrections=1, repeats=1, distinct=True)
    source = DrawnSource(64, difficulty=0.0)
    return Phase(
        2, 64, images, source, clicks, learning_rate=1e-4, augment=False, independent_images=True, accumulate=accumulate
    )


def main(output: Path, accumulate: int = 1) -> None:
    torch.manual_seed(3)
    sam = build_tiny()
    state = new_state(sam, OPTIMIZER, seed=9)
    with joined_group() as group:
        steps = train(state, [phase(accumulate=accumulate)], OPTIMIZER, group=group)
        gradients = [{n: p.grad.clone() for n, p in sam.named_parameters() if p.grad is not None} for _ in steps]
        torch.save({"gradients": gradients, "weights": sam.state_dict()}, output / f"{group.rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
