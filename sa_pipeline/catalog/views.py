"""Canned views: the questions that are asked of every dataset."""


def _distribution(table: str, column: str, description: str) -> tuple[str, str]:
    # Capped so that a value of exactly 1 counts with the highest bin.
    query = (
        f"SELECT least(floor({column} * 20) / 20, 0.95) AS bin_start, count(*) AS masks "
        f"FROM {table} GROUP BY bin_start ORDER BY bin_start"
    )
    return description, query


VIEWS: dict[str, tuple[str, str]] = {
    "masks_per_image": (
        "kept masks of each image that was read, 0 included",
        "SELECT i.image_id, i.file_name, i.shard, count(m.mask_id) AS masks FROM images i "
        "LEFT JOIN masks m USING (image_id) WHERE i.status = 'ok' GROUP BY ALL ORDER BY i.image_id",
    ),
    "mask_size_distribution": _distribution("masks", "relative_size", "kept masks by relative size, in bins of 0.05"),
    "stability_distribution": _distribution("candidates", "stability_score", "candidates by stability, bins of 0.05"),
    "predicted_iou_distribution": _distribution(
        "candidates", "predicted_iou", "candidates by predicted IoU, bins of 0.05; the last holds all above 0.95"
    ),
    "funnel": (
        "what became of the decoder's proposals: kept, or the rule that dropped them",
        "WITH c AS (SELECT asset, unnest(json_keys(counts)) AS key, counts FROM artifacts), "
        "n AS (SELECT asset, key, CAST(json_extract(counts, '$.' || key) AS BIGINT) AS masks FROM c) "
        "SELECT asset, key AS outcome, CAST(sum(masks) AS BIGINT) AS masks FROM n "
        "WHERE (asset = 'candidate_masks' AND key <> 'images') OR (asset = 'filtered_masks' AND key <> 'candidates') "
        "OR (asset = 'deduplicated_masks' AND key <> 'masks') GROUP BY ALL ORDER BY asset, outcome",
    ),
    "shard_drift": (
        "scores of each shard's kept masks beside those of the whole",
        "WITH w AS (SELECT avg(predicted_iou) p, avg(stability_score) s FROM masks), "
        "n AS (SELECT shard, avg(masks) per_image FROM masks_per_image GROUP BY shard), "
        "a AS (SELECT avg(masks) per_image FROM masks_per_image) "
        "SELECT m.shard, avg(m.predicted_iou) AS predicted_iou, quantile_cont(m.predicted_iou, 0.1) AS predicted_iou_p10, "
        "quantile_cont(m.predicted_iou, 0.9) AS predicted_iou_p90, avg(m.predicted_iou) - any_value(w.p) "
        "AS predicted_iou_drift, avg(m.stability_score) AS stability_score, quantile_cont(m.stability_score, 0.1) "
        "AS stability_score_p10, quantile_cont(m.stability_score, 0.9) AS stability_score_p90, "
        "avg(m.stability_score) - any_value(w.s) AS stability_score_drift, any_value(n.per_image) AS masks_per_image, "
        "any_value(n.per_image) - any_value(a.per_image) AS masks_per_image_drift "
        "FROM masks m JOIN n USING (shard), w, a GROUP BY m.shard ORDER BY m.shard",
    ),
    "throughput": (
        "seconds and images a second of each successful run of a shard",
        "SELECT r.run_id, r.shard, r.started, epoch(r.ended - r.started) AS seconds, "
        "s.images / nullif(epoch(r.ended - r.started), 0) AS images_per_second "
        "FROM runs r JOIN shards s USING (shard) WHERE r.status = 'SUCCESS' ORDER BY r.started",
    ),
    "rejected_images": (
        "files that were rejected, with the reason",
        "SELECT image_id, shard, source_uri, reason, detail FROM images WHERE status = 'rejected' ORDER BY image_id",
    ),
}
"""Description and query of each view, in the order of their creation."""
