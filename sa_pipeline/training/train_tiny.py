"""Trains the built-in checkpoint `tiny` on drawn scenes: `python -m sa_pipeline.training.train_tiny --output DIR`."""

import argparse
import csv
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from sa_pipeline.training.export import export_weights
from sa_pipeline.training.loop import TrainSettings, TrainState, load_state, new_state, save_state, train

SAVE_INTERVAL_SECONDS = 180.0
LOG_INTERVAL_STEPS = 20


def main() -> None:
    """Parses the command line and trains for the asked time."""
    defaults = TrainSettings()
    parser = argparse.ArgumentParser(prog="sa_pipeline.training.train_tiny", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of state.pt, tiny.safetensors and log.csv")
    parser.add_argument("--minutes", type=float, required=True, help="how long to train")
    parser.add_argument("--resume", action="store_true", help="go on from state.pt in the output folder")
    parser.add_argument("--export", type=Path, help="another file to write the weights to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--input-size", type=int, default=defaults.input_size, help="side of the scenes in px")
    parser.add_argument("--images", type=int, default=defaults.images, help="scenes a step")
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    given = parser.parse_args()
    settings = replace(defaults, input_size=given.input_size, images=given.images, learning_rate=given.learning_rate)
    given.output.mkdir(parents=True, exist_ok=True)
    state = load_state(given.output / "state.pt") if given.resume else new_state(given.seed)
    exports = [given.output / "tiny.safetensors"] + ([given.export] if given.export else [])
    train_for(state, settings, given.minutes * 60.0, given.output, exports)


def train_for(state: TrainState, settings: TrainSettings, seconds: float, output: Path, exports: list[Path]) -> None:
    """Trains for `seconds`, saving state and weights every three minutes and at the end."""
    started = last_save = time.monotonic()
    window: list[dict[str, float]] = []
    for result in train(state, settings):
        window.append(result)
        now = time.monotonic()
        if state.step % LOG_INTERVAL_STEPS == 0:
            _log(output / "log.csv", window, (now - started) / 60.0)
            window = []
        finished = now - started >= seconds
        if finished or now - last_save >= SAVE_INTERVAL_SECONDS:
            last_save = now
            save_state(state, output / "state.pt")
            for path in exports:
                export_weights(state, path)
        if finished:
            return


def _log(path: Path, window: list[dict[str, float]], minutes: float) -> None:
    row = {"minutes": round(minutes, 2)}
    for key in window[0]:
        known = [result[key] for result in window if not np.isnan(result[key])]
        row[key] = round(float(np.mean(known)), 4) if known else float("nan")
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
    torch.set_num_threads(1)
    main()
