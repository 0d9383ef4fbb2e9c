"""Trains the built-in checkpoint `tiny`: `python -m sa_pipeline.training.train_tiny --scenes DIR --output DIR`.

Under `torchrun --nproc-per-node=N` each step's scenes are spread over N processes.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from sa_pipeline.annotated.sa1b_tars import Sa1bSource
from sa_pipeline.progress import SilentProgress, TerminalProgress
from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.training.distributed import Group, joined_group
from sa_pipeline.training.embedded import EmbeddedSamples
from sa_pipeline.training.export import export_weights
from sa_pipeline.training.initial_corrections import bind_corrections
from sa_pipeline.training.initial_weights import bind_positions, bind_regions
from sa_pipeline.training.interaction import InteractionSettings
from sa_pipeline.training.loop import (
    OptimizerSettings,
    Phase,
    TrainState,
    new_state,
    restore_state,
    save_state,
    train,
)
from sa_pipeline.training.losses import TINY_FOCAL_WEIGHT
from sa_pipeline.training.samples import AnnotatedScenes, SampleSource
from sa_pipeline.training.stopping import StopRequest
from sa_pipeline.training.training_log import TrainingLog

SAVE_INTERVAL_SECONDS = 180.0

OPTIMIZER = OptimizerSettings(weight_decay=0.02, warmup_steps=50, average_decay=0.995)

CLICKS = InteractionSettings(
    prompts=24, box_share=0.2, corrections=2, repeats=0, nested=True, focal_weight=TINY_FOCAL_WEIGHT
)
DIALOGUE = replace(CLICKS, corrections=3)
DECODER_ALONE = replace(
    CLICKS, prompts=10, box_share=0.4, corrections=3, trust_predicted_iou=True, one_for_boxes=True, forget_share=0.1
)
HEADS = (
    *(f"mask_decoder.output_hypernetworks_mlps.{output}." for output in (1, 2, 3)),
    "mask_decoder.iou_prediction_head.",
)
"""What is trained after corrections are written in; training all of the decoder wears them away."""

EMBEDDED_SAMPLES = 300
"""That the decoder is trained on: encoding one takes about as long as a step."""


def tiny_phases(scenes: Sequence[Path], embeddings: Path) -> list[Phase]:
    """First clicks mostly, then corrections in every other step, then the decoder's heads alone."""
    shards = AnnotatedScenes(Sa1bSource(scenes), weighted=True)
    return [
        Phase(310, 512, 4, shards, CLICKS, 3e-4, final_share=0.6, correct_every=3, independent_images=True),
        Phase(320, 512, 4, shards, DIALOGUE, 2e-4, final_share=0.02, correct_every=2, independent_images=True),
        decoder_phase(shards, embeddings),
    ]


def decoder_phase(source: SampleSource, embeddings: Path) -> Phase:
    """Corrections and boxes, written in, and then the heads trained with everything else as it is."""
    kept = EmbeddedSamples(embeddings, source, EMBEDDED_SAMPLES)
    return Phase(
        150,
        512,
        4,
        source,
        DECODER_ALONE,
        1e-3,
        final_share=0.02,
        correct_every=4,
        independent_images=True,
        embedded=kept,
        only=HEADS,
        begin=bind_corrections,
    )


def main() -> None:
    """Parses the command line and trains through the phases."""
    parser = argparse.ArgumentParser(prog="sa_pipeline.training.train_tiny", description=__doc__)
    parser.add_argument("--scenes", type=Path, required=True, help="folder of the tars that scene_shards wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder of state.pt, tiny.safetensors and log.csv")
    parser.add_argument("--export", type=Path, help="another file to write the weights to")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    exports = [given.output / "tiny.safetensors", *([given.export] if given.export else [])]
    torch.manual_seed(given.seed)
    with joined_group() as group:
        sam = build_tiny()
        bind_positions(sam)
        bind_regions(sam)
        state = new_state(sam, OPTIMIZER, given.seed)
        if (given.output / "state.pt").exists():
            restore_state(state, given.output / "state.pt")
        group.wait()
        phases = tiny_phases(sorted(given.scenes.glob("*.tar")), given.output / "embeddings")
        _train(state, phases, given.output, exports, group)


def _train(state: TrainState, phases: Sequence[Phase], output: Path, exports: Sequence[Path], group: Group) -> None:
    leads = group.rank == 0
    log = TrainingLog(output / "log.csv", state.step) if leads else None
    progress = TerminalProgress() if leads else SilentProgress()
    last_save = time.monotonic()

    def save() -> None:
        if log is not None:
            save_state(state, output / "state.pt")
            log.draw(output / "curves.png")
            for path in exports:
                export_weights(state, path)

    steps = train(state, phases, OPTIMIZER, torch.bfloat16, workers=1, group=group)
    total = sum(phase.steps for phase in phases) - state.step
    with StopRequest() as stop:
        for figures in progress.track(steps, description="training", total=total):
            if log is not None:
                log.append(figures)
            if time.monotonic() - last_save >= SAVE_INTERVAL_SECONDS:
                save()
                last_save = time.monotonic()
            if group.any(stop.heard, state.sam.device):
                break
        save()


if __name__ == "__main__":
    main()
