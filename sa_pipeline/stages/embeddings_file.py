"""A shard's embeddings as a safetensors file, written and read image by image: a shard need not fit in memory."""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import torch
from safetensors import safe_open

from sa_pipeline.artifacts import HEADER_KEY, ArtifactHeader, AssetName, artifact_name
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.storage import Storage

_DTYPE_NAMES = {torch.float16: "F16", torch.float32: "F32"}
_ALIGNMENT = 8


class EmbeddingsWriter:
    """Takes one tensor after another; use `writing_embeddings`."""

    def __init__(self, data: IO[bytes]) -> None:
        """Takes an empty binary file for the tensors' bytes."""
        self._data = data
        self._digest = hashlib.sha256()
        self._entries: dict[str, object] = {}

    def write(self, image_id: int, embedding: torch.Tensor) -> None:
        """Appends an image's embedding (C, h, w), float16 or float32."""
        tensor = embedding.cpu().contiguous()
        content = tensor.view(torch.uint8).numpy().tobytes()
        self._digest.update(f"{image_id} {tuple(tensor.shape)} {tensor.dtype}".encode())
        self._digest.update(content)
        start = self._data.tell()
        self._data.write(content)
        self._entries[str(image_id)] = {
            "dtype": _DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, start + len(content)],
        }

    def save(self, path: Path, header: ArtifactHeader) -> None:
        """Writes the file: what it holds stands before the tensors, and is known only after them."""
        done = header.model_copy(
            update={"counts": {"images": len(self._entries)}, "content_digest": self._digest.hexdigest()}
        )
        index = json.dumps({"__metadata__": {HEADER_KEY: done.dump()}} | self._entries).encode()
        index += b" " * (-len(index) % _ALIGNMENT)
        self._data.seek(0)
        with path.open("wb") as file:
            file.write(len(index).to_bytes(8, "little") + index)
            shutil.copyfileobj(self._data, file, 1 << 22)


@contextlib.contextmanager
def writing_embeddings(storage: Storage, header: ArtifactHeader) -> Iterator[EmbeddingsWriter]:
    """Opens a shard's embeddings for writing; they are published when the block ends without an error.

    Raises:
        StorageError: The file cannot be written.
    """
    with (
        storage.writing(artifact_name(AssetName.IMAGE_EMBEDDINGS, header.partition)) as path,
        # It has no name, so that nothing of it stays when the process is killed.
        tempfile.TemporaryFile(dir=path.parent) as data,
    ):
        writer = EmbeddingsWriter(data)
        yield writer
        writer.save(path, header)


class ShardEmbeddings:
    """The embeddings of a shard, each read when it is asked for."""

    def __init__(self, file: "safe_open", name: str) -> None:
        self._file = file
        self._name = name

    def get(self, image_id: int) -> torch.Tensor:
        """The embedding (1, C, h, w) of an image, in the dtype of the file.

        Raises:
            ArtifactError: The file holds none for the image.
        """
        if str(image_id) not in self._file.keys():  # noqa: SIM118  # not a dict
            raise ArtifactError(f"{self._name} holds no embedding of image {image_id}; materialize it again.")
        tensor: torch.Tensor = self._file.get_tensor(str(image_id))
        return tensor[None]


@contextlib.contextmanager
def open_embeddings(dataset: Dataset, shard: str) -> Iterator[ShardEmbeddings]:
    """Opens a shard's embeddings.

    Raises:
        StorageError: The file does not exist.
    """
    name = artifact_name(AssetName.IMAGE_EMBEDDINGS, shard)
    with dataset.storage.local_copy(name) as path, safe_open(path, framework="pt") as file:
        yield ShardEmbeddings(file, name)
