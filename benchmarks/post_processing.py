"""From low-resolution logits to boxes, scores and run lengths, and clean-up: the official functions against ours.

    python benchmarks/post_processing.py

No network runs: both are given the same blobs (`standing_in`) for 64 points of an image, with the official thresholds.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry
from segment_anything.utils.amg import coco_encode_rle, mask_to_rle_pytorch, remove_small_regions
from standing_in import StandIn

from sa_pipeline.generation.stable_masks import StableMasks, measure_stable_masks
from sa_pipeline.masks.cleanup import clean_runs
from sa_pipeline.masks.crops import Crop
from sa_pipeline.masks.point_grids import build_point_grid
from sa_pipeline.masks.rle import counts_to_mask, decode_counts, encode_counts, mask_to_counts
from sa_pipeline.settings import MaskSettings

POINTS_PER_SIDE = 8
MIN_AREA = 100
"""Of holes and islands that stay, px, as in the preset `sa1b`."""

Ours = TypeVar("Ours")
Theirs = TypeVar("Theirs")


class NoDecoder(torch.nn.Module):
    """Blobs without any work."""

    def __init__(self, logits: torch.Tensor, scores: torch.Tensor) -> None:
        super().__init__()
        self.outcome = logits, scores

    def forward(self, **_inputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns what it was given."""
        return self.outcome


def main() -> None:
    """Prints the medians, their ratio, and whether everything is equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=2250)
    parser.add_argument("--height", type=int, default=1500)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    size = arguments.height, arguments.width
    settings = MaskSettings(points_per_side=POINTS_PER_SIDE)
    stand_in = StandIn(size, settings)
    points = stand_in.take(POINTS_PER_SIDE**2)
    logits, scores = stand_in.logits(list(points)), stand_in.scores(points)
    sam = sam_model_registry["vit_b"]().eval()
    sam.mask_decoder = NoDecoder(logits, scores)
    generator = SamAutomaticMaskGenerator(sam)
    generator.predictor.features = torch.zeros(1, 256, 64, 64)
    generator.predictor.is_image_set = True
    generator.predictor.original_size = size
    generator.predictor.input_size = generator.predictor.transform.get_preprocess_shape(*size, 1024)
    grid = build_point_grid(POINTS_PER_SIDE) * np.array(size)[None, ::-1]

    def official() -> Any:
        return generator._process_batch(grid, size, [0, 0, size[1], size[0]], size)

    def ours() -> StableMasks:
        confident = scores.flatten() > settings.pred_iou_thresh
        crop = Crop(0, 0, (0, 0, size[1], size[0]))
        return measure_stable_masks(sam, logits.flatten(0, 1)[confident], crop, size, settings)

    print(f"{size[1]} x {size[0]}, {3 * len(points)} masks, {int((scores > 0.88).sum())} above 0.88, ", end="")
    print(f"{arguments.threads} threads")
    measured, generated = _race("measure", official, ours, arguments.pairs)
    print(_compare(measured, generated, size))

    specked = [_with_specks(counts, size, number) for number, counts in enumerate(measured.counts)]

    def official_clean_up() -> list[str]:
        return [_officially_cleaned(counts, size) for counts in specked]

    def our_clean_up() -> list[str]:
        return [encode_counts(clean_runs(decode_counts(counts), size[0], MIN_AREA).runs) for counts in specked]

    cleaned, officially = _race("clean up", official_clean_up, our_clean_up, arguments.pairs)
    print(f"{len(cleaned)} masks cleaned up: {'all equal' if cleaned == officially else 'NOT EQUAL'}")


def _race(step: str, official: Callable[[], Theirs], ours: Callable[[], Ours], pairs: int) -> tuple[Ours, Theirs]:
    """Prints medians of both in turns and their ratio, and returns what they found."""
    ours()
    times: dict[Callable[[], Any], list[tuple[float, float]]] = {official: [], ours: []}
    outcome: dict[Callable[[], Any], Any] = {}
    for _ in range(pairs):
        for way, spent in times.items():
            wall, cpu = time.perf_counter(), time.process_time()
            outcome[way] = way()
            spent.append((time.perf_counter() - wall, time.process_time() - cpu))
    for name, spent in zip(("official", "ours"), times.values(), strict=True):
        wall, cpu = (statistics.median(column) for column in zip(*spent, strict=True))
        print(f"{step}, {name:<9} {wall:8.3f} s wall {cpu:8.3f} s CPU")
    both = list(zip(times[official], times[ours], strict=True))
    ratios = [statistics.median(theirs[i] / mine[i] for theirs, mine in both) for i in (0, 1)]
    print(f"{step}: {ratios[0]:.0f} x wall, {ratios[1]:.0f} x CPU")
    return outcome[ours], outcome[official]


def _with_specks(counts: str, size: tuple[int, int], seed: int) -> str:
    """The mask with some dozen holes and islands of 1 to 300 px."""
    mask = counts_to_mask(counts, size)
    rng = np.random.default_rng(seed)
    for _ in range(40):
        row, column, height, width = (
            int(rng.integers(low, high)) for low, high in ((0, size[0]), (0, size[1]), (1, 18), (1, 18))
        )
        mask[row : row + height, column : column + width] ^= True
    return mask_to_counts(mask)


def _officially_cleaned(counts: str, size: tuple[int, int]) -> str:
    """As `SamAutomaticMaskGenerator.postprocess_small_regions` does it."""
    mask, _ = remove_small_regions(counts_to_mask(counts, size), MIN_AREA, mode="holes")
    mask, _ = remove_small_regions(mask, MIN_AREA, mode="islands")
    return str(coco_encode_rle(mask_to_rle_pytorch(torch.as_tensor(mask)[None])[0])["counts"])


def _compare(ours: StableMasks, official: Any, size: tuple[int, int]) -> str:
    same = (
        np.array_equal(ours.boxes, official["boxes"].numpy())
        and np.array_equal(ours.stability_scores, official["stability_score"].numpy())
        and ours.counts == [coco_encode_rle(rle)["counts"] for rle in official["rles"]]
    )
    return f"{len(ours.counts)} masks of {size}: {'all fields equal' if same else 'NOT EQUAL'}"


if __name__ == "__main__":
    main()
