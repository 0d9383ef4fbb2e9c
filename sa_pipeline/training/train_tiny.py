"""Trains the built-in checkpoint `tiny`: `python -m sa_pipeline.training.train_tiny --scenes DIR --output DIR`.

Under `torchrun --nproc-per-node=N` each step's scenes are spread over N processes.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from sa_pipeline.annotated.sa1b_tars import Sa1bSource
from sa_pipeline.progress import SilentProgress, TerminalProgress
from sa_pipeline.sam.instructions import is_imitated
from sa_pipeline.sam.tiny import IMAGE_SIZE, build_tiny
from sa_pipeline.training.distributed import Group, joined_group
from sa_pipeline.training.embedded import EmbeddedSamples
from sa_pipeline.training.export import export_weights
from sa_pipeline.training.initial_weights import bind_decoder
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
from sa_pipeline.training.samples import AnnotatedScenes
from sa_pipeline.training.stopping import StopRequest
from sa_pipeline.training.training_log import TrainingLog

SAVE_INTERVAL_SECONDS = 180.0

OPTIMIZER = OptimizerSettings(weight_decay=0.02, warmup_steps=50, average_decay=0.995)

DIALOGUE = InteractionSettings(
    prompts=24,
    box_share=0.1,
    corrections=2,
    repeats=0,
    nested=True,
    focal_weight=TINY_FOCAL_WEIGHT,
    trust_predicted_iou=True,
    one_for_boxes=True,
)

TRAINED = ("mask_decoder.iou_prediction_head.",)
"""Masks are drawn as `initial_weights` has it: what is learned is which regions are worth it."""

EMBEDDED_SAMPLES = 300
"""Encoding one takes about as long as a step."""

STEPS = 800


def tiny_phases(scenes: Sequence[Path], embeddings: Path) -> list[Phase]:
    """One: the predicted IoU, on embeddings that are computed once; corrections in every fourth step."""
    shards = AnnotatedScenes(Sa1bSource(scenes), weighted=True)
    kept = EmbeddedSamples(embeddings, shards, EMBEDDED_SAMPLES)
    return [
        Phase(
            STEPS,
            IMAGE_SIZE,
            4,
            shards,
            DIALOGUE,
            3e-3,
            final_share=0.02,
            correct_every=4,
            independent_images=True,
            embedded=kept,
            only=TRAINED,
        )
    ]


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
        bind_decoder(sam)
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

    dtype = torch.float32 if is_imitated(torch.bfloat16, state.sam.device) else torch.bfloat16
    steps = train(state, phases, OPTIMIZER, dtype, workers=1, group=group)
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
