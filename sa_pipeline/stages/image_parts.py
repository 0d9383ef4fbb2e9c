"""Rows of single images, kept aside until their file is published, so that a run that is stopped goes on."""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from sa_pipeline.artifacts import ArtifactHeader
from sa_pipeline.errors import MissingFileError
from sa_pipeline.storage import Storage

_COUNTS_KEY = b"counts"


@dataclass(frozen=True)
class ImagePart:
    """An image's rows, and what was counted as they were made."""

    rows: pa.Table
    counts: Counter[str]


class ImageParts:
    """The parts of one file by image.

    Their folder is named after the provenance, so that parts made with other settings or weights are never taken.
    """

    def __init__(self, storage: Storage, header: ArtifactHeader, schema: pa.Schema) -> None:
        """Takes the header that the file will have, and the schema of its rows."""
        digest = hashlib.sha256(header.dump().encode()).hexdigest()[:16]
        self._storage, self._schema = storage, schema
        self._folder = f"{header.asset}/parts/{header.partition}-{digest}"

    def get(self, image_id: int) -> ImagePart | None:
        """The part of an image, if it was made and is whole; another run of the shard may remove it meanwhile."""
        try:
            table = pq.read_table(io.BytesIO(self._storage.read_bytes(self._name(image_id))))
        except (MissingFileError, pa.ArrowInvalid):
            return None
        return ImagePart(table.cast(self._schema), Counter(json.loads(table.schema.metadata[_COUNTS_KEY])))

    def put(self, image_id: int, rows: pa.Table, counts: Mapping[str, int]) -> ImagePart:
        """Keeps the part of an image.

        Raises:
            StorageError: It cannot be written.
        """
        table: pa.Table = rows.replace_schema_metadata({_COUNTS_KEY: json.dumps(counts).encode()})
        sink = io.BytesIO()
        pq.write_table(table, sink)
        self._storage.write_bytes(self._name(image_id), sink.getvalue())
        return ImagePart(rows, Counter(counts))

    def remove(self) -> None:
        """Removes all of them."""
        self._storage.remove(self._folder)

    def _name(self, image_id: int) -> str:
        return f"{self._folder}/{image_id}.parquet"
