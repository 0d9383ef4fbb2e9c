"""The catalogue's tables, canned views, and what their columns mean."""

from collections.abc import Mapping
from typing import NamedTuple

from sa_pipeline.schemas import (
    CANDIDATE_MASKS,
    DEDUPLICATED_MASKS,
    HUMAN_MASK_EVENTS,
    HUMAN_MASKS,
    MASK_QUALITY_AUDIT,
    PREFILLED_MASKS,
    PREFILLED_OUTCOMES,
    RAW_IMAGES,
    ROUND_FIGURES,
)


class _Tables(NamedTuple):
    created: tuple[str, ...]
    """Before the files are loaded."""
    derived: tuple[str, ...]
    """From what was loaded."""


TABLES = _Tables(
    created=(
        """
        CREATE TABLE artifacts (
            asset VARCHAR, shard VARCHAR, round VARCHAR, file VARCHAR, bytes BIGINT, schema_version INTEGER,
            content_digest VARCHAR, checkpoint VARCHAR, checkpoint_digest VARCHAR, settings JSON, inputs JSON,
            counts JSON
        )
        """,
        """
        CREATE TABLE runs (
            run_id VARCHAR, job VARCHAR, shard VARCHAR, round VARCHAR, status VARCHAR, started TIMESTAMPTZ,
            ended TIMESTAMPTZ
        )
        """,
        """
        CREATE TABLE checkpoint_rounds (
            checkpoint_digest VARCHAR, round VARCHAR, architecture VARCHAR, parent VARCHAR, parent_digest VARCHAR,
            not_worse BOOLEAN, promoted BOOLEAN, in_use BOOLEAN, images BIGINT, masks BIGINT, steps BIGINT,
            seconds DOUBLE, held_out_images BIGINT, held_out_masks BIGINT, iou_1_click DOUBLE, iou_over_clicks DOUBLE,
            iou_best_of_three DOUBLE, parent_iou_1_click DOUBLE, parent_iou_over_clicks DOUBLE,
            parent_iou_best_of_three DOUBLE
        )
        """,
        "CREATE TABLE training_masks (checkpoint_digest VARCHAR, round VARCHAR, mask_id BIGINT, split VARCHAR)",
        """
        CREATE TABLE detectors (
            round VARCHAR, digest VARCHAR, rounds VARCHAR[], steps INTEGER, loss DOUBLE, train_images BIGINT,
            train_boxes BIGINT, held_out_images BIGINT, held_out_boxes BIGINT, max_boxes INTEGER,
            recall_at_half DOUBLE, average_recall DOUBLE, random_recall_at_half DOUBLE, random_average_recall DOUBLE
        )
        """,
    ),
    derived=(
        "CREATE TABLE images AS SELECT * FROM loaded_raw_images ORDER BY image_id",
        """
        CREATE TABLE deidentified_boxes AS
        SELECT image_id, shard, unnest(boxes, recursive := true) FROM loaded_deidentified_images ORDER BY image_id
        """,
        """
        CREATE TABLE candidates AS SELECT * EXCLUDE (size) FROM loaded_candidate_masks ORDER BY mask_id
        """,
        """
        CREATE TABLE verdicts AS
        SELECT f.mask_id, f.image_id, f.shard, CASE WHEN f.kept THEN d.kept ELSE false END AS kept,
               coalesce(f.dropped_by, d.dropped_by) AS dropped_by, d.suppressed_by
        FROM loaded_filtered_masks f LEFT JOIN loaded_deduplicated_masks d USING (mask_id)
        ORDER BY mask_id
        """,
        """
        CREATE TABLE masks AS
        SELECT m.* EXCLUDE (size, kept, dropped_by, suppressed_by),
               sqrt(m.area / (m.size[1]::DOUBLE * m.size[2])) AS relative_size,
               (m.bbox[1] + m.bbox[3] / 2) / m.size[2] AS center_x,
               (m.bbox[2] + m.bbox[4] / 2) / m.size[1] AS center_y,
               a.checkpoint_digest
        FROM loaded_deduplicated_masks m
        LEFT JOIN artifacts a ON a.asset = 'deduplicated_masks' AND a.shard = m.shard
        WHERE m.kept
        ORDER BY m.image_id, m.rank
        """,
        """
        CREATE TABLE shards AS
        WITH measured AS (
            SELECT shard, count(*) AS masks, avg(predicted_iou) AS predicted_iou,
                   avg(stability_score) AS stability_score, median(relative_size) AS relative_size
            FROM masks GROUP BY shard
        ), found AS (
            SELECT shard, count(*) FILTER (status = 'ok') AS images, count(*) FILTER (status = 'rejected') AS rejected
            FROM images GROUP BY shard
        )
        SELECT shard, coalesce(any_value(images), 0) AS images, coalesce(any_value(rejected), 0) AS rejected,
               coalesce(any_value(masks), 0) AS masks, any_value(predicted_iou) AS predicted_iou,
               any_value(stability_score) AS stability_score, any_value(relative_size) AS relative_size,
               count(*) AS files, max(checkpoint_digest) AS checkpoint_digest
        FROM artifacts LEFT JOIN found USING (shard) LEFT JOIN measured USING (shard)
        WHERE shard IS NOT NULL GROUP BY shard ORDER BY shard
        """,
        """
        CREATE TABLE checkpoints AS
        SELECT checkpoint AS name, checkpoint_digest AS digest, count(DISTINCT shard) AS shards,
               (SELECT count(*) FROM masks m WHERE m.checkpoint_digest = a.checkpoint_digest) AS masks
        FROM artifacts a WHERE checkpoint_digest IS NOT NULL GROUP BY ALL ORDER BY name, digest
        """,
        """
        CREATE TABLE human_masks AS
        SELECT * EXCLUDE (size), sqrt(area / (size[1]::DOUBLE * size[2])) AS relative_size
        FROM loaded_human_masks ORDER BY image_id, task_id, prominence, mask_id
        """,
        "CREATE TABLE human_mask_events AS SELECT * FROM loaded_human_mask_events ORDER BY task_id, version",
        """
        CREATE TABLE audited_masks AS
        SELECT * FROM loaded_mask_quality_audit ORDER BY round, image_id, task_id, mask_id
        """,
        """
        CREATE TABLE prefilled_masks AS
        SELECT p.*, a.checkpoint_digest, a.inputs->>'object_detector' AS detector_digest
        FROM loaded_prefilled_masks p LEFT JOIN artifacts a ON a.asset = 'prefilled_masks' AND a.round = p.round
        ORDER BY p.round, p.image_id, p.rank
        """,
        """
        CREATE TABLE prefilled_mask_outcomes AS
        SELECT * FROM loaded_prefilled_outcomes ORDER BY round, image_id, task_id, mask_id
        """,
    ),
)

VIEW_MEANINGS: Mapping[str, str] = {
    "masks_per_image": "exported masks of every good image",
    "mask_size_distribution": "exported masks by relative size, in steps of 0.05",
    "predicted_iou_distribution": "candidates by predicted IoU, in steps of 0.02",
    "stability_distribution": "candidates by stability score, in steps of 0.02",
    "funnel": "from proposals to exported masks: how many each floor and rule dropped",
    "shard_drift": "means of each shard's masks, and how far they lie from the whole dataset's",
    "throughput": "seconds, images and masks a second of every successful shard run",
    "rejected_images": "files that are no good images, and why",
    "deidentified_images": "images in which faces or licence plates were blurred, and how many",
    "labels": "labels that people gave, the most used first",
    "seconds_per_mask": "of each person in each round: masks made by hand, and what one took",
    "prefilled_outcomes": "of every round: what people did with the masks that were pre-filled",
    "masks_per_image_by_source": "masks of every good image: automatic, and accepted ones by how they came to be",
}

VIEWS = (
    """
    CREATE VIEW masks_per_image AS
    SELECT i.image_id, i.file_name, i.shard, count(m.mask_id) AS masks
    FROM images i LEFT JOIN masks m USING (image_id) WHERE i.status = 'ok'
    GROUP BY ALL ORDER BY i.image_id
    """,
    """
    CREATE VIEW mask_size_distribution AS
    SELECT least(floor(relative_size * 20) / 20, 0.95) AS relative_size_from, count(*) AS masks
    FROM masks GROUP BY ALL ORDER BY 1
    """,
    """
    CREATE VIEW predicted_iou_distribution AS
    SELECT round(floor(predicted_iou * 50) / 50, 2) AS predicted_iou_from, count(*) AS candidates
    FROM candidates GROUP BY ALL ORDER BY 1
    """,
    """
    CREATE VIEW stability_distribution AS
    SELECT round(floor(stability_score * 50) / 50, 2) AS stability_score_from, count(*) AS candidates
    FROM candidates GROUP BY ALL ORDER BY 1
    """,
    """
    CREATE VIEW funnel AS
    WITH counted AS (
        SELECT coalesce(sum((counts->>'proposals')::BIGINT), 0) AS proposals,
               coalesce(sum((counts->>'below_predicted_iou_floor')::BIGINT), 0) AS below_predicted_iou_floor,
               coalesce(sum((counts->>'below_stability_floor')::BIGINT), 0) AS below_stability_floor
        FROM artifacts WHERE asset = 'candidate_masks'
    )
    SELECT 'proposals' AS step, proposals AS masks FROM counted
    UNION ALL SELECT 'below_predicted_iou_floor', below_predicted_iou_floor FROM counted
    UNION ALL SELECT 'below_stability_floor', below_stability_floor FROM counted
    UNION ALL SELECT * FROM (SELECT dropped_by, count(*) FROM verdicts WHERE NOT kept GROUP BY ALL ORDER BY 2 DESC, 1)
    UNION ALL SELECT 'kept', count(*) FROM masks
    """,
    """
    CREATE VIEW shard_drift AS
    WITH whole AS (
        SELECT sum(predicted_iou * masks) / sum(masks) AS predicted_iou,
               sum(stability_score * masks) / sum(masks) AS stability_score
        FROM shards WHERE masks > 0
    )
    SELECT s.shard, s.masks, s.masks / nullif(s.images, 0) AS masks_per_image, s.predicted_iou, s.stability_score,
           s.relative_size, s.predicted_iou - w.predicted_iou AS predicted_iou_shift,
           s.stability_score - w.stability_score AS stability_shift
    FROM shards s, whole w WHERE s.masks > 0 ORDER BY s.shard
    """,
    """
    CREATE VIEW throughput AS
    SELECT r.shard, r.run_id, r.started, epoch(r.ended - r.started) AS seconds,
           s.images / nullif(epoch(r.ended - r.started), 0) AS images_per_second,
           s.masks / nullif(epoch(r.ended - r.started), 0) AS masks_per_second
    FROM runs r JOIN shards s USING (shard) WHERE r.status = 'SUCCESS' ORDER BY r.started
    """,
    """
    CREATE VIEW rejected_images AS
    SELECT image_id, shard, source_uri, reason, detail FROM images WHERE status = 'rejected' ORDER BY image_id
    """,
    """
    CREATE VIEW deidentified_images AS
    SELECT i.image_id, i.file_name, i.shard, count(*) FILTER (b.kind = 'face') AS faces,
           count(*) FILTER (b.kind = 'license_plate') AS license_plates
    FROM images i JOIN deidentified_boxes b USING (image_id) GROUP BY ALL ORDER BY i.image_id
    """,
    """
    CREATE VIEW labels AS
    SELECT label, kind, count(*) AS masks, count(DISTINCT image_id) AS images
    FROM human_masks WHERE label <> '' GROUP BY ALL ORDER BY masks DESC, label, kind
    """,
    """
    CREATE VIEW seconds_per_mask AS
    SELECT round, annotator, count(*) AS masks, avg(active_seconds) AS seconds_per_mask,
           median(active_seconds) AS median_seconds, avg(clicks) AS clicks_per_mask
    FROM human_masks WHERE source = 'manual' GROUP BY ALL ORDER BY round, annotator
    """,
    """
    CREATE VIEW prefilled_outcomes AS
    SELECT round, count(*) AS masks, count(*) FILTER (outcome = 'kept') AS kept,
           count(*) FILTER (outcome = 'mended') AS mended, count(*) FILTER (outcome = 'deleted') AS deleted,
           count(*) FILTER (outcome = 'kept') / count(*) AS share_kept, avg(iou) AS iou
    FROM prefilled_mask_outcomes GROUP BY ALL ORDER BY round
    """,
    """
    CREATE VIEW masks_per_image_by_source AS
    WITH counted AS (
        SELECT image_id, 'automatic' AS source, count(*) AS masks FROM masks GROUP BY ALL
        UNION ALL SELECT image_id, source, count(*) FROM human_masks GROUP BY ALL
    )
    SELECT i.image_id, i.file_name, c.source, c.masks FROM images i JOIN counted c USING (image_id)
    WHERE i.status = 'ok' ORDER BY i.image_id, c.source
    """,
)

_SHARD = {"shard": "partition that the row comes from"}


def _described(*schemas: object) -> dict[str, str]:
    return {
        field.name: field.metadata[b"description"].decode()
        for schema in schemas
        for field in schema  # type: ignore[attr-defined]  # pyarrow is untyped
    }


_IMAGES = _described(RAW_IMAGES) | _SHARD
_IMAGES.pop("jpeg")
_CANDIDATES = _described(CANDIDATE_MASKS) | _SHARD
_MASKS = _described(DEDUPLICATED_MASKS) | _SHARD
for _name in ("size", "counts"):
    _CANDIDATES.pop(_name)
for _name in ("size", "counts", "kept", "dropped_by", "suppressed_by"):
    _MASKS.pop(_name)

_HUMAN_MASKS = _described(HUMAN_MASKS)
_HUMAN_MASK_EVENTS = _described(HUMAN_MASK_EVENTS)
for _name in ("size", "counts"):
    _HUMAN_MASKS.pop(_name)
    _HUMAN_MASK_EVENTS.pop(_name)
_ROUNDS = _described(ROUND_FIGURES)
_ROUNDS.pop("inputs")
_AUDITED_MASKS = _described(MASK_QUALITY_AUDIT)
for _name in ("size", "counts", "human_counts"):
    _AUDITED_MASKS.pop(_name)

_PREFILLED_MASKS = _described(PREFILLED_MASKS)
for _name in ("size", "counts"):
    _PREFILLED_MASKS.pop(_name)

TABLE_MEANINGS: Mapping[str, str] = {
    "shards": "a shard and what is in it",
    "images": "an image, or a rejected file",
    "masks": "an exported mask, without its pixels",
    "deidentified_boxes": "a face or licence plate that was blurred",
    "candidates": "a proposal above the floors, without its pixels",
    "verdicts": "what became of a candidate",
    "checkpoints": "weights that made masks",
    "checkpoint_rounds": "weights that a round made",
    "training_masks": "a human mask that the weights of its round were trained on, or compared on",
    "human_masks": "a mask that people made or confirmed and a reviewer accepted, without its pixels",
    "human_mask_events": "a change of an object of an accepted task",
    "audited_masks": "an exported mask that a person perfected or deleted in an audit",
    "detectors": "an object detector, and how much it finds",
    "prefilled_masks": "a mask for a box of the detector that annotators of a round begin with, without its pixels",
    "prefilled_mask_outcomes": "a mask that an accepted task began with, and what its person did with it",
    "rounds": "an annotation round, and how it went",
    "runs": "a Dagster run",
    "artifacts": "a file of an asset, and what it was made from",
}

COLUMN_COMMENTS: Mapping[str, Mapping[str, str]] = {
    "artifacts": _SHARD
    | {
        "shard": "partition, null for a file of an annotation round",
        "round": "annotation round, null for a file of a shard",
        "asset": "asset that made the file",
        "file": "name within the storage root",
        "bytes": "size of the file",
        "schema_version": "version of the asset's file format and rules",
        "content_digest": "SHA-256 of what the file holds",
        "checkpoint": "name of the weights",
        "checkpoint_digest": "SHA-256 of the weights' file",
        "settings": "the settings that the content depends on",
        "inputs": "content digests of the files that it was made from",
        "counts": "what the asset counted",
    },
    "images": _IMAGES,
    "deidentified_boxes": _SHARD
    | {
        "image_id": "image that it was found in",
        "kind": "face or license_plate",
        "score": "how sure the detector was, 0 to 1",
        "bbox": "XYWH before it was enlarged and blurred, px",
        "detector": "name of the detector",
        "detector_digest": "SHA-256 of its weights, or what it says of itself",
    },
    "candidates": _CANDIDATES,
    "masks": _MASKS
    | {
        "relative_size": "square root of the mask's share of the image (paper §5)",
        "center_x": "centre of bbox, as a share of the image's width",
        "center_y": "centre of bbox, as a share of the image's height",
        "checkpoint_digest": "SHA-256 of the weights' file",
    },
    "human_masks": _HUMAN_MASKS | {"relative_size": "square root of the mask's share of the image (paper §5)"},
    "human_mask_events": _HUMAN_MASK_EVENTS,
    "audited_masks": _AUDITED_MASKS,
    "detectors": {
        "round": "annotation round, the partition",
        "digest": "SHA-256 of the weights' file",
        "rounds": "whose human masks it was trained on",
        "steps": "gradient steps of training",
        "loss": "mean over the last tenth of them",
        "train_images": "images trained on",
        "train_boxes": "boxes of people's masks on them",
        "held_out_images": "images with people's masks that are never trained on",
        "held_out_boxes": "boxes of people's masks on them",
        "max_boxes": "boxes that the detector may give for an image",
        "recall_at_half": "share of the held-out boxes that it finds at an IoU of 0.5; null without any",
        "average_recall": "mean of the shares at IoUs of 0.5 to 0.95; null without any",
        "random_recall_at_half": "as recall_at_half, of as many boxes drawn by chance",
        "random_average_recall": "as average_recall, of those",
    },
    "prefilled_masks": _PREFILLED_MASKS
    | {
        "checkpoint_digest": "SHA-256 of the weights' file of SAM",
        "detector_digest": "SHA-256 of the weights' file of the detector",
    },
    "prefilled_mask_outcomes": _described(PREFILLED_OUTCOMES),
    "rounds": _ROUNDS,
    "verdicts": _SHARD
    | {
        "mask_id": "the candidate",
        "image_id": "image that it lies on",
        "kept": "whether it is exported; null while its shard is not deduplicated",
        "dropped_by": "the rule that dropped it, null when kept",
        "suppressed_by": "mask_id of the mask that it duplicates, if any",
    },
    "shards": _SHARD
    | {
        "images": "images that are not rejected",
        "rejected": "files that are no good images",
        "masks": "exported masks",
        "predicted_iou": "mean over the exported masks",
        "stability_score": "mean over the exported masks",
        "relative_size": "median over the exported masks",
        "files": "how many of the files exist that assets make of it",
        "checkpoint_digest": "SHA-256 of the weights' file",
    },
    "checkpoints": {
        "name": "name of the weights",
        "digest": "SHA-256 of the weights' file",
        "shards": "shards that they were used on",
        "masks": "exported masks that they made",
    },
    "checkpoint_rounds": {
        "checkpoint_digest": "SHA-256 of the weights' file",
        "round": "annotation round that they were trained in",
        "architecture": "tiny, vit_b, vit_l or vit_h",
        "parent": "name of the weights that training started from",
        "parent_digest": "SHA-256 of those",
        "not_worse": "whether the evaluation let them be promoted",
        "promoted": "whether they were ever put into use",
        "in_use": "whether they are in use",
        "images": "trained on",
        "masks": "trained on",
        "steps": "of training",
        "seconds": "of the run that finished training",
        "held_out_images": "that they were compared on",
        "held_out_masks": "that were clicked on",
        "iou_1_click": "mean IoU of the held-out masks after one simulated click",
        "iou_over_clicks": "mean of that over 1, 2, 3, 5 and 9 clicks",
        "iou_best_of_three": "mean IoU of the best of the first click's three masks",
        "parent_iou_1_click": "the same of the weights that training started from",
        "parent_iou_over_clicks": "the same of the weights that training started from",
        "parent_iou_best_of_three": "the same of the weights that training started from",
    },
    "training_masks": {
        "checkpoint_digest": "SHA-256 of the weights' file",
        "round": "annotation round",
        "mask_id": "the human mask",
        "split": "train: they were trained on it; held_out: only compared on it",
    },
    "runs": {
        "run_id": "Dagster's id of the run",
        "job": "Dagster job",
        "shard": "partition, null for jobs without",
        "round": "annotation round, null for jobs without",
        "status": "as Dagster has it, such as SUCCESS",
        "started": "start of the run",
        "ended": "end of the run",
    },
}
