"""What people did in a round: a picture of their masks, and how long they took."""

from collections import defaultdict

import pyarrow.compute as pc
from PIL import Image

from sa_pipeline.artifacts import RoundAssetName, iterate_row_groups, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.report.overlays import overlay_sheet
from sa_pipeline.stages.shard_images import iterate_images


def round_overlays(
    dataset: Dataset,
    round_name: str,
    max_images: int = 6,
    asset: RoundAssetName = RoundAssetName.HUMAN_MASKS,
) -> Image.Image:
    """The masks of a round's first images, by image id; of several people, the first one's.

    Args:
        dataset: The dataset.
        round_name: The round.
        max_images: That are shown.
        asset: `human_masks`, `training_set` or `prefilled_masks`.

    Raises:
        ArtifactError: The asset was not made or is damaged, or `raw_images` of a shard.
    """
    counts: dict[tuple[str, int], list[str]] = defaultdict(list)
    columns = ["shard", "image_id", "counts"]
    if asset is not RoundAssetName.PREFILLED_MASKS:
        columns.append("replica")
    for group in iterate_row_groups(dataset.storage, asset, round_name, columns=columns):
        for row in group.to_pylist():
            if row.get("replica", 0) == 0:
                counts[row["shard"], row["image_id"]].append(row["counts"])
        if len(counts) >= max_images:
            break
    chosen = list(counts)[:max_images]
    shards = dict.fromkeys(shard for shard, _ in chosen)
    images = (
        (image, counts[shard, image.image_id])
        for shard in shards
        for image in iterate_images(dataset, shard)
        if (shard, image.image_id) in chosen
    )
    return overlay_sheet(images)


def effort(dataset: Dataset, round_name: str) -> dict[str, float]:
    """Means over a round's accepted masks: masks an image, and seconds worked on a mask that people made themselves.

    The paper has 34 s a mask at the start of its first stage and 14 s at the end (§4); masks that were pre-filled or
    imported are not counted.

    Raises:
        ArtifactError: `human_masks` was not made or is damaged.
    """
    columns = ["task_id", "source", "active_seconds"]
    rows = read_table(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=columns)
    manual = rows.filter(pc.equal(rows["source"], "manual"))["active_seconds"].to_pylist()
    tasks = len(set(rows["task_id"].to_pylist()))
    found = {"active_seconds": float(sum(rows["active_seconds"].to_pylist()))}
    if tasks:
        found["masks_per_task"] = rows.num_rows / tasks
    if manual:
        found["seconds_per_mask"] = sum(manual) / len(manual)
    return {name: round(value, 2) for name, value in found.items()}
