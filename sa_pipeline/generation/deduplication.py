"""Deduplication: of near-equal masks one stays; what stays is cleaned of specks and holes."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sa_pipeline.generation.columns import boxes, floats, integers
from sa_pipeline.masks.boxes import xywh_to_xyxy, xyxy_to_xywh
from sa_pipeline.masks.cleanup import clean_runs
from sa_pipeline.masks.rle import area_from_runs, box_from_runs, decode_counts, encode_counts
from sa_pipeline.masks.suppression import (
    NOT_SUPPRESSED,
    Sort,
    Suppression,
    as_torchvision_orders,
    box_areas,
    suppress_by_box,
    suppress_by_mask,
)
from sa_pipeline.schemas import DEDUPLICATED_MASKS
from sa_pipeline.settings import MaskSettings


class DuplicateRule(enum.StrEnum):
    """Why a mask that passed the filters is not exported, in the order in which the rules are applied."""

    CROP_DUPLICATE = "crop_duplicate"
    CROSS_CROP_DUPLICATE = "cross_crop_duplicate"
    SMALL_REGION = "small_region"
    CLEANED_DUPLICATE = "cleaned_duplicate"


def deduplicate_masks(
    candidates: pa.Table, verdicts: pa.Table, settings: MaskSettings, *, official_sort: Sort | None = None
) -> pa.Table:
    """Removes duplicates of one image's masks and cleans the rest (paper, Appendix B, "Postprocessing").

    Within each crop, masks with a higher predicted IoU win; across crops, those of smaller crops. Then holes and
    islands are cleaned up, and box NMS runs once more, in which unchanged masks win.

    Args:
        candidates: Table with the schema `CANDIDATE_MASKS`, rows of one image.
        verdicts: Table with the schema `FILTERED_MASKS`, the same rows in the same order.
        settings: Thresholds and the area for clean-up.
        official_sort: `sa_pipeline.sam.official_sort.sort_as_torch`, to order equal scores of more than 1,000 masks as
            `torchvision.ops.batched_nms` does on this CPU; without it they keep their order, on every machine.

    Returns:
        Table with the schema `DEDUPLICATED_MASKS`: every mask that passed the filters, those that are exported with
        their rank, the others with the rule that dropped them and the mask that they duplicate.
    """
    work = _Work.of(candidates.filter(verdicts["kept"]), official_sort=official_sort)
    _suppress_within_crops(work, settings)
    _suppress_across_crops(work, settings)
    if settings.min_mask_region_area > 0 and len(work.survivors) > 0:
        _clean_up(work, settings)
    return work.to_table()


def suppress_duplicates(
    counts: Sequence[str],
    size: tuple[int, int],
    boxes: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    settings: MaskSettings,
) -> Suppression:
    """Tells duplicates among masks of the full image as the settings want it: by their boxes or by themselves.

    Args:
        counts: N COCO compressed run lengths.
        size: Height and width of the image in px.
        boxes: (N, 4) XYXY around the masks.
        scores: (N,) float32; of two duplicates the one with the higher score stays.
        settings: Thresholds.
    """
    if settings.mask_nms_thresh is None:
        return suppress_by_box(boxes, scores, settings.box_nms_thresh)
    return suppress_by_mask(counts, size, boxes, scores, settings.mask_nms_thresh, settings.mask_containment_thresh)


def exported_rows(masks: pa.Table) -> list[dict[str, Any]]:
    """The rows of one image's deduplicated masks that are exported, in the order of the record."""
    kept: list[dict[str, Any]] = masks.filter(masks["kept"]).sort_by("rank").to_pylist()
    return kept


@dataclass
class _Work:
    """The masks of one image while rules are applied to them.

    `survivors` holds the row numbers of those still in, in the order in which they will be exported.
    """

    table: pa.Table
    boxes: npt.NDArray[np.int64]
    counts: list[str]
    areas: npt.NDArray[np.int64]
    survivors: npt.NDArray[np.int64]
    dropped_by: list[str | None]
    suppressed_by: list[int | None]
    holes_filled: npt.NDArray[np.int64]
    islands_removed: npt.NDArray[np.int64]
    official_sort: Sort | None
    mask_ids: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.mask_ids = integers(self.table, "mask_id")

    @classmethod
    def of(cls, table: pa.Table, *, official_sort: Sort | None) -> "_Work":
        rows = table.num_rows
        return cls(
            table=table,
            boxes=xywh_to_xyxy(boxes(table, "bbox")),
            counts=table["counts"].to_pylist(),
            areas=integers(table, "area"),
            survivors=np.arange(rows),
            dropped_by=[None] * rows,
            suppressed_by=[None] * rows,
            holes_filled=np.zeros(rows, np.int64),
            islands_removed=np.zeros(rows, np.int64),
            official_sort=official_sort,
        )

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.table["size"][0].as_py()
        return height, width

    def drop(self, row: int, rule: DuplicateRule, suppressor: int | None = None) -> None:
        self.dropped_by[row] = rule.value
        self.suppressed_by[row] = None if suppressor is None else int(self.mask_ids[suppressor])

    def apply(self, rows: npt.NDArray[np.int64], outcome: Suppression, rule: DuplicateRule) -> npt.NDArray[np.int64]:
        """Drops what `outcome`, whose indices count within `rows`, suppressed; returns the kept rows, best first."""
        for index in np.flatnonzero(outcome.suppressed_by != NOT_SUPPRESSED):
            self.drop(int(rows[index]), rule, int(rows[outcome.suppressed_by[index]]))
        return rows[outcome.kept]

    def to_table(self) -> pa.Table:
        rank: list[int | None] = [None] * self.table.num_rows
        for position, row in enumerate(self.survivors):
            rank[row] = position
        columns = {name: self.table[name] for name in self.table.schema.names} | {
            "bbox": pa.array(xyxy_to_xywh(self.boxes).tolist(), DEDUPLICATED_MASKS.field("bbox").type),
            "area": self.areas,
            "counts": pa.array(self.counts, pa.string()),
            "kept": np.array([rule is None for rule in self.dropped_by], np.bool_),
            "dropped_by": pa.array(self.dropped_by, pa.string()),
            "suppressed_by": pa.array(self.suppressed_by, pa.int64()),
            "rank": pa.array(rank, pa.int32()),
            "island_area_removed": self.islands_removed,
            "hole_area_filled": self.holes_filled,
        }
        return pa.table(columns, schema=DEDUPLICATED_MASKS)


def _suppress(
    work: _Work,
    rows: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    box_threshold: float,
    settings: MaskSettings,
) -> Suppression:
    if settings.mask_nms_thresh is None or len(rows) == 0:
        outcome = suppress_by_box(work.boxes[rows], scores, box_threshold)
        return as_torchvision_orders(outcome, scores, work.official_sort) if work.official_sort else outcome
    return suppress_duplicates([work.counts[row] for row in rows], work.size, work.boxes[rows], scores, settings)


def _suppress_within_crops(work: _Work, settings: MaskSettings) -> None:
    crops = integers(work.table, "crop_index")
    predicted_iou = floats(work.table, "predicted_iou")
    kept = [np.zeros(0, np.int64)]
    for crop in np.unique(crops):
        rows = np.flatnonzero(crops == crop)
        outcome = _suppress(work, rows, predicted_iou[rows], settings.box_nms_thresh, settings)
        kept.append(work.apply(rows, outcome, DuplicateRule.CROP_DUPLICATE))
    work.survivors = np.concatenate(kept)


def _suppress_across_crops(work: _Work, settings: MaskSettings) -> None:
    if settings.crop_n_layers == 0:
        return
    crop_boxes = xywh_to_xyxy(boxes(work.table, "crop_box"))[work.survivors]
    scores = np.float32(1) / box_areas(crop_boxes).astype(np.float32)
    outcome = _suppress(work, work.survivors, scores, settings.crop_nms_thresh, settings)
    work.survivors = work.apply(work.survivors, outcome, DuplicateRule.CROSS_CROP_DUPLICATE)


def _clean_up(work: _Work, settings: MaskSettings) -> None:
    unchanged = np.ones(len(work.areas), np.float32)
    rows = []
    height = work.size[0]
    for row in work.survivors:
        cleaned = clean_runs(decode_counts(work.counts[row]), height, settings.min_mask_region_area)
        if settings.drop_small_masks and cleaned.largest_component_is_small:
            work.drop(int(row), DuplicateRule.SMALL_REGION)
            continue
        rows.append(row)
        if cleaned.changed:
            unchanged[row] = 0
            work.boxes[row] = box_from_runs(cleaned.runs, height)
            work.counts[row] = encode_counts(cleaned.runs)
            work.areas[row] = area_from_runs(cleaned.runs)
            work.holes_filled[row] = cleaned.hole_area_filled
            work.islands_removed[row] = cleaned.island_area_removed
    work.survivors = np.asarray(rows, np.int64)
    threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
    outcome = _suppress(work, work.survivors, unchanged[work.survivors], threshold, settings)
    work.survivors = work.apply(work.survivors, outcome, DuplicateRule.CLEANED_DUPLICATE)
