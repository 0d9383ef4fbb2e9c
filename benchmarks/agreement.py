"""How far another arithmetic's masks are from those of `reference`, over many photographs, and why some lack a twin.

    python benchmarks/agreement.py --images PHOTOS --count 20 [--points-per-side 32] [--crop-layers 1]

`reference` gives the official generator's masks bit for bit; the built-in `tiny` has the weights, trained, so that its
scores lie as near to thresholds as those of a model in use do. A mask's twin is that of the same crop, point and
granularity. A mask that only one of the two exports is told with what decided about it there, and with how far the
scores that decided lay from the threshold or from each other.
"""

import argparse
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from automatic_stage import thresholds_of_tiny
from pycocotools import mask as coco_mask
from segment_anything.modeling import Sam
from steps import arithmetics_of_this_cpu
from tqdm import tqdm

from sa_pipeline.evaluation.overlaps import pairwise_ious
from sa_pipeline.generation.candidates import propose_masks
from sa_pipeline.generation.deduplication import deduplicate_masks
from sa_pipeline.generation.verdicts import FilterRule, judge_candidates
from sa_pipeline.sam.official_sort import sort_as_torch
from sa_pipeline.sam.registry import load_checkpoint
from sa_pipeline.settings import Arithmetic, MaskSettings

SCORES = ("predicted_iou", "stability_score")
DROPPED_WITH_ANOTHER = "duplicate of a mask that is itself exported by one of the two alone"
HIGHER_SCORE = "of two duplicates the other had the higher score"
BELOW_THE_FLOOR = "fell below the floors"


def main() -> None:
    """Prints a table's row and the reasons for each arithmetic."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--crop-layers", type=int, default=0)
    parser.add_argument("--arithmetic", nargs="+", default=arithmetics_of_this_cpu()[1:])
    arguments = parser.parse_args()
    sam = load_checkpoint("tiny")
    settings = MaskSettings(
        points_per_side=arguments.points_per_side,
        crop_n_layers=arguments.crop_layers,
        crop_n_points_downscale_factor=2,
        **thresholds_of_tiny(),  # its floors keep what falls below a threshold, with the scores it falls by
    )
    paths = sorted(path for path in arguments.images.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    totals = {name: Agreement() for name in arguments.arithmetic}
    for path in tqdm(paths[: arguments.count], unit="image"):
        image = np.ascontiguousarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))
        reference = rows_of(image, sam, settings, Arithmetic.REFERENCE)
        for name, total in totals.items():
            total.add(reference, rows_of(image, sam, settings, Arithmetic(name)), settings)
    for name, total in totals.items():
        print(f"{name}: {total}")


def rows_of(image: np.ndarray, sam: Sam, settings: MaskSettings, arithmetic: Arithmetic) -> dict[int, dict[str, Any]]:
    """Each candidate of an image by its id, which is the same in every arithmetic, with what became of it."""
    candidates = propose_masks(image, sam, settings, arithmetic=arithmetic).candidates
    verdicts = judge_candidates(candidates, settings)
    sort = sort_as_torch if arithmetic is Arithmetic.REFERENCE else None
    masks = deduplicate_masks(candidates, verdicts, settings, official_sort=sort)
    columns = ["mask_id", "predicted_iou", "stability_score", "bbox", "crop_box", "size", "counts"]
    rows = {row["mask_id"]: row for row in candidates.select(columns).to_pylist()}
    for judged in (
        verdicts.select(["mask_id", "kept", "dropped_by"]),
        masks.select(["mask_id", "kept", "dropped_by", "suppressed_by"]),
    ):
        for row in judged.to_pylist():
            rows[row["mask_id"]] |= row
    return rows


@dataclass
class Agreement:
    """Two arithmetics' masks, counted over images."""

    reference: int = 0
    ours: int = 0
    overlaps: list[float] = field(default_factory=list)
    differences: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SCORES, 0.0))
    replaced: list[float] = field(default_factory=list)
    """IoU of each mask that was lost to a duplicate with the mask that is exported in its place."""
    reasons: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(
        self, reference: dict[int, dict[str, Any]], ours: dict[int, dict[str, Any]], settings: MaskSettings
    ) -> None:
        """Counts one image."""
        theirs, mine = _exported(reference), _exported(ours)
        self.reference += len(theirs)
        self.ours += len(mine)
        for mask_id in theirs & mine:
            pair = reference[mask_id], ours[mask_id]
            self.overlaps.append(_mask_iou(*pair))
            for name in SCORES:
                self.differences[name] = max(self.differences[name], abs(pair[0][name] - pair[1][name]))
        for side, has, lacks in (("lost", reference, ours), ("won", ours, reference)):
            for mask_id in _exported(has) - _exported(lacks):
                reason, distance = _why(mask_id, has, lacks, settings)
                self.reasons[f"{side}, {reason}"].append(distance)
                if side == "lost" and reason == HIGHER_SCORE:
                    self.replaced.append(_mask_iou(has[mask_id], lacks[lacks[mask_id]["suppressed_by"]]))

    def __str__(self) -> str:
        overlaps = np.array(self.overlaps)
        close = int((overlaps >= 0.999).sum())
        lines = [
            f"{self.ours} masks, reference {self.reference}; {len(overlaps)} twins, {close} of them with IoU >= 0.999 "
            f"({close / self.reference:.2%} of all), mean IoU {overlaps.mean():.6f}, least {overlaps.min():.4f}; "
            + " and ".join(f"{name} differs by {value:.1e} at most" for name, value in self.differences.items())
        ]
        lines += [
            f"  {len(distances)} {reason}: by {max(distances):.1e} at most"
            for reason, distances in sorted(self.reasons.items())
        ]
        if self.replaced:
            close = sum(overlap >= 0.999 for overlap in self.replaced)
            lines.append(
                f"  of those lost to a duplicate, {close} have IoU >= 0.999 with it, the least {min(self.replaced):.4f}"
            )
        return "\n".join(lines)


def _exported(rows: dict[int, dict[str, Any]]) -> set[int]:
    return {mask_id for mask_id, row in rows.items() if row["kept"]}


def _why(
    mask_id: int, has: dict[int, dict[str, Any]], lacks: dict[int, dict[str, Any]], settings: MaskSettings
) -> tuple[str, float]:
    """Why one of the two does not export a mask, and how near that was."""
    row, twin = lacks.get(mask_id), has[mask_id]
    if row is None:
        return BELOW_THE_FLOOR, float("nan")
    rule = row["dropped_by"]
    if rule == FilterRule.PREDICTED_IOU:
        return "predicted IoU beyond the threshold", abs(row["predicted_iou"] - settings.pred_iou_thresh)
    if rule == FilterRule.STABILITY:
        return "stability beyond the threshold", abs(row["stability_score"] - settings.stability_score_thresh)
    if row.get("suppressed_by") is None:
        return rule, float(np.abs(np.subtract(row["bbox"], twin["bbox"])).max())
    suppressor = row["suppressed_by"]
    rival = has.get(suppressor, {"kept": False})
    if rival["kept"] != lacks[suppressor]["kept"]:
        if rival.get("suppressed_by") == mask_id:
            return HIGHER_SCORE, abs(twin["predicted_iou"] - rival["predicted_iou"])
        return DROPPED_WITH_ANOTHER, 0.0
    threshold = (
        settings.box_nms_thresh if row["crop_box"] == lacks[suppressor]["crop_box"] else settings.crop_nms_thresh
    )
    return "boxes overlapped beyond the threshold", max(
        abs(_box_iou(rows[mask_id], rows[suppressor]) - threshold) for rows in (has, lacks) if suppressor in rows
    )


def _mask_iou(mine: dict[str, Any], theirs: dict[str, Any]) -> float:
    return float(pairwise_ious([mine["counts"]], [theirs["counts"]], mine["size"])[0, 0])


def _box_iou(one: dict[str, Any], other: dict[str, Any]) -> float:
    boxes = [np.array([row["bbox"]], float) for row in (one, other)]
    return float(coco_mask.iou(*boxes, [False])[0, 0])


if __name__ == "__main__":
    main()
