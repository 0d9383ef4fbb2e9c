"""`training_set`: the masks of a round that the next weights are trained on, and those that they are compared on."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sa_pipeline.artifacts import (
    SCHEMA_VERSIONS,
    ArtifactHeader,
    AssetName,
    RoundAssetName,
    input_digest,
    iterate_row_groups,
    read_table,
    writing_table,
)
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.schemas import TRAINING_SET, Split
from sa_pipeline.stages.held_out_images import HeldOutImages
from sa_pipeline.stages.result import StageResult, make_unless_fresh

AUDIT = "audit"
"""Stage of rounds whose masks judge the model instead of teaching it (paper §5, "Mask quality")."""


def make_training_set(dataset: Dataset, round_name: str, progress: Progress | None = None) -> StageResult:
    """Splits a round's accepted masks by image; only the round's own, since only new ones are trained on (paper §4).

    Counts: masks, images, and of each split masks and images, such as train_masks.

    Raises:
        ArtifactError: `human_masks` was not made or is damaged, or `raw_images` of a shard, or the round is an audit.
        StorageError: The file cannot be written.
    """
    _refuse_audit(dataset, round_name)
    shards = _shards(dataset, round_name)

    def make(header: ArtifactHeader) -> None:
        held_out = HeldOutImages(dataset)
        seen: set[tuple[str, int]] = set()
        with writing_table(dataset.storage, TRAINING_SET, header) as writer:
            writer.counts.update(dict.fromkeys(("masks", "images", *_split_counts()), 0))
            groups = iterate_row_groups(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=_COLUMNS)
            for group in (progress or SilentProgress()).track(groups, description=f"training_set {round_name}"):
                rows = group.append_column("split", pa.array(_splits(group, held_out), pa.string()))
                writer.write(rows.select(TRAINING_SET.names))
                writer.counts.update(_count(rows, seen))

    return make_unless_fresh(dataset.storage, _expected(dataset, round_name, shards), make)


_COLUMNS = [name for name in TRAINING_SET.names if name != "split"]


def _splits(masks: pa.Table, held_out: HeldOutImages) -> list[Split]:
    places = zip(masks["shard"].to_pylist(), masks["image_id"].to_pylist(), strict=True)
    return [Split.HELD_OUT if held_out.holds(shard, image_id) else Split.TRAIN for shard, image_id in places]


def _refuse_audit(dataset: Dataset, round_name: str) -> None:
    rows = read_table(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=["stage"])
    if AUDIT in pc.unique(rows["stage"]).to_pylist():
        raise ArtifactError(f"Round {round_name} is an audit: its masks judge the model and are not trained on.")


def _shards(dataset: Dataset, round_name: str) -> list[str]:
    rows = read_table(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=["shard"])
    return sorted(pc.unique(rows["shard"]).to_pylist())


def _expected(dataset: Dataset, round_name: str, shards: Sequence[str]) -> ArtifactHeader:
    asset = RoundAssetName.TRAINING_SET
    images = hashlib.sha256()
    for shard in shards:
        images.update(f"{shard} {input_digest(dataset.storage, AssetName.RAW_IMAGES, shard)}\n".encode())
    return ArtifactHeader(
        asset=asset,
        partition=round_name,
        schema_version=SCHEMA_VERSIONS[asset],
        settings={"held_out_share": dataset.settings.rounds.held_out_share},
        inputs={
            RoundAssetName.HUMAN_MASKS.value: input_digest(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name),
            AssetName.RAW_IMAGES.value: images.hexdigest(),
        },
    )


def _split_counts() -> Iterator[str]:
    for split in Split:
        yield from (f"{split}_masks", f"{split}_images")


def _count(rows: pa.Table, seen: set[tuple[str, int]]) -> Counter[str]:
    """Masks and new images of some rows; `seen` holds the images that were counted before, and takes those."""
    counts = Counter(masks=rows.num_rows)
    for split, image_id in zip(rows["split"].to_pylist(), rows["image_id"].to_pylist(), strict=True):
        counts[f"{split}_masks"] += 1
        if (split, image_id) not in seen:
            seen.add((split, image_id))
            counts.update(["images", f"{split}_images"])
    return counts
