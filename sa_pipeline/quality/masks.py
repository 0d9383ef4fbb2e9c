"""Are scores, verdicts and boxes of a shard what their makers promise?"""

import numpy as np

from sa_pipeline.artifacts import AssetName, iterate_row_groups, read_header, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.quality.outcome import CheckOutcome

PREDICTED_IOU_BOUNDS = (0.0, 1.5)
"""The head is a regression without a bound: a little over 1 is usual, far over is nonsense."""


def scores_within_bounds(dataset: Dataset, shard: str) -> CheckOutcome:
    """Predicted IoU and stability score are numbers in their ranges.

    Raises:
        ArtifactError: `candidate_masks` was not made or is damaged.
    """
    columns = ["predicted_iou", "stability_score"]
    rows = read_table(dataset.storage, AssetName.CANDIDATE_MASKS, shard, columns=columns)
    predicted, stable = (rows[name].to_numpy() for name in columns)
    low, high = PREDICTED_IOU_BOUNDS
    wrong_iou = int((~((predicted >= low) & (predicted <= high))).sum())
    wrong_stability = int((~((stable >= 0) & (stable <= 1))).sum())
    summary = (
        f"of {rows.num_rows} candidates, {wrong_iou} have a predicted IoU outside {low} to {high} and "
        f"{wrong_stability} a stability score outside 0 to 1"
    )
    return CheckOutcome(wrong_iou + wrong_stability == 0, summary, values=(("candidates", rows.num_rows),))


def candidates_all_judged(dataset: Dataset, shard: str) -> CheckOutcome:
    """Every candidate has one verdict, and every dropped one a rule.

    Raises:
        ArtifactError: `candidate_masks` or `filtered_masks` was not made or is damaged.
    """
    candidates = read_table(dataset.storage, AssetName.CANDIDATE_MASKS, shard, columns=["mask_id"])
    verdicts = read_table(dataset.storage, AssetName.FILTERED_MASKS, shard)
    same = candidates["mask_id"].equals(verdicts["mask_id"])
    kept = verdicts["kept"].to_numpy(zero_copy_only=False).astype(bool)
    named = np.array([rule is not None for rule in verdicts["dropped_by"].to_pylist()], bool)
    unexplained = int((kept == named).sum())
    summary = f"{verdicts.num_rows} verdicts for {candidates.num_rows} candidates, {unexplained} without a reason"
    return CheckOutcome(same and unexplained == 0, summary, values=(("kept", int(kept.sum())),))


def masks_plausible(dataset: Dataset, shard: str) -> CheckOutcome:
    """Masks an image are neither none nor absurdly many, and their sizes neither specks nor whole images.

    A failure is a warning, since a shard of blank walls is legal.

    Raises:
        ArtifactError: `deduplicated_masks` was not made or is damaged.
    """
    raw = read_header(dataset.storage, AssetName.RAW_IMAGES, shard)
    images = raw.counts.get("ok", 0) if raw else 0
    per_image: list[int] = []
    sizes = [np.zeros(0)]
    for group in iterate_row_groups(
        dataset.storage, AssetName.DEDUPLICATED_MASKS, shard, columns=["kept", "area", "size"]
    ):
        kept = group.filter(group["kept"])
        per_image.append(kept.num_rows)
        image_areas = np.array(kept["size"].to_pylist(), np.float64).reshape(-1, 2).prod(axis=1)
        sizes.append(np.sqrt(kept["area"].to_numpy() / image_areas))
    quality = dataset.settings.quality
    mean, most = sum(per_image) / max(images, 1), max(per_image, default=0)
    relative = np.concatenate(sizes)
    median = float(np.median(relative)) if len(relative) else 0.0
    numerous = mean >= quality.min_masks_per_image and most <= quality.max_masks_per_image
    sized = len(relative) == 0 or quality.min_median_size <= median <= quality.max_median_size
    summary = (
        f"{mean:.1f} masks an image and at most {most}; expected at least {quality.min_masks_per_image} on average and "
        f"at most {quality.max_masks_per_image}; the median mask's size, as the root of its share of the image, is "
        f"{median:.3f}; expected {quality.min_median_size} to {quality.max_median_size}"
    )
    values = (("masks per image", mean), ("most on one image", most), ("median relative size", median))
    return CheckOutcome(images == 0 or (numerous and sized), summary, "warning", values)
