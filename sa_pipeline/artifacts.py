"""The files that assets make: where they lie, what their headers say, whether they are fresh."""

import contextlib
import enum
import hashlib
import io
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from sa_pipeline.errors import ArtifactError, MissingFileError, describe_validation_error
from sa_pipeline.storage import Storage
from sa_pipeline.table_content import content_bytes

HEADER_KEY = "sa_pipeline"
"""Key of the JSON header in the metadata of a Parquet or safetensors file."""

_ANY = "*"
"""Stands for the partition in the name of a file."""


class AssetName(enum.StrEnum):
    """The assets of the shard flow, in the order of the data."""

    RAW_IMAGES = "raw_images"
    DEIDENTIFIED_IMAGES = "deidentified_images"
    IMAGE_EMBEDDINGS = "image_embeddings"
    CANDIDATE_MASKS = "candidate_masks"
    FILTERED_MASKS = "filtered_masks"
    DEDUPLICATED_MASKS = "deduplicated_masks"
    SA1B_EXPORT = "sa1b_export"


class RoundAssetName(enum.StrEnum):
    """The assets of an annotation round that are files."""

    HUMAN_MASKS = "human_masks"
    HUMAN_MASK_EVENTS = "human_mask_events"
    TRAINING_SET = "training_set"
    MASK_QUALITY_AUDIT = "mask_quality_audit"
    OBJECT_DETECTOR = "object_detector"
    PREFILLED_MASKS = "prefilled_masks"
    SAM_CHECKPOINT = "sam_checkpoint"


FileAssetName = AssetName | RoundAssetName
"""An asset whose partition, a shard or a round, is one file."""

SCHEMA_VERSIONS: Mapping[FileAssetName, int] = {
    **dict.fromkeys((*AssetName, *RoundAssetName), 1),
    AssetName.SA1B_EXPORT: 2,  # the index ends with its own digest
}
"""Raised when an asset's file or the rule that makes it changes, so that files made before are stale."""


class CheckpointRef(BaseModel):
    """Which weights made a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    architecture: str
    digest: str


class ArtifactHeader(BaseModel):
    """What a file was made from; two files with equal provenance hold the same content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: FileAssetName
    partition: str
    schema_version: int
    settings: dict[str, Any]
    inputs: dict[str, str]
    checkpoint: CheckpointRef | None = None
    counts: dict[str, int] = {}
    content_digest: str = ""

    @property
    def provenance(self) -> "ArtifactHeader":
        """The header without what is known only after the work: counts and content digest."""
        return self.model_copy(update={"counts": {}, "content_digest": ""})

    def dump(self) -> str:
        """Serialises to JSON with sorted keys, so that equal headers are equal bytes."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def artifact_name(asset: FileAssetName, partition: str) -> str:
    """Name of an asset's file within the storage root.

    The file that is named carries the header. For `sa1b_export` this is the index, published after its tar.
    """
    match asset:
        case AssetName.IMAGE_EMBEDDINGS:
            return f"{asset}/{partition}.safetensors"
        case AssetName.SA1B_EXPORT:
            return f"{asset}/sa_{partition}.index.json"
        case RoundAssetName.OBJECT_DETECTOR | RoundAssetName.SAM_CHECKPOINT:
            return f"{asset}/{partition}.json"
        case _:
            return f"{asset}/{partition}.parquet"


def list_rounds(storage: Storage) -> list[str]:
    """Names of the annotation rounds of which a snapshot lies there, sorted."""
    return list_partitions(storage, RoundAssetName.HUMAN_MASKS)


def list_partitions(storage: Storage, asset: FileAssetName) -> list[str]:
    """Shards or rounds of which an asset's file lies there, sorted."""
    folder, name = artifact_name(asset, _ANY).split("/")
    before, after = name.split(_ANY)
    names = (found.removeprefix(f"{folder}/") for found in storage.list(folder, after))
    return [name.removeprefix(before).removesuffix(after) for name in names if name.startswith(before)]


def export_tar_name(shard: str) -> str:
    """Name of a shard's tar within the storage root."""
    return f"{AssetName.SA1B_EXPORT}/sa_{shard}.tar"


def parse_header(text: str | bytes, *, name: str) -> ArtifactHeader:
    """Reads a header that was found in the file `name`.

    Raises:
        ArtifactError: The text is not a header.
    """
    try:
        return ArtifactHeader.model_validate_json(text)
    except ValidationError as error:
        raise ArtifactError(describe_validation_error(error, name=name)) from None


def read_header(storage: Storage, asset: FileAssetName, partition: str) -> ArtifactHeader | None:
    """Reads the header of an asset's file; None when the file does not exist.

    Raises:
        ArtifactError: The file is there but damaged or not made by this pipeline.
    """
    name = artifact_name(asset, partition)
    try:
        with storage.reading(name) as file:
            match asset:
                case AssetName.IMAGE_EMBEDDINGS:
                    text = _header_of_tensors(file)
                case AssetName.SA1B_EXPORT:
                    text = _header_of_export(storage, partition, file)
                case RoundAssetName.OBJECT_DETECTOR | RoundAssetName.SAM_CHECKPOINT:
                    text = json.dumps(json.loads(file.read())["header"])
                case _:
                    text = pq.read_metadata(file).metadata[HEADER_KEY.encode()]
    except MissingFileError:
        return None
    except (LookupError, AttributeError, TypeError, ValueError, MemoryError, OverflowError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{storage.url_of(name)} is damaged or not a file of this pipeline ({error}); "
            f"delete it and materialize {asset} for {partition} again."
        ) from error
    return parse_header(text, name=storage.url_of(name))


def _header_of_tensors(file: IO[bytes]) -> str:
    """The header of a safetensors file, which stands before the tensors: one that breaks off has it, too."""
    length = int.from_bytes(file.read(8), "little")
    entries = json.loads(file.read(length))
    text: str = entries.pop("__metadata__")[HEADER_KEY]
    expected = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    _require_size(file.seek(0, io.SEEK_END), expected)
    return text


def _header_of_export(storage: Storage, shard: str, file: IO[bytes]) -> str:
    """The header of an index, whose tar lies beside it."""
    index = json.loads(file.read())
    try:
        size = storage.size(export_tar_name(shard))
    except MissingFileError:
        raise ValueError("its tar is missing") from None
    _require_size(size, index["tar_size"])
    return json.dumps(index["header"])


def _require_size(found: int, expected: int) -> None:
    if found != expected:
        raise ValueError(f"{found} bytes are there, expected {expected}")


def is_fresh(storage: Storage, expected: ArtifactHeader) -> bool:
    """Whether the file exists and was made from the same inputs, settings, checkpoint and schema as `expected`."""
    try:
        header = read_header(storage, expected.asset, expected.partition)
    except ArtifactError:
        return False
    return header is not None and header.provenance == expected.provenance


def input_digest(storage: Storage, asset: FileAssetName, partition: str) -> str:
    """Content digest of an asset's file, for the headers of the files that are made from it.

    Raises:
        ArtifactError: The file does not exist or is damaged.
    """
    header = read_header(storage, asset, partition)
    if header is None:
        raise ArtifactError(
            f"{storage.url_of(artifact_name(asset, partition))} does not exist; materialize {asset} first."
        )
    return header.content_digest


class TableWriter:
    """Writes one asset's rows, a row group per call, and counts for the header."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema, header: ArtifactHeader) -> None:
        """Wraps an open Parquet writer; use `writing_table`."""
        self._writer = writer
        self._schema = schema
        self._header = header
        self._digest = hashlib.sha256()
        self.counts: Counter[str] = Counter()
        """What becomes the header's `counts`."""
        self.header: ArtifactHeader | None = None
        """The complete header once the file is closed."""

    def write(self, table: pa.Table) -> None:
        """Appends rows as one row group. Tables with no rows are skipped.

        Args:
            table: Rows with exactly the asset's columns.
        """
        if table.num_rows == 0:
            return
        table = table.cast(self._schema).combine_chunks()
        self._digest.update(content_bytes(table, self._schema))
        self._writer.write_table(table)

    def close(self) -> None:
        """Completes the header and closes the file."""
        self.header = self._header.model_copy(
            update={"counts": dict(self.counts), "content_digest": self._digest.hexdigest()}
        )
        self._writer.add_key_value_metadata({HEADER_KEY: self.header.dump()})
        self._writer.close()


@contextlib.contextmanager
def writing_table(storage: Storage, schema: pa.Schema, header: ArtifactHeader) -> Iterator[TableWriter]:
    """Opens an asset's Parquet file for writing; it is published when the block ends without an error.

    Raises:
        StorageError: The file cannot be written.
    """
    with storage.writing(artifact_name(header.asset, header.partition)) as path:
        parquet = pq.ParquetWriter(path, schema, compression="zstd", compression_level=3, store_schema=True)
        writer = TableWriter(parquet, schema, header)
        try:
            yield writer
            writer.close()
        finally:
            parquet.close()


def read_table(
    storage: Storage,
    asset: FileAssetName,
    partition: str,
    *,
    columns: list[str] | None = None,
    image_id: int | None = None,
    mask_ids: Collection[int] | None = None,
) -> pa.Table:
    """Reads an asset's Parquet file.

    Args:
        storage: Where the file lies.
        asset: Any asset whose file is a table.
        partition: The shard or round.
        columns: Read only these.
        image_id: Read only the rows of this image.
        mask_ids: Read only the rows of these masks.

    Raises:
        ArtifactError: The file does not exist or is damaged.
    """
    name = artifact_name(asset, partition)
    if not storage.exists(name):
        raise ArtifactError(f"{storage.url_of(name)} does not exist; materialize {asset} for {partition} first.")
    filters: list[tuple[str, str, Any]] = [("image_id", "=", image_id)] if image_id is not None else []
    if mask_ids is not None:
        filters.append(("mask_id", "in", list(mask_ids)))
    try:
        with storage.reading(name) as file:
            return pq.read_table(file, columns=columns, filters=filters or None)
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(f"{storage.url_of(name)} is damaged ({error}); materialize it again.") from error


def iterate_row_groups(
    storage: Storage, asset: FileAssetName, partition: str, *, columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """Yields an asset's row groups one after another, so that a shard need not fit in memory.

    Raises:
        ArtifactError: The file does not exist or is damaged.
    """
    name = artifact_name(asset, partition)
    if not storage.exists(name):
        raise ArtifactError(f"{storage.url_of(name)} does not exist; materialize {asset} for {partition} first.")
    with storage.reading(name) as file:
        try:
            parquet = pq.ParquetFile(file)
            for index in range(parquet.num_row_groups):
                yield parquet.read_row_group(index, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise ArtifactError(f"{storage.url_of(name)} is damaged ({error}); materialize it again.") from error


def digest_of(path: Path) -> str:
    """SHA-256 of a local file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
