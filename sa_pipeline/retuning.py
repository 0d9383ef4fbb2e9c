"""New thresholds over old candidates: verdicts onward, without the model."""

from collections import Counter

from sa_pipeline.artifacts import AssetName, read_header
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import SettingsError
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.progress import Progress
from sa_pipeline.settings import PipelineSettings, parse_settings


def retuned_settings(
    settings: PipelineSettings, *, pred_iou_thresh: float | None, stability_score_thresh: float | None
) -> PipelineSettings:
    """Settings with new thresholds under which the stored candidates stay valid.

    Args:
        settings: The dataset's settings.
        pred_iou_thresh: New threshold, None to keep the present one.
        stability_score_thresh: New threshold, None to keep the present one.

    Raises:
        SettingsError: A threshold is out of range or below the floor from which candidates were stored.
    """
    masks = settings.masks
    floors = {
        "pred_iou_thresh": masks.candidate_pred_iou_floor,
        "stability_score_thresh": masks.candidate_stability_score_floor,
    }
    wanted = {"pred_iou_thresh": pred_iou_thresh, "stability_score_thresh": stability_score_thresh}
    chosen = {name: value for name, value in wanted.items() if value is not None}
    for name, value in chosen.items():
        if value < floors[name]:
            raise SettingsError(
                f"{name}: {value} is below {floors[name]}, from which candidates were stored; choose at least "
                f"{floors[name]}, or lower the floor in the settings file and run again."
            )
    values = masks.model_dump() | chosen
    values["pred_iou_floor"] = floors["pred_iou_thresh"]
    values["stability_score_floor"] = floors["stability_score_thresh"]
    return parse_settings(settings.model_dump() | {"masks": values}, name="new thresholds")


def retune(dataset: Dataset, progress: Progress) -> Counter[str]:
    """Makes verdicts, deduplicated masks and exports anew for every shard that has candidates.

    Args:
        dataset: With the new settings.
        progress: Shows the shards.

    Returns:
        Sums over all shards: shards, candidates, kept (after the filters), exported.
    """
    from sa_pipeline.stages.deduplicated_masks import make_deduplicated_masks
    from sa_pipeline.stages.filtered_masks import make_filtered_masks
    from sa_pipeline.stages.sa1b_export import make_sa1b_export

    totals: Counter[str] = Counter()
    shards = [
        shard
        for shard in list_shards(dataset.storage)
        if read_header(dataset.storage, AssetName.CANDIDATE_MASKS, shard) is not None
    ]
    for shard in progress.track(shards, description="retune", total=len(shards)):
        filtered = make_filtered_masks(dataset, shard)
        make_deduplicated_masks(dataset, shard)
        exported = make_sa1b_export(dataset, shard)
        totals["shards"] += 1
        totals["candidates"] += filtered.header.counts["candidates"]
        totals["kept"] += filtered.header.counts["kept"]
        totals["exported"] += exported.header.counts["masks"]
    return totals
