"""The concavity of a sample of masks: the one figure of a card that needs pixels."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sa_pipeline.artifacts import AssetName, read_table
from sa_pipeline.cards.asking import Questions, Spread
from sa_pipeline.dataset import Dataset
from sa_pipeline.masks.concavity import concavity
from sa_pipeline.masks.rle import counts_to_mask
from sa_pipeline.progress import Progress, SilentProgress

SAMPLE_SIZE = 2000
"""Masks; a share of them is known to about 2 % (one standard error is at most sqrt(0.25 / 2000) = 1.1 %)."""
SEED = 0


@dataclass(frozen=True)
class ShapeSample:
    """Concavity (paper §5) of masks drawn by chance: (N,) float64, from 0 up to 1; N and the seed of the chance."""

    concavities: npt.NDArray[np.float64]
    seed: int

    @property
    def spread(self) -> Spread:
        """Over the sample."""
        if not self.concavities.size:
            return Spread(*[float("nan")] * 4)
        return Spread(*(float(of(self.concavities)) for of in (np.min, np.median, np.mean, np.max)))


def sample_shapes(
    dataset: Dataset, ask: Questions, size: int = SAMPLE_SIZE, seed: int = SEED, progress: Progress | None = None
) -> ShapeSample:
    """Draws exported masks, every one with the same chance, and measures their concavity.

    The same masks and seed give the same sample, whatever the order of shards.

    Args:
        dataset: Where the masks' run lengths are read.
        ask: The catalogue, which knows the masks.
        size: Masks; all of them where there are fewer.
        seed: Of the chance.
        progress: Shows the shards that are read.

    Raises:
        ArtifactError: A shard's `deduplicated_masks` is not there or is damaged.
    """
    drawn: dict[str, list[int]] = defaultdict(list)
    sql = f"SELECT shard, mask_id FROM exported_masks WHERE area > 0 ORDER BY md5('{seed}:' || mask_id) LIMIT {size}"  # noqa: S608
    for shard, mask_id in ask.rows(sql):
        drawn[shard].append(mask_id)
    values: dict[int, float] = {}
    for shard in (progress or SilentProgress()).track(sorted(drawn), description="shapes", total=len(drawn)):
        rows = read_table(
            dataset.storage,
            AssetName.DEDUPLICATED_MASKS,
            shard,
            columns=["mask_id", "size", "counts"],
            mask_ids=drawn[shard],
        )
        for row in rows.to_pylist():
            height, width = row["size"]
            values[row["mask_id"]] = concavity(counts_to_mask(row["counts"], (height, width)))
    return ShapeSample(np.array([values[mask_id] for mask_id in sorted(values)], np.float64), seed)
