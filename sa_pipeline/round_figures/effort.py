"""What the masks of a round cost: seconds, clicks and strokes, and how many there are on an image (paper §4)."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sa_pipeline.artifacts import AssetName, RoundAssetName, read_header, read_table
from sa_pipeline.dataset import Dataset

_COLUMNS = [
    "stage",
    "image_id",
    "shard",
    "task_id",
    "annotator",
    "source",
    "clicks",
    "brush_strokes",
    "active_seconds",
    "accepted_at",
]


@dataclass(frozen=True)
class Effort:
    """Of a round's accepted tasks. Means of seconds, clicks and strokes are over the masks that people made themselves.

    Attributes:
        stage: Of the round; None without a mask.
        begun: When its first task was accepted; None without a mask.
        tasks: One person's work on an image each.
        images: Different ones.
        annotators: Who made a mask that is in it.
        manual: Masks that people made themselves.
        prefilled: Masks that were shown first and kept or mended.
        imported: Masks from elsewhere.
        seconds_per_mask: Idle and hidden time left out; None without such a mask.
        median_seconds_per_mask: The same.
        clicks_per_mask: Those taken back included.
        strokes_per_mask: Of brush and eraser, the same.
        automatic_per_image: Exported masks of the round's images, as they are now; None where none is exported.
    """

    stage: str | None
    begun: datetime | None
    tasks: int
    images: int
    annotators: int
    manual: int
    prefilled: int
    imported: int
    seconds_per_mask: float | None
    median_seconds_per_mask: float | None
    clicks_per_mask: float | None
    strokes_per_mask: float | None
    automatic_per_image: float | None


def measure_effort(dataset: Dataset, round_name: str) -> Effort:
    """Reads what a round's masks cost.

    Raises:
        ArtifactError: `human_masks` of the round was not made or is damaged, or `deduplicated_masks` of a shard.
    """
    header = read_header(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name)
    rows = read_table(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=_COLUMNS)
    counts = header.counts if header else {}
    by_hand = rows.filter(pc.equal(rows["source"], "manual"))
    return Effort(
        stage=rows["stage"][0].as_py() if rows.num_rows else None,
        begun=pc.min(rows["accepted_at"]).as_py(),
        tasks=counts["tasks"],
        images=counts["images"],
        annotators=pc.count_distinct(rows["annotator"], mode="only_valid").as_py(),
        manual=counts["manual"],
        prefilled=counts["prefilled"],
        imported=counts["imported"],
        seconds_per_mask=pc.mean(by_hand["active_seconds"]).as_py(),
        median_seconds_per_mask=_median(by_hand["active_seconds"]),
        clicks_per_mask=pc.mean(by_hand["clicks"]).as_py(),
        strokes_per_mask=pc.mean(by_hand["brush_strokes"]).as_py(),
        automatic_per_image=_automatic_per_image(dataset, rows),
    )


def _median(column: pa.ChunkedArray) -> float | None:
    return float(np.median(column.to_numpy())) if len(column) else None


def _automatic_per_image(dataset: Dataset, rows: pa.Table) -> float | None:
    images: dict[str, set[int]] = {}
    for shard, image_id in set(zip(rows["shard"].to_pylist(), rows["image_id"].to_pylist(), strict=True)):
        images.setdefault(shard, set()).add(image_id)
    masks = found = 0
    for shard, ids in images.items():
        if read_header(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard) is None:
            continue
        made = read_table(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard, columns=["image_id", "kept"])
        masks += sum(image_id in ids for image_id in made.filter(made["kept"])["image_id"].to_pylist())
        found += len(ids)
    return masks / found if found else None
