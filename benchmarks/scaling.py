"""How time grows with points, image size and crop layers: `tiny`, float32; plots into docs/images.

    python benchmarks/scaling.py --output docs/images/scaling.png

CPU seconds of all threads, so that other work on the machine does not bend the lines.
"""

import argparse
import time
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import skimage.data
import torch
from segment_anything.modeling import Sam

mpl.use("agg")
from matplotlib import pyplot as plt

from sa_pipeline.allocator import keep_freed_memory
from sa_pipeline.generation.generate import generate_masks
from sa_pipeline.sam.registry import load_checkpoint
from sa_pipeline.settings import MaskSettings, preset

POINTS_PER_SIDE = (8, 16, 32, 64)
SIZES = ((640, 480), (1280, 960), (2000, 1500), (2828, 2121), (4000, 3000))
"""Width and height: 0.3 to 12 megapixels."""
LAYERS = (0, 1, 2)


def main() -> None:
    """Measures, prints a table and draws it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("scaling.png"))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    keep_freed_memory()
    sam = load_checkpoint("tiny")
    _seconds(sam, SIZES[0], {"points_per_side": 4}, 1)
    series = {
        "points": [(n * n, _seconds(sam, SIZES[0], {"points_per_side": n}, arguments.rounds)) for n in POINTS_PER_SIDE],
        "megapixels": [
            (w * h / 1e6, _seconds(sam, (w, h), {"points_per_side": 16}, arguments.rounds)) for w, h in SIZES
        ],
        "crop layers": [
            (n, _seconds(sam, SIZES[2], {"points_per_side": 16, "crop_n_layers": n}, arguments.rounds)) for n in LAYERS
        ],
    }
    figure, axes = plt.subplots(1, len(series), figsize=(12, 3.6), layout="constrained")
    for axis, (name, values) in zip(axes, series.items(), strict=True):
        print(f"\n| {name} | CPU s | masks |\n|---|---|---|")
        for x, (seconds, masks) in values:
            print(f"| {x:g} | {seconds:.2f} | {masks} |")
        axis.plot([x for x, _ in values], [seconds for _, (seconds, _) in values], marker="o")
        axis.set(xlabel=name, ylabel="CPU seconds an image", ylim=(0, None))
        axis.grid(alpha=0.3)
    figure.savefig(arguments.output, dpi=110)


def _seconds(sam: Sam, size: tuple[int, int], settings: dict[str, int], rounds: int) -> tuple[float, int]:
    image = np.ascontiguousarray(cv2.resize(skimage.data.astronaut(), size, interpolation=cv2.INTER_CUBIC))
    thresholds = preset("fast").masks.model_dump(include={"pred_iou_thresh", "stability_score_thresh"})
    chosen = MaskSettings(**settings, crop_n_points_downscale_factor=2, **thresholds)
    spent = []
    masks = 0
    for _ in range(rounds):
        started = time.process_time()
        masks = len(generate_masks(image, sam, chosen, arithmetic="float32"))
        spent.append(time.process_time() - started)
    return min(spent), masks


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
