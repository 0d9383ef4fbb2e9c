"""The verifier's doubt of the masks that tasks begin with, so that people see doubtful ones first."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sa_pipeline.dataset import Dataset
from sa_pipeline.studio.new_tasks import GivenMask
from sa_pipeline.studio.prefilling import Prefill
from sa_pipeline.verifier.examples import scores_of_masks
from sa_pipeline.verifier.record import read_verifier


def with_doubts(dataset: Dataset, round_name: str, prefill: Prefill, *, doubtful_first: bool = False) -> Prefill:
    """Adds to masks how likely they are wrong, where there is a verifier and their scores are known.

    Args:
        dataset: Whose verifier is asked.
        round_name: That the masks are for.
        prefill: The masks.
        doubtful_first: Puts an image's masks into that order, in place of their own.

    Raises:
        ArtifactError: The verifier is damaged.
    """
    verifier = read_verifier(dataset.storage)
    if verifier is None:
        return prefill

    def masks_of(shard: str) -> Mapping[int, Sequence[GivenMask]]:
        masks = prefill(shard)
        ids = {mask.source_mask_id for given in masks.values() for mask in given if mask.source_mask_id is not None}
        rows = list(scores_of_masks(dataset, round_name, shard, ids).values())
        doubts = dict(zip((row["mask_id"] for row in rows), verifier.doubts(rows).tolist(), strict=True))
        judged = {
            image_id: [replace(mask, doubt=doubts.get(mask.source_mask_id)) for mask in given]
            for image_id, given in masks.items()
        }
        if not doubtful_first:
            return judged
        return {image_id: sorted(given, key=lambda mask: -(mask.doubt or 0.0)) for image_id, given in judged.items()}

    return masks_of


def expected_wrong(masks: Sequence[GivenMask]) -> float:
    """Number of masks that are likely wrong; those that nobody judged are not counted."""
    return sum(mask.doubt or 0.0 for mask in masks)
