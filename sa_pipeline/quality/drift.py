"""Do a shard's scores look like those of the shards before it?"""

from sa_pipeline.artifacts import AssetName, read_header
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.quality.outcome import CheckOutcome, Comparison
from sa_pipeline.quality.reference import read_candidate_scores, reference_scores, reference_url


def scores_like_reference(dataset: Dataset, shard: str) -> CheckOutcome:
    """Predicted IoU and stability are distributed as in the reference shards; drift is a warning, nonsense an error.

    Raises:
        ArtifactError: `candidate_masks` was not made or is damaged, or the reference is damaged.
        StorageError: The distributions cannot be written.
    """
    header = read_header(dataset.storage, AssetName.CANDIDATE_MASKS, shard)
    if header is None:
        raise ArtifactError(f"candidate_masks of shard {shard} does not exist; materialize it first.")
    quality = dataset.settings.quality
    scores, reference = read_candidate_scores(dataset, header), reference_scores(dataset, header)
    compared = reference is not None and scores.predicted_iou.total >= quality.min_compared_candidates
    comparisons = tuple(
        Comparison(title, getattr(scores, name), getattr(reference, name) if reference and compared else None)
        for name, title in (("predicted_iou", "predicted IoU"), ("stability_score", "stability score"))
    )
    if reference is None:
        summary = f"there is no reference yet; it needs {quality.reference_shards} other shards of the same making"
        return CheckOutcome(True, summary, "warning", comparisons=comparisons)
    if not compared:
        summary = f"{scores.predicted_iou.total} candidates, too few to compare their scores with others'"
        return CheckOutcome(True, summary, "warning", comparisons=comparisons)
    distances = [(comparison.title, comparison.distance) for comparison in comparisons]
    worst = max(distance for _, distance in distances)
    said = " and ".join(f"{title} {distance:.3f}" for title, distance in distances)
    summary = (
        f"distance to the reference of {len(reference.shards)} shards: {said}; over {quality.max_score_drift} is "
        f"drift, over {quality.max_score_distance} nonsense"
    )
    values: list[tuple[str, float | str]] = [(f"{title} distance", distance) for title, distance in distances]
    values.append(("reference shards", ", ".join(sorted(reference.shards))))
    values.append(("reference", reference_url(dataset, header)))
    return CheckOutcome(
        worst <= quality.max_score_drift,
        summary,
        severity="error" if worst > quality.max_score_distance else "warning",
        values=tuple(values),
        comparisons=comparisons,
    )
