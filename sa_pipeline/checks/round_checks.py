"""The checks of annotation rounds: plain functions of `quality/`, each tied to the asset that it looks at."""

from collections.abc import Callable

import dagster as dg

from sa_pipeline.artifacts import RoundAssetName
from sa_pipeline.assets.rounds import ANNOTATION_ROUNDS, opened_studio
from sa_pipeline.checks.results import check_result
from sa_pipeline.dataset import Dataset
from sa_pipeline.quality.audit import masks_hold_to_people, pairs_are_of_the_snapshot
from sa_pipeline.quality.human_masks import accepted_tasks_all_there as compare_with_accepted
from sa_pipeline.quality.human_masks import human_mask_ids_unique, human_masks_decode
from sa_pipeline.quality.outcome import CheckOutcome
from sa_pipeline.quality.round_checkpoints import not_worse_than_parent
from sa_pipeline.quality.semi_automatic import detector_beats_chance, masks_to_begin_with
from sa_pipeline.quality.training_sets import held_out_never_trained_on, human_masks_all_there
from sa_pipeline.resources import DatasetResource
from sa_pipeline.studio.snapshot import accepted_masks

Examine = Callable[[Dataset, str], CheckOutcome]


def accepted_tasks_all_there(dataset: Dataset, round_name: str) -> CheckOutcome:
    """Every accepted task is in the snapshot with all of its masks."""
    with opened_studio(dataset) as studio:
        accepted = accepted_masks(studio, round_name)
    return compare_with_accepted(dataset, round_name, accepted)


def _check(asset: RoundAssetName, examine: Examine, *, blocking: bool = True) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset.value,
        name=examine.__name__,
        description=(examine.__doc__ or "").splitlines()[0],
        blocking=blocking,
        partitions_def=ANNOTATION_ROUNDS,
    )
    def checked(context: dg.AssetCheckExecutionContext, data: DatasetResource) -> dg.AssetCheckResult:
        return check_result(examine(data.open(), context.partition_key))

    return checked


ROUND_CHECKS = [
    _check(RoundAssetName.HUMAN_MASKS, human_masks_decode),
    _check(RoundAssetName.HUMAN_MASKS, human_mask_ids_unique),
    _check(RoundAssetName.HUMAN_MASKS, accepted_tasks_all_there),
    _check(RoundAssetName.TRAINING_SET, human_masks_all_there),
    _check(RoundAssetName.TRAINING_SET, held_out_never_trained_on),
    _check(RoundAssetName.SAM_CHECKPOINT, not_worse_than_parent),
    _check(RoundAssetName.OBJECT_DETECTOR, detector_beats_chance, blocking=False),
    _check(RoundAssetName.PREFILLED_MASKS, masks_to_begin_with, blocking=False),
    _check(RoundAssetName.MASK_QUALITY_AUDIT, pairs_are_of_the_snapshot),
    _check(RoundAssetName.MASK_QUALITY_AUDIT, masks_hold_to_people, blocking=False),
]
"""A blocking check that fails stops what lies downstream in the same run."""
