"""Retrains ViT-B, from an official-format checkpoint of random weights, for a few real steps on the CPU.

    python benchmarks/retrain_vit_b.py --output DIR [--steps 3] [--precision bfloat16]

One photograph of scikit-image at 1024 px, two prompts of two rounds a step. Prints the loss of each step, and loads
what was saved into the unmodified `segment_anything`. Blocks are recomputed, so that 5 GB of memory are enough.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch
from segment_anything import sam_model_registry

from sa_pipeline.annotated.opening import open_annotated
from sa_pipeline.progress import TerminalProgress
from sa_pipeline.sam.registry import load_model
from sa_pipeline.training.retrain import retrain
from sa_pipeline.training.samples import AnnotatedScenes
from sa_pipeline.training.settings import TrainingSettings


def main() -> None:
    """Parses the command line, trains, and prints what happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder; a later call goes on with it")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    start = sam_model_registry["vit_b"]().state_dict()
    torch.save(start, given.output / "random.pth")
    settings = TrainingSettings(
        steps=given.steps,
        images=1,
        masks=2,
        corrections=1,
        repeats=0,
        learning_rate=2e-4,
        learning_rate_images=None,
        precision=given.precision,
        recompute=True,
        save_seconds=0,
    )
    model = load_model(str(given.output / "random.pth"))
    run = given.output / "run"
    outcome = retrain(model, _one_photograph(given.output), "cat", settings, run, TerminalProgress())
    rows = np.genfromtxt(run / "log.csv", delimiter=",", names=True)
    print("mask loss of each step:", *(f"{loss:.3f}" for loss in rows["mask_loss"]))
    loaded = sam_model_registry["vit_b"](checkpoint=str(outcome.weights)).state_dict()
    moved = sum(not torch.equal(loaded[key], value) for key, value in start.items())
    print(f"segment_anything loads {outcome.weights}; {moved} of its {len(start)} tensors have moved")


def _one_photograph(folder: Path) -> AnnotatedScenes:
    for kind in ("images", "labels"):
        (folder / kind).mkdir(exist_ok=True)
    photograph = skimage.data.chelsea()
    labels = np.zeros(photograph.shape[:2], np.uint8)
    labels[60:240, 100:320], labels[100:140, 150:200] = 1, 2
    cv2.imwrite(str(folder / "images" / "cat.png"), photograph[..., ::-1])
    cv2.imwrite(str(folder / "labels" / "cat.png"), labels)
    return AnnotatedScenes(open_annotated(folder / "images", folder / "labels"))


if __name__ == "__main__":
    main()
