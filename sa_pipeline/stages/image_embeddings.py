"""`image_embeddings`: SAM's encoder on every full image of a shard."""

import contextlib
import hashlib
from collections.abc import Iterator

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sa_pipeline.artifacts import HEADER_KEY, ArtifactHeader, AssetName, artifact_name
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.provenance import expected_header
from sa_pipeline.sam.inference import encode_image
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.stages.result import StageResult, make_unless_fresh
from sa_pipeline.stages.shard_images import count_images, iterate_images


def make_image_embeddings(
    dataset: Dataset, shard: str, model: LoadedModel, progress: Progress | None = None
) -> StageResult:
    """Encodes a shard's images (paper §2, "precomputed image embeddings").

    The file holds one tensor (C, h, w) per image under the key `str(image_id)`. Counts: images.

    Raises:
        ArtifactError: `raw_images` was not made or is damaged.
        StorageError: The file cannot be written.
    """
    dtype = getattr(torch, dataset.settings.embeddings.dtype)

    def make(header: ArtifactHeader) -> None:
        images = (progress or SilentProgress()).track(
            iterate_images(dataset, shard),
            description=f"{AssetName.IMAGE_EMBEDDINGS} {shard}",
            total=count_images(dataset, shard),
        )
        tensors = {
            str(image.image_id): encode_image(model.sam, image.pixels)[0].to(dtype).cpu().contiguous()
            for image in images
        }
        done = header.model_copy(update={"counts": {"images": len(tensors)}, "content_digest": _digest(tensors)})
        with dataset.storage.writing(artifact_name(AssetName.IMAGE_EMBEDDINGS, shard)) as path:
            save_file(tensors, path, metadata={HEADER_KEY: done.dump()})

    expected = expected_header(dataset, AssetName.IMAGE_EMBEDDINGS, shard, model.ref)
    return make_unless_fresh(dataset.storage, expected, make)


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


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for key, tensor in tensors.items():
        digest.update(f"{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
