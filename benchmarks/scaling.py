"""How time and memory grow with points, image size, crop layers and masks: `tiny`, float32; plots into docs/images.

    python benchmarks/scaling.py --output docs/images/scaling.png

CPU seconds of all threads, so that other work on the machine does not bend the lines, and the peak of the resident set
above what lies there before the image (Linux). Each number is from a process of its own.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
from peak_memory import PeakMemory

mpl.use("agg")
from matplotlib import pyplot as plt

POINTS_PER_SIDE = (8, 16, 32, 64)
SIZES = ((640, 480), (1280, 960), (2000, 1500), (2828, 2121), (4000, 3000))
"""Width and height: 0.3 to 12 megapixels."""
LAYERS = (0, 1, 2)
IOU_THRESHOLDS = (0.9, 0.4, 0.25, 0.1, 0.0)
"""Of `tiny`'s predicted IoU: none of the masks to all of them are drawn and measured."""

SERIES: dict[str, list[tuple[float | None, dict[str, Any]]]] = {
    "points": [(n * n, {"size": SIZES[0], "points_per_side": n}) for n in POINTS_PER_SIDE],
    "megapixels": [(w * h / 1e6, {"size": (w, h), "points_per_side": 16}) for w, h in SIZES],
    "crop layers": [(n, {"size": SIZES[2], "points_per_side": 16, "crop_n_layers": n}) for n in LAYERS],
    "masks drawn of 3,072": [
        (None, {"size": SIZES[2], "points_per_side": 32, "pred_iou_thresh": t, "stability_score_thresh": 0.0})
        for t in IOU_THRESHOLDS
    ],
}
"""What is varied: where a run stands on the axis, None for the masks it drew, and its settings."""


def main() -> None:
    """Measures, prints the tables and draws them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("scaling.png"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(_measure(arguments.rounds, **arguments.measure)))
        return
    figure, axes = plt.subplots(2, len(SERIES), figsize=(4 * len(SERIES), 6), layout="constrained", squeeze=False)
    for column, (name, runs) in zip(axes.T, SERIES.items(), strict=True):
        print(f"\n| {name} | CPU s | peak MB | masks |\n|---|---|---|---|")
        measured = [(x, _in_a_fresh_process(settings, arguments.rounds)) for x, settings in runs]
        places = [each["drawn"] if x is None else x for x, each in measured]
        for x, (_, each) in zip(places, measured, strict=True):
            print(f"| {x:g} | {each['seconds']:.2f} | {each['peak_mb']} | {each['masks']} |", flush=True)
        for axis, key, label in zip(column, ("seconds", "peak_mb"), ("CPU seconds", "peak MB"), strict=True):
            axis.plot(places, [each[key] for _, each in measured], marker="o")
            axis.set(xlabel=name, ylabel=f"{label} an image", ylim=(0, None))
            axis.grid(alpha=0.3)
    figure.savefig(arguments.output, dpi=110)


def _in_a_fresh_process(settings: dict[str, Any], rounds: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--rounds", str(rounds), "--measure", json.dumps(settings)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()[-1])


def _measure(rounds: int, size: tuple[int, int], **changes: Any) -> dict[str, Any]:
    """The least CPU seconds of an image, its peak memory in MB, and how many masks were drawn and came out."""
    import cv2
    import numpy as np
    import skimage.data

    from sa_pipeline.allocator import keep_freed_memory
    from sa_pipeline.generation.candidates import propose_masks
    from sa_pipeline.generation.deduplication import deduplicate_masks, exported_rows
    from sa_pipeline.generation.generate import generate_masks
    from sa_pipeline.generation.verdicts import judge_candidates
    from sa_pipeline.sam.registry import load_checkpoint
    from sa_pipeline.settings import Arithmetic, MaskSettings, preset

    keep_freed_memory()
    sam = load_checkpoint("tiny")
    image = np.ascontiguousarray(cv2.resize(skimage.data.astronaut(), tuple(size), interpolation=cv2.INTER_CUBIC))
    thresholds = preset("fast").masks.model_dump(include={"pred_iou_thresh", "stability_score_thresh"})
    settings = MaskSettings(**{"crop_n_points_downscale_factor": 2} | thresholds | changes)
    generate_masks(image[:96, :128], sam, settings, arithmetic=Arithmetic.FLOAT32)
    peak = PeakMemory()
    spent, drawn, masks = [], 0, 0
    for _ in range(rounds):
        started = time.process_time()
        proposals = propose_masks(image, sam, settings, arithmetic=Arithmetic.FLOAT32)
        found = deduplicate_masks(proposals.candidates, judge_candidates(proposals.candidates, settings), settings)
        masks = len(list(exported_rows(found)))
        spent.append(time.process_time() - started)
        drawn = proposals.counts["proposals"] - proposals.counts["below_predicted_iou_floor"]
    return {
        "seconds": min(spent),
        "peak_mb": peak.kib() // 1000,
        "drawn": drawn,
        "masks": masks,
    }


if __name__ == "__main__":
    main()
