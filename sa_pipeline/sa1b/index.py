"""The index beside a tar: where each image and record lies, their sizes and digests, and the tar's own."""

import hashlib
import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sa_pipeline.errors import ArtifactError, describe_validation_error

OWN_DIGEST = "index_sha256"
"""The index's last key: SHA-256 of all bytes of the file before the comma that leads to it."""

_ADVICE = "It is damaged or no index of an export; export the shard again."
_OWN_DIGEST_AT_END = re.compile(rb',"index_sha256":"([0-9a-f]{64})"}\Z')


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
        """Serialises to compact JSON, its own digest at the end; equal indices give equal bytes."""
        text = json.dumps(self.model_dump(mode="json"), separators=(",", ":")).encode("ascii").removesuffix(b"}")
        return text + f',"{OWN_DIGEST}":"{hashlib.sha256(text).hexdigest()}"}}'.encode("ascii")


def parse_index(data: bytes, name: str) -> ExportIndex:
    """Reads an index that was found in the file `name`; one of an earlier version, without its own digest, too.

    Raises:
        ArtifactError: The text is not an index, or not the one that was written.
    """
    own = _OWN_DIGEST_AT_END.search(data)
    if own is not None:
        text = data[: own.start()]
        if hashlib.sha256(text).hexdigest().encode() != own[1]:
            raise ArtifactError(f"{name}: its bytes have another SHA-256 than its own {OWN_DIGEST}. {_ADVICE}")
        data = text + b"}"
    try:
        return ExportIndex.model_validate_json(data)
    except ValidationError as error:
        raise ArtifactError(f"{describe_validation_error(error, name=name)} {_ADVICE}") from None


def has_own_digest(data: bytes) -> bool:
    """Whether an index's file ends with its own digest, so that no byte of it can change unnoticed."""
    return _OWN_DIGEST_AT_END.search(data) is not None
