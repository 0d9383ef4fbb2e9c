"""`mask_quality_audit`: exported masks beside what people made of them (paper §5, "Mask quality")."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sa_pipeline.artifacts import (
    SCHEMA_VERSIONS,
    ArtifactHeader,
    RoundAssetName,
    input_digest,
    read_table,
    writing_table,
)
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.masks.rle import area_from_runs, decode_counts
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.schemas import MASK_QUALITY_AUDIT
from sa_pipeline.stages.prefilled_pairs import PairOutcome, PrefilledPair, iterate_pairs, mask_iou
from sa_pipeline.stages.result import StageResult, make_unless_fresh

AUDIT_STAGE = "audit"
HIGH_IOU = 0.90
LOW_IOU = 0.75
"""The two thresholds of the paper (§5)."""

_INPUTS = (RoundAssetName.HUMAN_MASKS, RoundAssetName.HUMAN_MASK_EVENTS)
_ROWS_PER_GROUP = 10_000


def make_mask_quality_audit(dataset: Dataset, round_name: str, progress: Progress | None = None) -> StageResult:
    """Pairs the automatic masks that an audit's accepted tasks began with and what people made of them.

    Counts of the header: `pairs` of each image's first person and, of these, `kept`, `mended` and `deleted`, those with
    an IoU `over_90` and `over_75` (percent); `added`, masks that these people drew themselves, in which the automatic
    stage had missed something; `images`; and `seen_again`, masks that further people looked at.

    Raises:
        ArtifactError: The round's snapshot was not made or is damaged, or the round is no audit.
        StorageError: The file cannot be written.
    """
    expected = ArtifactHeader(
        asset=RoundAssetName.MASK_QUALITY_AUDIT,
        partition=round_name,
        schema_version=SCHEMA_VERSIONS[RoundAssetName.MASK_QUALITY_AUDIT],
        settings={},
        inputs={asset.value: input_digest(dataset.storage, asset, round_name) for asset in _INPUTS},
    )

    def make(header: ArtifactHeader) -> None:
        masks = read_table(
            dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=["stage", "image_id", "task_id", "source"]
        )
        _require_audit(masks, round_name)
        pairs = (progress or SilentProgress()).track(
            iterate_pairs(dataset, round_name), description=f"audit {round_name}"
        )
        rows = _rows(pairs, round_name)
        with writing_table(dataset.storage, MASK_QUALITY_AUDIT, header) as writer:
            for start in range(0, len(rows), _ROWS_PER_GROUP):
                writer.write(pa.Table.from_pylist(rows[start : start + _ROWS_PER_GROUP], schema=MASK_QUALITY_AUDIT))
            writer.counts.update(_count(rows, masks))

    return make_unless_fresh(dataset.storage, expected, make)


def _require_audit(masks: pa.Table, round_name: str) -> None:
    other = set(masks["stage"].to_pylist()) - {AUDIT_STAGE}
    if other:
        raise ArtifactError(
            f"Round {round_name} is of the stage {other.pop()}; a mask quality audit needs a round of the stage "
            f"{AUDIT_STAGE}, which `sa-pipeline annotate --round audit-1 --audit 500` begins."
        )


def _rows(pairs: Iterable[PrefilledPair], round_name: str) -> list[dict[str, Any]]:
    """A row a pair, by image and task; pairs of the task with the lowest id are their image's first."""
    rows = []
    first_task: dict[int, int] = {}
    first_counts: dict[int, str | None] = {}
    for pair in sorted(pairs, key=lambda pair: (pair.image_id, pair.task_id)):
        first = first_task.setdefault(pair.image_id, pair.task_id) == pair.task_id
        if first:
            first_counts[pair.mask_id] = pair.human_counts
        other = None if first else first_counts.get(pair.mask_id)
        agreement = mask_iou(pair.human_counts, other, pair.size) if pair.human_counts and other else None
        rows.append(
            {
                "mask_id": pair.mask_id,
                "human_mask_id": pair.human_mask_id,
                "image_id": pair.image_id,
                "shard": pair.shard,
                "round": round_name,
                "task_id": pair.task_id,
                "first_person": first,
                "annotator": pair.annotator,
                "outcome": pair.outcome.value,
                "iou": pair.iou,
                "agreement_iou": agreement,
                "area": area_from_runs(decode_counts(pair.counts)),
                "predicted_iou": pair.predicted_iou,
                "active_seconds": pair.active_seconds,
                "size": pair.size,
                "counts": pair.counts,
                "human_counts": pair.human_counts,
            }
        )
    return rows


def _count(rows: list[dict[str, Any]], masks: pa.Table) -> Counter[str]:
    first = [row for row in rows if row["first_person"]]
    outcomes = Counter(row["outcome"] for row in first)
    ious = [row["iou"] for row in first if row["iou"] is not None]
    tasks = {row["task_id"] for row in first}
    by_hand = masks.filter(pc.equal(masks["source"], "manual"))["task_id"].to_pylist()
    counts = Counter({outcome.value: outcomes[outcome.value] for outcome in PairOutcome})
    counts.update(
        pairs=len(ious),
        over_90=sum(iou > HIGH_IOU for iou in ious),
        over_75=sum(iou > LOW_IOU for iou in ious),
        images=len({row["image_id"] for row in first}),
        added=sum(task in tasks for task in by_hand),
        seen_again=len(rows) - len(first),
    )
    return counts
