"""Files with a header, read from end to end: is their content that of which the header has the digest?"""

import hashlib
import json
from collections.abc import Callable
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sa_pipeline.artifacts import HEADER_KEY, ArtifactHeader, AssetName, FileAssetName, artifact_name, parse_header
from sa_pipeline.errors import ArtifactError
from sa_pipeline.storage import Storage
from sa_pipeline.table_content import content_bytes, schema_as_written
from sa_pipeline.verification.findings import FindingKind, PartReport

Look = Callable[[pa.Table], None]
"""Is handed every row group."""

_FLOATS = {"F16": "torch.float16", "F32": "torch.float32"}
_MAGIC = b"PAR1"
_CHOSEN_BY = ("image_id", "mask_id")
"""Columns by which `read_table` chooses rows."""
_LENGTH_BYTES = 8
_BLOCK = 1 << 20


def verify_content(
    storage: Storage, asset: FileAssetName, partition: str, report: PartReport, remedy: str, look: Look | None = None
) -> ArtifactHeader | None:
    """Reads a table, or the embeddings of a shard, to the end, and holds it against its header.

    Args:
        storage: Where the file lies.
        asset: One whose file is a table, or `image_embeddings`.
        partition: The shard or round; the file is there.
        report: What is found, and how much was looked at, is added to it.
        remedy: What to do about a damaged file.
        look: Takes the rows; of `image_embeddings`, a table with the column image_id.

    Returns:
        The header; None where the file is damaged.

    Raises:
        StorageError: The storage cannot be reached.
    """
    name = artifact_name(asset, partition)
    url = storage.url_of(name)
    report.tally.files += 1
    report.tally.size += storage.size(name)
    read = _read_embeddings if asset is AssetName.IMAGE_EMBEDDINGS else _read_table
    try:
        with storage.reading(name) as file:
            text, digest, writer = read(file, look)
        header = parse_header(text, name="its header")
    except _UNREADABLE as error:
        report.find(FindingKind.DAMAGED, url, f"is damaged ({_one_line(error)}); {remedy}.")
        return None
    wrong = _contradiction(header, text, asset, partition)
    if wrong is None and header.content_digest != digest:
        wrong = "has a content with another SHA-256 than its header says"
        if writer != _THIS_WRITER:
            wrong += f" (it was written by {writer}, and this is {_THIS_WRITER}, which may lay it out otherwise)"
    if wrong is not None:
        report.find(FindingKind.DAMAGED, url, f"{wrong}; {remedy}.")
        return None
    return header


# What readers raise for damaged bytes; Parquet's raises OSError for many of them.
_UNREADABLE = (ArtifactError, pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError)

_THIS_WRITER = f"parquet-cpp-arrow version {pa.__version__}"


def _contradiction(header: ArtifactHeader, text: str, asset: FileAssetName, partition: str) -> str | None:
    if (header.asset, header.partition) != (asset, partition):
        return f"is {header.asset} of {header.partition} by its header"
    if header.dump() != text:
        return "has a header that is written otherwise than this program writes one"
    return None


def _read_table(file: IO[bytes], look: Look | None) -> tuple[str, str, str]:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError(f"it does not begin with {_MAGIC.decode()}")
    parquet = pq.ParquetFile(file)
    metadata = parquet.metadata
    text = (metadata.metadata or {}).get(HEADER_KEY.encode(), b"").decode()
    schema = schema_as_written(parquet.schema_arrow)
    digest = hashlib.sha256()
    for index in range(parquet.num_row_groups):
        group = parquet.read_row_group(index)
        digest.update(content_bytes(group, schema))
        _check_bounds(group, metadata.row_group(index))
        if look is not None:
            look(group)
    return text, digest.hexdigest(), metadata.created_by


def _check_bounds(group: pa.Table, metadata: pq.RowGroupMetaData) -> None:
    """Raises ValueError where the bounds by which a reader chooses row groups are not those of the rows."""
    for place in range(metadata.num_columns):
        column = metadata.column(place)
        if column.path_in_schema not in _CHOSEN_BY or column.statistics is None:
            continue
        told = (column.statistics.min, column.statistics.max)
        found = pc.min_max(group[column.path_in_schema]).as_py()
        if told != (found["min"], found["max"]):
            raise ValueError(f"its {column.path_in_schema} lies between {told[0]} and {told[1]} by its statistics only")


def _read_embeddings(file: IO[bytes], look: Look | None) -> tuple[str, str, str]:
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    raw = file.read(length)
    entries = json.loads(raw)
    if len(raw) != length or raw.rstrip(b" ") != json.dumps(entries).encode():
        raise ValueError("its table of tensors is not as it was written")
    text: str = entries.pop("__metadata__")[HEADER_KEY]
    digest, place = hashlib.sha256(), 0
    for image_id, entry in entries.items():
        start, end = entry["data_offsets"]
        if start != place or end < start:
            raise ValueError(f"the embedding of image {image_id} begins at byte {start}; expected {place}")
        digest.update(f"{image_id} {tuple(entry['shape'])} {_FLOATS[entry['dtype']]}".encode())
        while place < end:
            data = file.read(min(_BLOCK, end - place))
            if not data:
                raise ValueError(f"it ends within the embedding of image {image_id}")
            digest.update(data)
            place += len(data)
    if file.read(1):
        raise ValueError("it goes on after the last embedding")
    if look is not None:
        look(pa.table({"image_id": pa.array([int(image_id) for image_id in entries], pa.int64())}))
    return text, digest.hexdigest(), _THIS_WRITER


def _one_line(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split()).rstrip(".")
