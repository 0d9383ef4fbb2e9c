"""`image_embeddings`: SAM's encoder on every full image of a shard."""

from collections.abc import Iterator
from itertools import islice

import torch

from sa_pipeline.artifacts import ArtifactHeader, AssetName
from sa_pipeline.dataset import Dataset
from sa_pipeline.overlapping import ahead, behind
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.provenance import expected_header
from sa_pipeline.sam.inference import PreparedImage, encode_prepared, prepare_image
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.stages.embeddings_file import writing_embeddings
from sa_pipeline.stages.result import StageResult, make_unless_fresh
from sa_pipeline.stages.shard_images import count_images, iterate_images


def make_image_embeddings(
    dataset: Dataset, shard: str, model: LoadedModel, progress: Progress | None = None
) -> StageResult:
    """Encodes a shard's images (paper §2, "precomputed image embeddings").

    While the model works, the next images are read and the embeddings before are written.

    The file holds one tensor (C, h, w) per image under the key `str(image_id)`. Counts: images.

    Raises:
        ArtifactError: `raw_images` was not made or is damaged.
        StorageError: The file cannot be written.
    """
    dtype = getattr(torch, dataset.settings.embeddings.dtype)
    images_ahead, at_once = dataset.settings.images_ahead, dataset.settings.embeddings.images_per_batch

    def read() -> Iterator[tuple[int, PreparedImage]]:
        for image in iterate_images(dataset, shard):
            yield image.image_id, prepare_image(model.sam, image.pixels)

    def encode() -> Iterator[tuple[int, torch.Tensor]]:
        images = ahead(read(), images_ahead)
        while some := dict(islice(images, at_once)):
            embeddings = encode_prepared(model.sam, list(some.values()), dataset.settings.arithmetic)
            yield from zip(some, embeddings.to(dtype).cpu(), strict=True)

    def make(header: ArtifactHeader) -> None:
        with writing_embeddings(dataset.storage, header) as writer:
            written = behind(lambda embedded: writer.write(*embedded), encode(), images_ahead)
            for _ in (progress or SilentProgress()).track(
                written, description=f"{AssetName.IMAGE_EMBEDDINGS} {shard}", total=count_images(dataset, shard)
            ):
                pass

    expected = expected_header(dataset, AssetName.IMAGE_EMBEDDINGS, shard, model.ref)
    return make_unless_fresh(dataset.storage, expected, make)
