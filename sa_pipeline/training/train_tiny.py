"""Trains the built-in checkpoint `tiny`: `python -m sa_pipeline.training.train_tiny --scenes DIR --output DIR`."""

import argparse
import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from segment_anything.modeling import Sam

from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.training.export import export_weights
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
from sa_pipeline.training.samples import DrawnSource, ShardSource

SAVE_INTERVAL_SECONDS = 180.0
LOG_INTERVAL_STEPS = 20

POSITION_GAIN = 2.0
"""How sharply attention follows position at the start; 1 leaves it nearly uniform over the image."""

OPTIMIZER = OptimizerSettings(weight_decay=0.02, warmup_steps=100, average_decay=0.995)


def tiny_phases(scenes: Sequence[Path]) -> list[Phase]:
    """From flat drawn scenes, where a click learns to have an effect, to scenes and photographs at full resolution."""
    shards = ShardSource(scenes)
    clicks = InteractionSettings(prompts=16, box_share=0.2, corrections=0, repeats=0, nested=True)
    dialogue = InteractionSettings(prompts=16, box_share=0.2, corrections=2, repeats=0, nested=True)
    return [
        Phase(200, 256, 8, DrawnSource(256, difficulty=0.0), clicks, learning_rate=8e-4, augment=False),
        Phase(1300, 256, 8, shards, dialogue, learning_rate=6e-4, final_share=0.6, correct_every=4),
        Phase(480, 512, 4, shards, dialogue, learning_rate=4e-4, final_share=0.02, correct_every=4),
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
    torch.manual_seed(given.seed)
    sam = build_tiny()
    bind_positions(sam)
    state = new_state(sam, OPTIMIZER, given.seed)
    if (given.output / "state.pt").exists():
        restore_state(state, given.output / "state.pt")
    phases = tiny_phases(sorted(given.scenes.glob("*.tar")))
    _train(state, phases, given.output, [given.output / "tiny.safetensors", *([given.export] if given.export else [])])


def bind_positions(sam: Sam) -> None:
    """Starts the decoder's attention between tokens and image cells at the similarity of their positions.

    Queries and keys get the same projection, so that their product is that of the positional encodings: a
    click then finds its place in the image from the first step. From independent projections this takes
    hundreds of steps in which no prompt has any effect.
    """
    transformer = sam.mask_decoder.transformer
    attentions = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        attentions += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    with torch.no_grad():
        for attention in attentions:
            attention.q_proj.weight.mul_(POSITION_GAIN)
            attention.k_proj.weight.copy_(attention.q_proj.weight)


def _train(state: TrainState, phases: Sequence[Phase], output: Path, exports: Sequence[Path]) -> None:
    started = last_save = time.monotonic()
    window: list[dict[str, float]] = []
    for result in train(state, phases, OPTIMIZER, torch.bfloat16, workers=1):
        window.append(result)
        if state.step % LOG_INTERVAL_STEPS == 0:
            _log(output / "log.csv", window, (time.monotonic() - started) / 60.0)
            window = []
        if time.monotonic() - last_save >= SAVE_INTERVAL_SECONDS:
            last_save = time.monotonic()
            _save(state, output, exports)
    _save(state, output, exports)


def _save(state: TrainState, output: Path, exports: Sequence[Path]) -> None:
    save_state(state, output / "state.pt")
    for path in exports:
        export_weights(state, path)


def _log(path: Path, window: list[dict[str, float]], minutes: float) -> None:
    row = {"minutes": round(minutes, 2)}
    for key in window[0]:
        known = [result[key] for result in window if not np.isnan(result[key])]
        row[key] = round(float(np.mean(known)), 6) if known else float("nan")
    row["step"] = int(window[-1]["step"])
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
    sys.stdout.write(" ".join(f"{key}={value}" for key, value in row.items()) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
