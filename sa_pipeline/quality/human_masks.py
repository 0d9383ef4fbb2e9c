"""Is the snapshot of a round what its people did?"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sa_pipeline.artifacts import AssetName, RoundAssetName, iterate_row_groups, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.masks.rle import RleError, area_from_runs, box_from_runs, check_runs, decode_counts
from sa_pipeline.quality.outcome import CheckOutcome

_MASK_COLUMNS = ["mask_id", "image_id", "shard", "size", "counts", "area", "bbox"]


def human_masks_decode(dataset: Dataset, round_name: str) -> CheckOutcome:
    """Every mask has its image's size, and decodes to its stated area and box.

    Raises:
        ArtifactError: `human_masks` was not made or is damaged, or `raw_images` of one of its shards.
    """
    sizes: dict[str, dict[int, tuple[int, int]]] = {}
    masks, wrong = 0, []
    for group in iterate_row_groups(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=_MASK_COLUMNS):
        for row in group.to_pylist():
            masks += 1
            if row["shard"] not in sizes:
                sizes[row["shard"]] = _image_sizes(dataset, row["shard"])
            problem = _problem(row, sizes[row["shard"]].get(row["image_id"]))
            if problem:
                wrong.append(f"mask {row['mask_id']}: {problem}")
    first = f"; the first: {wrong[0]}" if wrong else ""
    return CheckOutcome(not wrong, f"{len(wrong)} of {masks} masks are wrong{first}", values=(("wrong", len(wrong)),))


def human_mask_ids_unique(dataset: Dataset, round_name: str) -> CheckOutcome:
    """Every mask has an id of its own.

    Raises:
        ArtifactError: `human_masks` was not made or is damaged.
    """
    table = read_table(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=["mask_id"])
    ids = table["mask_id"].to_pylist()
    twice = len(ids) - len(set(ids))
    return CheckOutcome(twice == 0, f"{twice} of {len(ids)} masks have the id of another", values=(("twice", twice),))


def accepted_tasks_all_there(dataset: Dataset, round_name: str, accepted: Mapping[int, int]) -> CheckOutcome:
    """Every accepted task is in the snapshot with all of its masks.

    Args:
        dataset: The dataset.
        round_name: The partition.
        accepted: Number of masks of each accepted task, by its id, as the studio has it.

    Raises:
        ArtifactError: `human_masks` was not made or is damaged.
    """
    table = read_table(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=["task_id"])
    found = Counter(table["task_id"].to_pylist())
    wrong = sorted(task_id for task_id in {*accepted, *found} if accepted.get(task_id, 0) != found[task_id])
    summary = f"{len(accepted)} tasks with {sum(accepted.values())} masks are accepted, {table.num_rows} masks are here"
    if wrong:
        summary += f"; task {wrong[0]} has {accepted.get(wrong[0], 0)} in the studio, {found[wrong[0]]} here"
    return CheckOutcome(not wrong, summary, values=(("tasks that differ", len(wrong)),))


def _image_sizes(dataset: Dataset, shard: str) -> dict[int, tuple[int, int]]:
    columns = ["image_id", "height", "width"]
    rows = read_table(dataset.storage, AssetName.RAW_IMAGES, shard, columns=columns).to_pylist()
    return {row["image_id"]: (row["height"], row["width"]) for row in rows}


def _problem(row: dict[str, Any], image_size: tuple[int, int] | None) -> str | None:
    size = (row["size"][0], row["size"][1])
    if image_size != size:
        return f"it has height and width {size}, image {row['image_id']} {image_size}"
    try:
        runs = decode_counts(row["counts"])
        check_runs(runs, size)
    except RleError as error:
        return str(error)
    left, top, right, bottom = box_from_runs(runs, size[0])
    measured = (area_from_runs(runs), [left, top, right - left, bottom - top])
    if measured != (row["area"], row["bbox"]):
        return f"it has area and box {measured}, not {(row['area'], row['bbox'])}"
    return None
