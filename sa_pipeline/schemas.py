"""The tables that travel between assets: one Arrow schema each, every column described."""

import pyarrow as pa


def _column(name: str, dtype: pa.DataType, description: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, dtype, nullable=nullable, metadata={"description": description})


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
