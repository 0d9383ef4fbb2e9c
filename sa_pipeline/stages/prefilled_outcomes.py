"""What people did with each pre-filled mask: kept, mended or deleted it (paper §4, "Semi-automatic stage")."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from sa_pipeline.artifacts import RoundAssetName, artifact_name, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.schemas import PREFILLED_OUTCOMES
from sa_pipeline.stages.prefilled_pairs import iterate_pairs

_SCORES = ["mask_id", "stability_score", "box_score"]
_UNKNOWN: Mapping[str, Any] = {"stability_score": None, "box_score": None}


def prefilled_outcomes(dataset: Dataset, round_name: str) -> pa.Table:
    """Says of every mask that a round's accepted tasks began with what its person did with it.

    Returns:
        Table with the schema `PREFILLED_OUTCOMES`, a row a mask and person.

    Raises:
        ArtifactError: `human_masks` or `human_mask_events` of the round was not made or is damaged, or
            `prefilled_masks` is damaged.
    """
    scores = _scores(dataset, round_name)
    rows = [
        {
            "mask_id": pair.mask_id,
            "human_mask_id": pair.human_mask_id,
            "image_id": pair.image_id,
            "shard": pair.shard,
            "round": round_name,
            "task_id": pair.task_id,
            "annotator": pair.annotator,
            "outcome": pair.outcome.value,
            "iou": pair.iou,
            "active_seconds": pair.active_seconds,
            "predicted_iou": pair.predicted_iou,
            **scores.get(pair.mask_id, _UNKNOWN),
        }
        for pair in iterate_pairs(dataset, round_name)
    ]
    return pa.Table.from_pylist(rows, schema=PREFILLED_OUTCOMES)


def _scores(dataset: Dataset, round_name: str) -> dict[int, Mapping[str, Any]]:
    if not dataset.storage.exists(artifact_name(RoundAssetName.PREFILLED_MASKS, round_name)):
        return {}
    rows = read_table(dataset.storage, RoundAssetName.PREFILLED_MASKS, round_name, columns=_SCORES).to_pylist()
    return {row.pop("mask_id"): row for row in rows}
