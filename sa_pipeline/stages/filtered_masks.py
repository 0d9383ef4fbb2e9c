"""`filtered_masks`: a verdict for every candidate of a shard."""

from sa_pipeline.artifacts import ArtifactHeader, AssetName, iterate_row_groups, writing_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.generation.verdicts import count_verdicts, judge_candidates
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.provenance import expected_header
from sa_pipeline.schemas import FILTERED_MASKS
from sa_pipeline.stages.result import StageResult, make_unless_fresh


def make_filtered_masks(dataset: Dataset, shard: str, progress: Progress | None = None) -> StageResult:
    """Judges a shard's candidates (paper §4 and Appendix B). Counts: candidates, kept, dropped_{rule}.

    Raises:
        ArtifactError: `candidate_masks` was not made or is damaged.
        StorageError: The file cannot be written.
    """

    def make(header: ArtifactHeader) -> None:
        groups = (progress or SilentProgress()).track(
            iterate_row_groups(dataset.storage, AssetName.CANDIDATE_MASKS, shard),
            description=f"{AssetName.FILTERED_MASKS} {shard}",
        )
        with writing_table(dataset.storage, FILTERED_MASKS, header) as writer:
            writer.counts.update(candidates=0, kept=0)
            for candidates in groups:
                verdicts = judge_candidates(candidates, dataset.settings.masks)
                writer.write(verdicts)
                writer.counts.update(count_verdicts(verdicts))
                writer.counts["candidates"] += verdicts.num_rows

    return make_unless_fresh(dataset.storage, expected_header(dataset, AssetName.FILTERED_MASKS, shard), make)
