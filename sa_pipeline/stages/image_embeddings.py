"""`image_embeddings`: SAM's encoder on every full image of a shard."""

import torch

from sa_pipeline.artifacts import ArtifactHeader, AssetName
from sa_pipeline.dataset import Dataset
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.provenance import expected_header
from sa_pipeline.sam.inference import encode_image
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.stages.embeddings_file import writing_embeddings
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
    arithmetic = dataset.settings.arithmetic

    def make(header: ArtifactHeader) -> None:
        images = (progress or SilentProgress()).track(
            iterate_images(dataset, shard),
            description=f"{AssetName.IMAGE_EMBEDDINGS} {shard}",
            total=count_images(dataset, shard),
        )
        with writing_embeddings(dataset.storage, header) as writer:
            for image in images:
                writer.write(image.image_id, encode_image(model.sam, image.pixels, arithmetic)[0].to(dtype))

    expected = expected_header(dataset, AssetName.IMAGE_EMBEDDINGS, shard, model.ref)
    return make_unless_fresh(dataset.storage, expected, make)
