"""Is every pair of near-equal masks down to one?"""

import numpy as np
import pyarrow as pa

from sa_pipeline.artifacts import AssetName, iterate_row_groups
from sa_pipeline.dataset import Dataset
from sa_pipeline.masks.boxes import xywh_to_xyxy
from sa_pipeline.masks.suppression import NOT_SUPPRESSED, suppress_by_box, suppress_by_mask
from sa_pipeline.quality.outcome import CheckOutcome
from sa_pipeline.settings import MaskSettings


def no_duplicates_kept(dataset: Dataset, shard: str) -> CheckOutcome:
    """No two kept masks of an image overlap by more than the threshold for duplicates.

    Suppression is run once more on what was kept: where all pairs are within the threshold, it drops nothing.

    Raises:
        ArtifactError: `deduplicated_masks` was not made or is damaged.
    """
    settings = dataset.settings.masks
    columns = ["image_id", "mask_id", "bbox", "size", "counts", "kept", "rank"]
    kept = duplicates = 0
    first = ""
    for group in iterate_row_groups(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard, columns=columns):
        masks = group.filter(group["kept"]).sort_by("rank")
        pairs = _duplicate_pairs(masks, settings)
        kept += masks.num_rows
        duplicates += len(pairs)
        if pairs and not first:
            first = f"; the first: masks {pairs[0][0]} and {pairs[0][1]}"
    judged = "masks" if settings.mask_nms_thresh is not None else "boxes"
    summary = (
        f"of {kept} kept masks, {duplicates} have {judged} that overlap another's by more than {_threshold(settings)}"
    )
    return CheckOutcome(duplicates == 0, f"{summary}{first}", values=(("kept", kept), ("duplicates", duplicates)))


def _threshold(settings: MaskSettings) -> float:
    """The IoU up to which masks of different crops, or masks that clean-up changed, may overlap."""
    if settings.mask_nms_thresh is not None:
        return settings.mask_nms_thresh
    if settings.crop_n_layers == 0 and settings.min_mask_region_area == 0:
        return settings.box_nms_thresh
    return max(settings.box_nms_thresh, settings.crop_nms_thresh)


def _duplicate_pairs(masks: pa.Table, settings: MaskSettings) -> list[tuple[int, int]]:
    """Ids of kept masks that duplicate one another."""
    if masks.num_rows == 0:
        return []
    ids = masks["mask_id"].to_pylist()
    boxes = xywh_to_xyxy(np.array(masks["bbox"].to_pylist(), np.int64))
    ranked = -np.arange(masks.num_rows, dtype=np.float32)
    if settings.mask_nms_thresh is None:
        outcome = suppress_by_box(boxes, ranked, _threshold(settings))
    else:
        height, width = masks["size"][0].as_py()
        outcome = suppress_by_mask(
            masks["counts"].to_pylist(),
            (height, width),
            boxes,
            ranked,
            settings.mask_nms_thresh,
            settings.mask_containment_thresh,
        )
    dropped = np.flatnonzero(outcome.suppressed_by != NOT_SUPPRESSED)
    return [(ids[outcome.suppressed_by[index]], ids[index]) for index in dropped]
