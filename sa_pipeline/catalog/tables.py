"""The catalogue's tables: an Arrow schema each, every table and column described."""

import pyarrow as pa

from sa_pipeline.artifacts import AssetName
from sa_pipeline.schemas import CANDIDATE_MASKS, DEDUPLICATED_MASKS, RAW_IMAGES


def _column(name: str, dtype: pa.DataType, description: str) -> pa.Field:
    return pa.field(name, dtype, metadata={"description": description})


def _without(schema: pa.Schema, *names: str) -> list[pa.Field]:
    return [field for field in schema if field.name not in names]


_SHARD = _column("shard", pa.string(), "partition that the row belongs to")
_DIGEST = _column("checkpoint_digest", pa.string(), "SHA-256 of the weights that made it")

TABLES: dict[str, tuple[str, pa.Schema]] = {
    "shards": (
        "one row per shard with what is done of it",
        pa.schema(
            [
                _SHARD,
                _column("images", pa.int64(), "images that were read, status ok"),
                _column("rejected", pa.int64(), "files that were rejected"),
                _column("masks", pa.int64(), "masks that were kept; null before deduplication"),
                *[_column(f"{asset}_file", pa.string(), f"file of {asset}; null when not made") for asset in AssetName],
                _column("settings", pa.string(), "JSON: settings of each file that is there, by asset"),
                _DIGEST,
            ]
        ),
    ),
    "images": ("one row per image or rejected file", pa.schema([*_without(RAW_IMAGES, "jpeg"), _SHARD])),
    "masks": (
        "one row per kept mask, without its pixels",
        pa.schema(
            [
                *_without(DEDUPLICATED_MASKS, "counts", "size", "kept", "dropped_by", "suppressed_by"),
                _SHARD,
                _DIGEST,
                _column("relative_size", pa.float64(), "sqrt(area / image area), 0 to 1 (paper section 5)"),
                _column("center_x", pa.float64(), "centre of bbox as a share of the image's width"),
                _column("center_y", pa.float64(), "centre of bbox as a share of the image's height"),
            ]
        ),
    ),
    "candidates": (
        "one row per candidate mask, without its pixels",
        pa.schema([*_without(CANDIDATE_MASKS, "counts", "size"), _SHARD]),
    ),
    "verdicts": (
        "one row per judged candidate with its final verdict",
        pa.schema(
            [
                _column("mask_id", pa.int64(), "the candidate"),
                _column("image_id", pa.int64(), "image that the mask lies on"),
                _SHARD,
                _column("kept", pa.bool_(), "whether it is exported; null while deduplication is not done"),
                _column("dropped_by", pa.string(), "the rule that dropped it, of filters or deduplication"),
                _column("suppressed_by", pa.int64(), "mask_id of the mask that it duplicates"),
            ]
        ),
    ),
    "checkpoints": (
        "one row per set of weights in use",
        pa.schema(
            [
                _column("name", pa.string(), "registered name or path"),
                _column("architecture", pa.string(), "such as tiny or vit_b"),
                _column("digest", pa.string(), "SHA-256 of the weights"),
                _column("masks", pa.int64(), "kept masks made with it"),
            ]
        ),
    ),
    "runs": (
        "one row per run of the orchestrator; empty without one",
        pa.schema(
            [
                _column("run_id", pa.string(), "id of the run"),
                _column("job", pa.string(), "name of the job"),
                _column("shard", pa.string(), "partition; null for a run without one"),
                _column("status", pa.string(), "such as SUCCESS or FAILURE"),
                _column("started", pa.timestamp("us", "UTC"), "when it started"),
                _column("ended", pa.timestamp("us", "UTC"), "when it ended"),
            ]
        ),
    ),
    "artifacts": (
        "one row per file made",
        pa.schema(
            [
                _column("asset", pa.string(), "asset that the file belongs to"),
                _SHARD,
                _column("file", pa.string(), "path or URL"),
                _column("bytes", pa.int64(), "size of the file"),
                _column("content_digest", pa.string(), "SHA-256 of the content"),
                _DIGEST,
                _column("inputs", pa.string(), "JSON: content digest of each input"),
                _column("counts", pa.string(), "JSON: what was counted while the file was made"),
            ]
        ),
    ),
}
"""Description and columns of each table, by name."""
