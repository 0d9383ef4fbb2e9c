"""The index beside a tar: where each image and record lies, their sizes and digests, and the tar's own."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sa_pipeline.errors import ArtifactError, describe_validation_error


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IndexedFile(_Model):
    """A file within the tar: name, first byte of its content, size in bytes, SHA-256 of its content (hexadecimal)."""

    name: str
    offset: int
    size: int
    sha256: str


class IndexedImage(_Model):
    """An image of the tar, its record, and the number of its masks."""

    image_id: int
    annotations: int
    jpeg: IndexedFile
    record: IndexedFile


class ExportIndex(_Model):
    """A tar's content, in its order; an image's bytes can be read by offset and size without opening the tar as such.

    `header` is for whoever publishes the index: what the tar was made from.
    """

    header: dict[str, Any] | None = None
    tar_size: int
    tar_sha256: str
    images: tuple[IndexedImage, ...]

    @property
    def annotations(self) -> int:
        """Number of masks in the tar."""
        return sum(image.annotations for image in self.images)

    def dump(self) -> bytes:
        """Serialises to compact JSON; equal indices give equal bytes."""
        return json.dumps(self.model_dump(mode="json"), separators=(",", ":")).encode("ascii")


def parse_index(data: bytes, name: str) -> ExportIndex:
    """Reads an index that was found in the file `name`.

    Raises:
        ArtifactError: The text is not an index.
    """
    try:
        return ExportIndex.model_validate_json(data)
    except ValidationError as error:
        found = describe_validation_error(error, name=name)
        raise ArtifactError(f"{found} It is no index of an export; export the shard again.") from None
