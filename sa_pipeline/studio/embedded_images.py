"""The images of a shard that can be annotated: those of which an embedding lies there, whole."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sa_pipeline.artifacts import AssetName, CheckpointRef, artifact_name, read_header, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.storage import Storage

_COLUMNS = ["image_id", "file_name", "width", "height", "status"]


@dataclass(frozen=True)
class TaskImage:
    """An image as a task knows it; `width` and `height` in px."""

    image_id: int
    shard: str
    file_name: str
    width: int
    height: int
    checkpoint_digest: str | None


@dataclass(frozen=True)
class EmbeddedShard:
    """The images of a shard, in order, and the weights that made their embeddings."""

    checkpoint: CheckpointRef
    images: Sequence[TaskImage]


def shard_images(dataset: Dataset, shard: str) -> list[TaskImage]:
    """The good images of a shard, embedded or not, in order.

    Raises:
        ArtifactError: `raw_images` was not made or is damaged.
    """
    rows = read_table(dataset.storage, AssetName.RAW_IMAGES, shard, columns=_COLUMNS).to_pylist()
    return [
        TaskImage(row["image_id"], shard, row["file_name"], row["width"], row["height"], None)
        for row in rows
        if row["status"] == "ok"
    ]


def embedded_shard(dataset: Dataset, shard: str) -> EmbeddedShard:
    """The images of a shard that have an embedding.

    Raises:
        ArtifactError: `raw_images` or `image_embeddings` was not made or is damaged.
    """
    header = read_header(dataset.storage, AssetName.IMAGE_EMBEDDINGS, shard)
    if header is None or header.checkpoint is None:
        name = dataset.storage.url_of(artifact_name(AssetName.IMAGE_EMBEDDINGS, shard))
        raise ArtifactError(f"{name} does not exist; materialize image_embeddings for {shard} first.")
    embedded = _embedded_ids(dataset.storage, shard)
    images = [
        TaskImage(image.image_id, shard, image.file_name, image.width, image.height, header.checkpoint.digest)
        for image in shard_images(dataset, shard)
        if image.image_id in embedded
    ]
    return EmbeddedShard(header.checkpoint, images)


def _embedded_ids(storage: Storage, shard: str) -> set[int]:
    """Image ids of a safetensors file that is as long as its index says; the tensors themselves are not read."""
    name = artifact_name(AssetName.IMAGE_EMBEDDINGS, shard)
    with storage.reading(name) as file:
        length = int.from_bytes(file.read(8), "little")
        entries = json.loads(file.read(length))
    tensors = {int(key): entry for key, entry in entries.items() if key != "__metadata__"}
    expected = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    if storage.size(name) != expected:
        raise ArtifactError(f"{storage.url_of(name)} was cut off; materialize image_embeddings for {shard} again.")
    return set(tensors)
