"""Which image of the dataset is meant by a name, or by the bytes of a file."""

import enum
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from sa_pipeline.annotated.references import ReferenceMasks
from sa_pipeline.artifacts import AssetName, iterate_row_groups
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.images.stored import iterate_rows
from sa_pipeline.images.uris import split_uri
from sa_pipeline.studio.embedded_images import TaskImage

_COLUMNS = ["image_id", "file_name", "source_uri", "sha256", "width", "height", "status"]


class Mismatch(enum.StrEnum):
    """Why no image is meant."""

    UNKNOWN = "of which the dataset has no image"
    AMBIGUOUS = "of whose name the dataset has several images"
    OTHER_SIZE = "whose image has another size in the dataset"


class ImageIndex:
    """The good images of a dataset by the bytes and the names of their files."""

    def __init__(self, dataset: Dataset, *, by_bytes: bool) -> None:
        """Reads `raw_images` of every shard that has it.

        Args:
            dataset: The dataset.
            by_bytes: Also by the bytes of the images as they are exported, which takes reading them.
        """
        self._by_digest: dict[str, TaskImage] = {}
        self._by_name: dict[str, list[TaskImage]] = defaultdict(list)
        self._by_export: dict[str, TaskImage] = {}
        for shard in list_shards(dataset.storage):
            try:
                for row in self._rows(dataset, shard, by_bytes):
                    if row["status"] == "ok":
                        self._add(shard, row)
            except ArtifactError:
                continue  # a shard that was not made has no images yet

    def find(self, reference: ReferenceMasks) -> TaskImage | Mismatch:
        """The image that masks are for: that of the same bytes, else that of the same file name.

        Names are those of the source's files, then those in exports. The image must have the size of the masks.
        """
        found = self._by_digest.get(reference.sha256 or "")
        if found is None:
            named = self._by_name.get(reference.name, [])
            # Within an export, numbers are those of its own dataset, and only bytes tell.
            if not named and reference.sha256 is None and reference.name in self._by_export:
                named = [self._by_export[reference.name]]
            if not named:
                return Mismatch.UNKNOWN
            if len(named) > 1:
                return Mismatch.AMBIGUOUS
            found = named[0]
        return found if (found.height, found.width) == reference.size else Mismatch.OTHER_SIZE

    def _rows(self, dataset: Dataset, shard: str, by_bytes: bool) -> Iterator[dict[str, Any]]:
        if by_bytes:
            yield from iterate_rows(dataset, shard, [*_COLUMNS, "jpeg"])
        else:
            for group in iterate_row_groups(dataset.storage, AssetName.RAW_IMAGES, shard, columns=_COLUMNS):
                yield from group.to_pylist()

    def _add(self, shard: str, row: dict[str, Any]) -> None:
        image = TaskImage(row["image_id"], shard, row["file_name"], row["width"], row["height"], None)
        self._by_export[image.file_name] = image
        location, member = split_uri(row["source_uri"])
        path = PurePath(member or location)
        for name in {path.name, path.stem}:
            self._by_name[name].append(image)
        if row["sha256"]:
            self._by_digest[row["sha256"]] = image
        if row.get("jpeg"):
            self._by_digest[hashlib.sha256(row["jpeg"]).hexdigest()] = image
