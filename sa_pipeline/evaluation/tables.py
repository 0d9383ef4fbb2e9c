"""What an evaluation writes: four tables, kept image by image while it runs, then joined."""

import enum
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from sa_pipeline.artifacts import HEADER_KEY
from sa_pipeline.errors import ArtifactError
from sa_pipeline.storage import Storage


class Method(enum.StrEnum):
    """Who made a proposal."""

    SAM = "sam"
    FELZENSZWALB = "felzenszwalb"


class TableName(enum.StrEnum):
    """The tables, in the order in which an image's parts are published: the last one says that all are there."""

    SEGMENTS = "segments"
    CLICKS = "clicks"
    PROPOSALS = "proposals"
    IMAGES = "images"


def _field(name: str, dtype: pa.DataType, nullable: bool = False) -> pa.Field:
    return pa.field(name, dtype, nullable=nullable)


_IMAGE = _field("image", pa.string())

SCHEMAS: Mapping[TableName, pa.Schema] = {
    # A row is a person's segment of at least the least area; its best IoU with the proposals of each method.
    TableName.SEGMENTS: pa.schema(
        [
            _IMAGE,
            _field("annotator", pa.int32()),
            _field("segment", pa.int32()),
            _field("area", pa.int64()),
            _field("best_iou_sam", pa.float64()),
            _field("best_rank_sam", pa.int32(), nullable=True),
            _field("best_iou_felzenszwalb", pa.float64()),
            _field("best_iou_people", pa.float64(), nullable=True),
            _field("counts", pa.string()),
        ]
    ),
    # A row is a mask that the model gave for a segment after some clicks.
    TableName.CLICKS: pa.schema(
        [
            _IMAGE,
            _field("annotator", pa.int32()),
            _field("segment", pa.int32()),
            _field("clicks", pa.int32()),
            _field("output", pa.int32()),
            _field("chosen", pa.bool_()),
            _field("predicted_iou", pa.float64()),
            _field("iou", pa.float64()),
            _field("x", pa.int32(), nullable=True),
            _field("y", pa.int32(), nullable=True),
            _field("foreground", pa.bool_(), nullable=True),
            _field("counts", pa.string()),
        ]
    ),
    # A row is a proposal, ranked from 0 within its image and method, with its best IoU with anybody's segment.
    TableName.PROPOSALS: pa.schema(
        [
            _IMAGE,
            _field("method", pa.string()),
            _field("rank", pa.int32()),
            _field("score", pa.float64()),
            _field("predicted_iou", pa.float64(), nullable=True),
            _field("stability_score", pa.float64(), nullable=True),
            _field("best_iou", pa.float64()),
            _field("counts", pa.string()),
        ]
    ),
    TableName.IMAGES: pa.schema(
        [
            _IMAGE,
            _field("width", pa.int32()),
            _field("height", pa.int32()),
            _field("annotators", pa.int32()),
            _field("segments", pa.int32()),
            _field("seconds_sam", pa.float64()),
            _field("seconds_felzenszwalb", pa.float64()),
            _field("seconds_clicks", pa.float64()),
        ]
    ),
}

Tables = Mapping[TableName, pa.Table]


def write_part(storage: Storage, index: int, tables: Tables, header: str) -> None:
    """Publishes the tables of one image.

    Raises:
        StorageError: A file cannot be written.
    """
    for name in TableName:
        schema = SCHEMAS[name].with_metadata({HEADER_KEY: header})
        with storage.writing(_part(name, index)) as path:
            pq.write_table(tables[name].cast(schema), path, compression="zstd")


def is_done(storage: Storage, index: int, header: str) -> bool:
    """Whether the tables of an image are there and were made under that header."""
    name = _part(TableName.IMAGES, index)
    if not storage.exists(name):
        return False
    try:
        with storage.reading(name) as file:
            return pq.read_schema(file).metadata.get(HEADER_KEY.encode()) == header.encode()
    except pa.ArrowException:
        return False


def join_parts(storage: Storage, count: int) -> None:
    """Joins the parts of images 0 to `count` - 1, in this order, to one file per table, `TABLE.parquet`.

    Raises:
        StorageError: A part is missing or a file cannot be written.
        ArtifactError: A part is damaged.
    """
    for name in TableName:
        with storage.writing(_whole(name)) as path, pq.ParquetWriter(path, SCHEMAS[name], compression="zstd") as writer:
            for table in _parts(storage, name, count):
                writer.write_table(table)


Filters = Sequence[tuple[str, str, object]]
"""Conditions on rows, all of which hold: (column, "=", value)."""


def read_whole(
    storage: Storage, name: TableName, columns: list[str] | None = None, filters: Filters | None = None
) -> pa.Table:
    """Reads a joined table, or some columns and rows of it.

    Raises:
        StorageError: It does not exist.
        ArtifactError: It is damaged.
    """
    return _read(storage, _whole(name), columns, filters)


def _parts(storage: Storage, name: TableName, count: int) -> Iterator[pa.Table]:
    for index in range(count):
        yield _read(storage, _part(name, index)).replace_schema_metadata(None)


def _read(storage: Storage, name: str, columns: list[str] | None = None, filters: Filters | None = None) -> pa.Table:
    with storage.reading(name) as file:
        try:
            return pq.read_table(file, columns=columns, filters=filters)
        except pa.ArrowException as error:
            raise ArtifactError(
                f"{storage.url_of(name)} is damaged ({error}); delete it and evaluate again."
            ) from error


def _part(name: TableName, index: int) -> str:
    return f"parts/{name}/{index:06d}.parquet"


def _whole(name: TableName) -> str:
    return f"{name}.parquet"
