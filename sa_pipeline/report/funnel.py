"""The funnel: how many proposals each floor and rule dropped on the way to an exported mask."""

from collections import Counter
from collections.abc import Mapping

from sa_pipeline.artifacts import AssetName, read_header
from sa_pipeline.dataset import Dataset
from sa_pipeline.generation.deduplication import DuplicateRule
from sa_pipeline.generation.verdicts import FilterRule


def shard_counts(dataset: Dataset, shard: str) -> dict[AssetName, Counter[str]]:
    """What each asset of a shard counted; nothing for those that were not made.

    Raises:
        ArtifactError: A file is damaged.
    """
    headers = {asset: read_header(dataset.storage, asset, shard) for asset in AssetName}
    return {asset: Counter(header.counts if header else {}) for asset, header in headers.items()}


def funnel_of(counts: Mapping[AssetName, Counter[str]]) -> dict[str, int]:
    """The steps of the funnel in their order, from what the assets of one or several shards counted."""
    proposed = counts[AssetName.CANDIDATE_MASKS]
    dropped = counts[AssetName.FILTERED_MASKS] + counts[AssetName.DEDUPLICATED_MASKS]
    rules = [f"dropped_{rule}" for rule in (*FilterRule, *DuplicateRule)]
    return {
        "proposals": proposed["proposals"],
        "below_predicted_iou_floor": proposed["below_predicted_iou_floor"],
        "below_stability_floor": proposed["below_stability_floor"],
        "candidates": proposed["candidates"],
        **{rule: dropped[rule] for rule in rules if dropped[rule]},
        "exported": counts[AssetName.SA1B_EXPORT]["masks"],
    }
