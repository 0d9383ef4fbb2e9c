"""The automatic stage against `segment_anything.SamAutomaticMaskGenerator`: one process, one model, one image.

    python benchmarks/automatic_stage.py                                # tiny on a photograph of 640 x 480
    python benchmarks/automatic_stage.py --model vit_b --width 2250 --height 1500 --points-per-side 32

The two are run in turn, so that whatever else the machine does hits both. Wall-clock seconds and the CPU seconds of
all threads are told; on a machine that is shared, only the latter compare. Without `--keep-memory`, both have the
allocator as it is installed, as in a notebook; with `ours`, ours has the settings of `sa-pipeline`'s processes and the
official generator runs as its users run it; with `both`, it has them as well. Peak memory is measured in a process for
each. Seconds by step are those of the last round; operations are those of our products with every point drawn, and
GFLOP/s those of all threads.
"""

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
import torch
from peak_memory import PeakMemory
from pycocotools import mask as coco_mask
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry
from segment_anything.modeling import Sam
from standing_in import StandIn, official_stands_in, ours_stands_in
from steps import arithmetics_of_this_cpu, matrix_speed, operations, timing

from sa_pipeline.allocator import M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, keep_freed_memory
from sa_pipeline.generation.generate import generate_masks
from sa_pipeline.masks.crops import generate_crops
from sa_pipeline.sam.inference import compute_dtype, encode_image
from sa_pipeline.sam.point_decoding import open_decoder
from sa_pipeline.sam.registry import load_checkpoint
from sa_pipeline.settings import Arithmetic, Granularity, MaskSettings, preset

ALLOCATORS = {None: "default allocator", "ours": "memory kept by ours", "both": "memory kept by both"}


class Contest:
    """The model, the image, and the ways to make masks of it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        torch.set_num_threads(arguments.threads)
        if arguments.keep_memory == "both":
            keep_freed_memory()
        self.keep_ours, self._kept = arguments.keep_memory == "ours", False
        self.settings = _settings(arguments)
        self.image = _photograph(arguments.image, arguments.width, arguments.height)
        self.sam = _model(arguments.model).requires_grad_(False)
        self.stand_in = None if arguments.model == "tiny" else StandIn(self.image.shape[:2], self.settings)

    def official(self) -> list[dict[str, Any]]:
        """The masks of the official generator."""
        names = set(vars(SamAutomaticMaskGenerator(self.sam))) & set(MaskSettings.model_fields)
        generator = SamAutomaticMaskGenerator(
            self.sam,
            output_mode="coco_rle",
            points_per_side=self.settings.points_per_side,
            **self.settings.model_dump(include=names),
        )
        if self._kept:
            give_back_freed_memory()
        if self.stand_in is None:
            return generator.generate(self.image)
        with official_stands_in(self.sam, self.stand_in):
            return generator.generate(self.image)

    def ours(self, arithmetic: Arithmetic) -> list[Any]:
        """Our masks."""
        if self.keep_ours:
            self._kept = keep_freed_memory()
        if self.stand_in is None:
            return generate_masks(self.image, self.sam, self.settings, arithmetic=arithmetic)
        with ours_stands_in(self.stand_in):
            return generate_masks(self.image, self.sam, self.settings, arithmetic=arithmetic)

    def warm_up(self, arithmetics: list[Arithmetic]) -> None:
        """Compiles what is compiled at the first call, and compares our decoder with the official one."""
        small = np.ascontiguousarray(self.image[:96, :128])
        embedding = encode_image(self.sam, small)
        for arithmetic in arithmetics:
            for count in {min(64, self.settings.points_per_side**2), 64}:
                points = np.random.default_rng(0).uniform(0, 96, (count, 2))
                open_decoder(self.sam, embedding, arithmetic).decode(points, (96, 128), 1e-6)
        tiny = load_checkpoint("tiny")
        generate_masks(small, tiny, MaskSettings(points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0))


def give_back_freed_memory() -> None:
    """Sets glibc's allocator to where its own rule has come once an array of 32 MiB was freed, and empties it.

    That rule, which raises the threshold from which on arrays are given back with the sizes that are freed, is off for
    the rest of the process as soon as a threshold is set.
    """
    library = ctypes.CDLL(None)
    library.mallopt(M_MMAP_THRESHOLD, 32 << 20)
    library.mallopt(M_TRIM_THRESHOLD, 64 << 20)
    library.malloc_trim(0)


def _settings(arguments: argparse.Namespace) -> MaskSettings:
    thresholds = thresholds_of_tiny() if arguments.model == "tiny" else {}
    if arguments.preset is not None:
        return preset(arguments.preset).masks.model_copy(update=thresholds)
    return MaskSettings(
        points_per_side=arguments.points_per_side,
        crop_n_layers=arguments.crop_layers,
        crop_n_points_downscale_factor=arguments.crop_n_points_downscale_factor,
        **thresholds,
    )


def thresholds_of_tiny() -> dict[str, float]:
    """Those of the preset that is made for it."""
    names = {"pred_iou_thresh", "stability_score_thresh", "pred_iou_floor", "stability_score_floor"}
    return preset("fast").masks.model_dump(include=names)


def main() -> None:
    """Prints one line for each way."""
    arguments = _arguments()
    arithmetics = [Arithmetic(name) for name in arguments.arithmetic]
    contest = Contest(arguments)
    if arguments.peak is not None:
        _print_peak(contest, arguments.peak)
        return
    contest.warm_up(arithmetics)
    height, width = contest.image.shape[:2]
    print(
        f"{arguments.model}, {width} x {height}, {contest.settings.proposals_per_image // 3} points, "
        f"{arguments.threads} threads, torch {torch.__version__}, "
        f"{ALLOCATORS[arguments.keep_memory]}, {arguments.pairs} rounds"
    )
    ways: dict[str, Callable[[], list[Any]]] = {"official": contest.official}
    ways |= {arithmetic.value: (lambda each=arithmetic: contest.ours(each)) for arithmetic in arithmetics}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    masks: dict[str, list[Any]] = {}
    steps: dict[str, Counter[str]] = {}
    for _ in range(arguments.pairs):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            with timing(contest.sam, official=name == "official") as steps[name]:
                masks[name] = way()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
            print(f"{name}: {times[name][-1][0]:.1f} s", file=sys.stderr, flush=True)
    for name in ways:
        wall, cpu = (statistics.median(column) for column in zip(*times[name], strict=True))
        line = f"{name:<10} {wall:8.2f} s wall {cpu:8.2f} s CPU"
        if name != "official":
            pairs = list(zip(times["official"], times[name], strict=True))
            ratios = [statistics.median(theirs[i] / ours[i] for theirs, ours in pairs) for i in (0, 1)]
            line += f"  {ratios[0]:5.1f} x wall {ratios[1]:5.1f} x CPU  {_agreement(masks[name], masks['official'])}"
        print(line, f" peak {_peak(name)} MB above the model" if arguments.memory else "", flush=True)
    for name in ways:
        print(f"{name:<10}", _by_step(contest, name, steps[name]), flush=True)
    for dtype in dict.fromkeys(compute_dtype(contest.sam.device, arithmetic) for arithmetic in arithmetics):
        print(f"a product of {dtype} matrices in this run: {matrix_speed(dtype) / 1e9:.0f} GFLOP/s")


def _by_step(contest: Contest, name: str, steps: Counter[str]) -> str:
    settings = contest.settings
    crops = generate_crops(contest.image.shape[:2], settings.crop_n_layers, settings.crop_overlap_ratio)
    times = {"encode": len(crops), "decode": settings.proposals_per_image // len(Granularity)}
    points = np.random.default_rng(0).uniform(0, 96, (min(64, settings.points_per_batch), 2))
    needed = {} if name == "official" else operations(contest.sam, contest.image, points, Arithmetic(name))
    told = []
    for step, seconds in steps.items():
        text = f"{step} {seconds:.2f} s"
        if step in needed:
            count = needed[step] * times[step]
            text += f" ({count / 1e12:.2f} T operations, {count / seconds / 1e9:.0f} GFLOP/s)"
        told.append(text)
    return ", ".join(told)


def _agreement(ours: list[Any], official: list[Any]) -> str:
    identical = sum(mine == theirs for mine, theirs in zip(ours, official, strict=False))
    if identical == len(official) == len(ours):
        return f"all {identical} masks identical, in the same order"
    overlaps = []
    for mine in ours:
        twins = [each for each in official if each["crop_box"] == mine["crop_box"] and _same_point(each, mine)]
        overlaps.append(max((_iou(mine, twin) for twin in twins), default=0.0))
    found = [overlap for overlap in overlaps if overlap > 0.5]
    close = sum(overlap >= 0.999 for overlap in found)
    return (
        f"{len(ours)} masks, official {len(official)}; {len(found)} have a twin of the same point, mean IoU "
        f"{np.mean(found or [0]):.5f}, {close} of them >= 0.999"
    )


def _same_point(mine: Any, theirs: Any) -> bool:
    return mine["point_coords"] == theirs["point_coords"]


def _iou(mine: Any, theirs: Any) -> float:
    return float(coco_mask.iou([mine["segmentation"]], [theirs["segmentation"]], [False])[0, 0])


def _peak(name: str) -> str:
    command = [sys.executable, __file__, *sys.argv[1:], "--peak", name]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()[-1])


def _print_peak(contest: Contest, name: str) -> None:
    """Peak of the resident memory during one image, above what lies there before."""
    contest.warm_up([] if name == "official" else [Arithmetic(name)])
    peak = PeakMemory()
    if name == "official":
        contest.official()
    else:
        contest.ours(Arithmetic(name))
    print(json.dumps(peak.kib() // 1024))


def _photograph(path: Path | None, width: int, height: int) -> np.ndarray:
    image = skimage.data.astronaut() if path is None else cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))


def _model(name: str) -> Sam:
    if name == "tiny":
        return load_checkpoint("tiny")
    torch.manual_seed(0)
    return sam_model_registry[name]().eval()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", choices=["tiny", "vit_b", "vit_l", "vit_h"])
    parser.add_argument("--image", type=Path, help="a photograph; default: scikit-image's astronaut")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument(
        "--preset",
        choices=["fast", "sa1b"],
        help="its settings, for tiny with the thresholds of fast; the official code has not all of them",
    )
    parser.add_argument("--points-per-side", type=int, default=16)
    parser.add_argument("--crop-layers", type=int, default=0)
    parser.add_argument(
        "--crop-n-points-downscale-factor", type=int, default=2, help="2 as in the paper; 1: official default"
    )
    parser.add_argument("--arithmetic", nargs="+", default=arithmetics_of_this_cpu())
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--keep-memory", choices=["ours", "both"], help="default: the allocator as installed for both")
    parser.add_argument("--memory", action="store_true", help="also measure peak memory, in a process for each")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
