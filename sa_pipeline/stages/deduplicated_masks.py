"""`deduplicated_masks`: the masks of a shard without their duplicates, cleaned."""

from sa_pipeline.artifacts import ArtifactHeader, AssetName, iterate_row_groups, writing_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.generation.deduplication import deduplicate_masks
from sa_pipeline.generation.verdicts import count_verdicts
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.provenance import expected_header
from sa_pipeline.sam.official_sort import sort_as_torch
from sa_pipeline.schemas import DEDUPLICATED_MASKS
from sa_pipeline.settings import Arithmetic
from sa_pipeline.stages.result import StageResult, make_unless_fresh


def make_deduplicated_masks(dataset: Dataset, shard: str, progress: Progress | None = None) -> StageResult:
    """Deduplicates and cleans a shard's masks (paper, Appendix B). Counts: masks, kept, dropped_{rule}.

    Raises:
        ArtifactError: `candidate_masks` or `filtered_masks` was not made or is damaged.
        StorageError: The file cannot be written.
    """

    def make(header: ArtifactHeader) -> None:
        # Both files hold one row group per image, in the same order.
        groups = zip(
            iterate_row_groups(dataset.storage, AssetName.CANDIDATE_MASKS, shard),
            iterate_row_groups(dataset.storage, AssetName.FILTERED_MASKS, shard),
            strict=True,
        )
        tracked = (progress or SilentProgress()).track(groups, description=f"{AssetName.DEDUPLICATED_MASKS} {shard}")
        sort = sort_as_torch if dataset.settings.arithmetic is Arithmetic.REFERENCE else None
        with writing_table(dataset.storage, DEDUPLICATED_MASKS, header) as writer:
            writer.counts.update(masks=0, kept=0)
            for candidates, verdicts in tracked:
                masks = deduplicate_masks(candidates, verdicts, dataset.settings.masks, official_sort=sort)
                writer.write(masks)
                writer.counts.update(count_verdicts(masks))
                writer.counts["masks"] += masks.num_rows

    return make_unless_fresh(dataset.storage, expected_header(dataset, AssetName.DEDUPLICATED_MASKS, shard), make)
