"""The tables that travel between assets: one Arrow schema each, every column described."""

import enum

import pyarrow as pa


class Split(enum.StrEnum):
    """What a human mask of a training set is for."""

    TRAIN = "train"
    HELD_OUT = "held_out"


def _column(name: str, dtype: pa.DataType, description: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, dtype, nullable=nullable, metadata={"description": description})


_TIME = pa.timestamp("us", "UTC")


def _fixed(dtype: pa.DataType, length: int) -> pa.DataType:
    return pa.list_(pa.field("item", dtype, nullable=False), length)


RAW_IMAGES = pa.schema(
    [
        _column("image_id", pa.int64(), "1-based position in the ledger; below 2**33"),
        _column("file_name", pa.string(), "name in the export: sa_{image_id}.jpg"),
        _column("source_uri", pa.string(), "where the file was read"),
        _column("sha256", pa.string(), "SHA-256 of the source file's bytes", nullable=True),
        _column("width", pa.int32(), "px, of the stored image", nullable=True),
        _column("height", pa.int32(), "px, of the stored image", nullable=True),
        _column("source_width", pa.int32(), "px, upright, before downsizing", nullable=True),
        _column("source_height", pa.int32(), "px, upright, before downsizing", nullable=True),
        _column("format", pa.string(), "format of the source file, such as JPEG", nullable=True),
        _column("status", pa.string(), "ok or rejected"),
        _column("reason", pa.string(), "why it was rejected, in one word", nullable=True),
        _column("detail", pa.string(), "why it was rejected, in a sentence", nullable=True),
        _column(
            "jpeg",
            pa.binary(),
            "the image as it is exported; every later step decodes these bytes",
            nullable=True,
        ),
    ]
)

DEIDENTIFIED_BOX = pa.struct(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("bbox", _fixed(pa.float64(), 4), nullable=False),
        pa.field("detector", pa.string(), nullable=False),
        pa.field("detector_digest", pa.string(), nullable=False),
    ]
)

DEIDENTIFIED_IMAGES = pa.schema(
    [
        _column("image_id", pa.int64(), "the image, one that was not rejected"),
        _column("faces", pa.int32(), "found and blurred"),
        _column("license_plates", pa.int32(), "found and blurred"),
        _column("found_again", pa.int32(), "of these, found once more where they had been blurred"),
        _column(
            "boxes",
            pa.list_(pa.field("item", DEIDENTIFIED_BOX, nullable=False)),
            "face or license_plate; how sure the detector was, 0 to 1; XYWH before it was enlarged, px; name and "
            "digest of the detector",
        ),
        _column(
            "jpeg",
            pa.binary(),
            "the image with the boxes blurred; null where there are none, and the one of raw_images is used",
            nullable=True,
        ),
    ]
)

CANDIDATE_MASKS = pa.schema(
    [
        _column("mask_id", pa.int64(), "image_id * 1,000,000 + number of the proposal; below 2**53"),
        _column("image_id", pa.int64(), "image that the mask lies on"),
        _column("crop_index", pa.int32(), "number of the crop; 0 is the full image"),
        _column("crop_layer", pa.int32(), "0 is the full image, 1 has 2x2 crops, 2 has 4x4"),
        _column("crop_box", _fixed(pa.int32(), 4), "XYWH, px"),
        _column("point_coords", _fixed(pa.float64(), 2), "XY of the prompt, px of the full image"),
        _column("granularity", pa.string(), "subpart, part or whole: which of the decoder's three masks"),
        _column("predicted_iou", pa.float32(), "the model's own estimate of the mask's IoU"),
        _column("stability_score", pa.float32(), "IoU of the masks at thresholds +offset and -offset"),
        _column("bbox", _fixed(pa.int32(), 4), "XYWH, px; width is x_max - x_min of foreground pixels"),
        _column("area", pa.int64(), "foreground pixels"),
        _column("size", _fixed(pa.int32(), 2), "height, width of the full image, px"),
        _column("counts", pa.string(), "COCO compressed run lengths"),
    ]
)

FILTERED_MASKS = pa.schema(
    [
        _column("mask_id", pa.int64(), "the candidate"),
        _column("image_id", pa.int64(), "image that the mask lies on"),
        _column("kept", pa.bool_(), "whether it passed every rule"),
        _column("dropped_by", pa.string(), "the first rule that it failed, null when kept", nullable=True),
    ]
)

DEDUPLICATED_MASKS = pa.schema(
    [
        *CANDIDATE_MASKS,
        _column("kept", pa.bool_(), "whether it is exported"),
        _column("dropped_by", pa.string(), "the rule that dropped it, null when kept", nullable=True),
        _column("suppressed_by", pa.int64(), "mask_id of the mask that it duplicates, if any", nullable=True),
        _column("rank", pa.int32(), "position in the image's record, 0 first; null when not kept", nullable=True),
        _column("island_area_removed", pa.int64(), "px removed by clean-up"),
        _column("hole_area_filled", pa.int64(), "px filled by clean-up"),
    ]
)

_PROMPTS = (
    _column("predicted_iou", pa.float64(), "SAM's estimate at the last prompt; null without one", nullable=True),
    _column(
        "point_coords", pa.list_(_fixed(pa.float64(), 2)), "XY of the clicks that SAM was asked with, px of the image"
    ),
    _column("point_labels", pa.list_(pa.int8()), "of the clicks: 1 foreground, 0 background"),
    _column(
        "box", pa.list_(pa.float64(), 4), "XYXY of the box that SAM was asked with, px; null without", nullable=True
    ),
)

_OBJECT = (
    _column("label", pa.string(), "in the annotator's own words; empty for none"),
    _column("kind", pa.string(), "thing or stuff"),
    _column("unnameable", pa.bool_(), "whether the annotator could not name it"),
    _column("prominence", pa.int32(), "0 is the most prominent of the image"),
    _column("source", pa.string(), "manual, prefilled or imported: how it first came to be"),
    _column("source_mask_id", pa.int64(), "the automatic mask that it was pre-filled from, if any", nullable=True),
    *_PROMPTS,
)

HUMAN_MASKS = pa.schema(
    [
        _column("mask_id", pa.int64(), "2**33 * 1,000,000 + task_id * 10,000 + number of the object; below 2**53"),
        _column("image_id", pa.int64(), "image that the mask lies on"),
        _column("shard", pa.string(), "shard of the image"),
        _column("round", pa.string(), "annotation round"),
        _column("stage", pa.string(), "of the round: assisted_manual, semi_automatic or audit"),
        _column("task_id", pa.int64(), "one person's work on the image"),
        _column("replica", pa.int32(), "0 for the first of several people who work on the image on their own"),
        _column("pilot", pa.bool_(), "whether the task was one of the pilot"),
        _column("object_id", pa.string(), "UUID of the object within the task"),
        _column("annotator", pa.string(), "pseudonym of who made the task, person-N; null if imported", nullable=True),
        _column("reviewer", pa.string(), "pseudonym of who accepted it; null if imported", nullable=True),
        *_OBJECT,
        _column("bbox", _fixed(pa.int32(), 4), "XYWH, px; width is x_max - x_min of foreground pixels"),
        _column("area", pa.int64(), "foreground pixels"),
        _column("size", _fixed(pa.int32(), 2), "height, width of the image, px"),
        _column("counts", pa.string(), "COCO compressed run lengths"),
        _column("clicks", pa.int32(), "clicks that people made for it, those taken back included"),
        _column("boxes", pa.int32(), "boxes that people drew for it, those taken back included"),
        _column("brush_strokes", pa.int32(), "strokes of brush and eraser, those taken back included"),
        _column("active_seconds", pa.float64(), "that people worked on it, idle and hidden time left out"),
        _column("seconds", pa.float64(), "from the first to the last change of a person; 0 without one"),
        _column("checkpoint_digest", pa.string(), "SHA-256 of the weights that SAM helped with", nullable=True),
        _column("accepted_at", _TIME, "when the reviewer accepted the task"),
    ]
)

TRAINING_SET = pa.schema(
    [
        _column("mask_id", pa.int64(), "the human mask"),
        _column("image_id", pa.int64(), "image that the mask lies on"),
        _column("shard", pa.string(), "shard of the image"),
        _column("round", pa.string(), "annotation round"),
        _column("split", pa.string(), "train, or held_out: never trained on, models are compared there"),
        _column("replica", pa.int32(), "0 for the first of several people who work on the image on their own"),
        _column("annotator", pa.string(), "pseudonym of who made the task, person-N; null if imported", nullable=True),
        _column("bbox", _fixed(pa.int32(), 4), "XYWH, px; width is x_max - x_min of foreground pixels"),
        _column("area", pa.int64(), "foreground pixels"),
        _column("size", _fixed(pa.int32(), 2), "height, width of the image, px"),
        _column("counts", pa.string(), "COCO compressed run lengths"),
    ]
)

TRAINED_MASKS = pa.schema([TRAINING_SET.field(name) for name in ("mask_id", "round", "split")])

MASK_QUALITY_AUDIT = pa.schema(
    [
        _column("mask_id", pa.int64(), "the automatic mask"),
        _column("human_mask_id", pa.int64(), "what the person made of it; null where it was deleted", nullable=True),
        _column("image_id", pa.int64(), "image that both lie on"),
        _column("shard", pa.string(), "shard of the image"),
        _column("round", pa.string(), "annotation round of the audit"),
        _column("task_id", pa.int64(), "one person's work on the image"),
        _column("first_person", pa.bool_(), "whether it is the image's first task; shares are over these rows"),
        _column("annotator", pa.string(), "pseudonym of who looked at it, person-N", nullable=True),
        _column("outcome", pa.string(), "kept: no pixel was changed; mended; deleted"),
        _column("iou", pa.float64(), "IoU of the two masks; null where it was deleted", nullable=True),
        _column(
            "agreement_iou",
            pa.float64(),
            "IoU with what the image's first person made of the same mask; null for the first person's own, and where "
            "either deleted it",
            nullable=True,
        ),
        _column("area", pa.int64(), "foreground pixels of the automatic mask"),
        _column("predicted_iou", pa.float64(), "the model's own estimate for the automatic mask", nullable=True),
        _column("active_seconds", pa.float64(), "that the person worked on it; 0 where it was deleted"),
        _column("size", _fixed(pa.int32(), 2), "height, width of the image, px"),
        _column("counts", pa.string(), "COCO compressed run lengths of the automatic mask"),
        _column("human_counts", pa.string(), "the same of what the person made of it", nullable=True),
    ]
)

PREFILLED_MASKS = pa.schema(
    [
        _column(
            "mask_id",
            pa.int64(),
            "image_id * 1,000,000 + 500,000 + 500 * a number of the round + rank; below 2**53, no other mask's",
        ),
        _column("image_id", pa.int64(), "image that the mask lies on"),
        _column("shard", pa.string(), "shard of the image"),
        _column("round", pa.string(), "annotation round that is to begin with it"),
        _column("rank", pa.int32(), "position among the image's, 0 for the highest predicted IoU"),
        _column("box", _fixed(pa.float64(), 4), "XYXY of the detector's box that SAM was asked with, px"),
        _column("box_score", pa.float32(), "how sure the detector was, 0 to 1"),
        _column("predicted_iou", pa.float32(), "SAM's own estimate of the mask's IoU"),
        _column("stability_score", pa.float32(), "IoU of the masks at thresholds +offset and -offset"),
        _column("bbox", _fixed(pa.int32(), 4), "XYWH, px; width is x_max - x_min of foreground pixels"),
        _column("area", pa.int64(), "foreground pixels"),
        _column("size", _fixed(pa.int32(), 2), "height, width of the image, px"),
        _column("counts", pa.string(), "COCO compressed run lengths"),
    ]
)

PREFILLED_OUTCOMES = pa.schema(
    [
        _column(
            "mask_id",
            pa.int64(),
            "the mask that was pre-filled, of prefilled_masks or an automatic one; null if imported",
            nullable=True,
        ),
        _column("human_mask_id", pa.int64(), "what the person made of it; null where it was deleted", nullable=True),
        _column("image_id", pa.int64(), "image that both lie on"),
        _column("shard", pa.string(), "shard of the image"),
        _column("round", pa.string(), "annotation round"),
        _column("task_id", pa.int64(), "one person's work on the image"),
        _column("annotator", pa.string(), "pseudonym of that person, person-N", nullable=True),
        _column("outcome", pa.string(), "kept: no pixel was changed; mended; deleted"),
        _column("iou", pa.float64(), "IoU of the two masks; null where it was deleted", nullable=True),
        _column("active_seconds", pa.float64(), "that the person worked on it; 0 where it was deleted"),
        _column("predicted_iou", pa.float64(), "SAM's own estimate for the pre-filled mask", nullable=True),
        _column("stability_score", pa.float32(), "of a mask of prefilled_masks, else null", nullable=True),
        _column("box_score", pa.float32(), "of the detector, for a mask of prefilled_masks, else null", nullable=True),
    ]
)

HUMAN_MASK_EVENTS = pa.schema(
    [
        _column("op_id", pa.string(), "UUID of the change"),
        _column("mask_id", pa.int64(), "of the object; one that was deleted has no row among the masks"),
        _column("image_id", pa.int64(), "image that the object lies on"),
        _column("shard", pa.string(), "shard of the image"),
        _column("round", pa.string(), "annotation round"),
        _column("task_id", pa.int64(), "one person's work on the image"),
        _column("version", pa.int32(), "of the task after the change, from 1"),
        _column("object_id", pa.string(), "UUID of the object within the task"),
        _column("person", pa.string(), "pseudonym of who did it, person-N; null for the pipeline", nullable=True),
        _column("tool", pa.string(), "what it was done with, such as click, brush or label"),
        _column("at", _TIME, "by the clock of the person's browser"),
        _column("received_at", _TIME, "by the clock of the server"),
        _column("active_seconds", pa.float64(), "worked since the change before, idle and hidden time left out"),
        *_OBJECT,
        _column("deleted", pa.bool_(), "whether the object was deleted by it"),
        _column("size", _fixed(pa.int32(), 2), "height, width of the image, px"),
        _column("counts", pa.string(), "COCO compressed run lengths after it; null for nothing painted", nullable=True),
    ]
)

ROUND_FIGURES = pa.schema(
    [
        _column("round", pa.string(), "annotation round"),
        _column("stage", pa.string(), "of the round; null without an accepted mask", nullable=True),
        _column("begun", _TIME, "when its first task was accepted; null without an accepted mask", nullable=True),
        _column("tasks", pa.int64(), "accepted: one person's work on an image each"),
        _column("images", pa.int64(), "different images of these"),
        _column("annotators", pa.int64(), "people who made one of the masks"),
        _column("manual", pa.int64(), "masks that people made themselves"),
        _column("prefilled", pa.int64(), "masks that were shown first, and kept or mended"),
        _column("imported", pa.int64(), "masks from elsewhere"),
        _column(
            "seconds_per_mask", pa.float64(), "mean over manual masks, idle and hidden time left out", nullable=True
        ),
        _column("median_seconds_per_mask", pa.float64(), "the median of the same", nullable=True),
        _column("clicks_per_mask", pa.float64(), "mean over manual masks, those taken back included", nullable=True),
        _column("strokes_per_mask", pa.float64(), "of brush and eraser, the same", nullable=True),
        _column("manual_per_task", pa.float64(), "manual masks of an image and person", nullable=True),
        _column("prefilled_per_task", pa.float64(), "pre-filled masks of the same", nullable=True),
        _column(
            "automatic_per_image", pa.float64(), "masks of the automatic stage on the round's images", nullable=True
        ),
        _column("shown", pa.int64(), "masks that tasks began with"),
        _column("kept", pa.int64(), "of these, without any change"),
        _column("mended", pa.int64(), "of these, with some"),
        _column("deleted", pa.int64(), "of these"),
        _column("clicked_masks", pa.int64(), "manual masks that took at least one click"),
        _column(
            "iou_by_clicks",
            pa.list_(pa.field("item", pa.float64(), nullable=False)),
            "mean IoU of the mask after the 1st, 2nd ... 9th click with the accepted one, over the clicked masks; one "
            "with fewer clicks counts with its last",
        ),
        _column("shared_images", pa.int64(), "on which several people have masks"),
        _column(
            "agreement", pa.float64(), "mean over their masks of the best IoU with a mask of another", nullable=True
        ),
        _column("checkpoint_digest", pa.string(), "SHA-256 of the SAM weights that the round made", nullable=True),
        _column("not_worse", pa.bool_(), "whether the evaluation let them be promoted", nullable=True),
        _column("held_out_masks", pa.int64(), "that they were compared on", nullable=True),
        _column(
            "parent_iou_1_click",
            pa.float64(),
            "mean IoU of these after one simulated click, of the weights that training started from",
            nullable=True,
        ),
        _column("iou_1_click", pa.float64(), "the same of the new weights", nullable=True),
        _column(
            "parent_iou_over_clicks",
            pa.float64(),
            "mean over 1, 2, 3, 5 and 9 clicks, of the weights that training started from",
            nullable=True,
        ),
        _column("iou_over_clicks", pa.float64(), "the same of the new weights", nullable=True),
        _column(
            "detector_recall",
            pa.float64(),
            "share of people's boxes on held-out images that the round's detector finds at an IoU of 0.5",
            nullable=True,
        ),
        _column("detector_average_recall", pa.float64(), "the mean over IoUs of 0.5 to 0.95", nullable=True),
        _column("inputs", pa.string(), "digest of the files that what needs pixels was read from"),
    ]
)
