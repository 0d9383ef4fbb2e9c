"""The funnel: how many proposals each floor and rule dropped on the way to an exported mask."""

from collections import Counter
from collections.abc import Mapping

from sa_pipeline.artifacts import AssetName, read_header
from sa_pipeline.dataset import Dataset


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
    verdicts = (counts[AssetName.FILTERED_MASKS] + counts[AssetName.DEDUPLICATED_MASKS]).items()
    return {
        "proposals": proposed["proposals"],
        "below_predicted_iou_floor": proposed["below_predicted_iou_floor"],
        "below_stability_floor": proposed["below_stability_floor"],
        "candidates": proposed["candidates"],
        **{name: count for name, count in verdicts if name.startswith("dropped_")},
        "exported": counts[AssetName.SA1B_EXPORT]["masks"],
    }
