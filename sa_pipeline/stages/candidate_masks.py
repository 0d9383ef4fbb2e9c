"""`candidate_masks`: what the model proposes on every image of a shard, scored but not judged."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from sa_pipeline.artifacts import ArtifactHeader, AssetName, writing_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.generation.candidates import Proposals, propose_masks
from sa_pipeline.overlapping import ahead, behind
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.provenance import expected_header
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.schemas import CANDIDATE_MASKS
from sa_pipeline.stages.embeddings_file import open_embeddings
from sa_pipeline.stages.image_parts import ImagePart, ImageParts
from sa_pipeline.stages.result import StageResult, make_unless_fresh
from sa_pipeline.stages.shard_images import count_images, iterate_images


@dataclass(frozen=True)
class _Image:
    image_id: int
    pixels: npt.NDArray[np.uint8]
    embedding: torch.Tensor


def make_candidate_masks(
    dataset: Dataset, shard: str, model: LoadedModel, progress: Progress | None = None
) -> StageResult:
    """Proposes masks on a shard's images (paper §4, "Fully automatic stage"; crops: Appendix B).

    Each image's candidates are kept aside as soon as they are made, so that a run that is stopped goes on with the
    next image. While the model works, the next images are read and the candidates before are kept. Counts: images,
    proposals, below_predicted_iou_floor, below_stability_floor, candidates.

    Raises:
        ArtifactError: `raw_images` or `image_embeddings` was not made or is damaged.
        StorageError: The file cannot be written.
    """
    images_ahead = dataset.settings.images_ahead

    def make(header: ArtifactHeader) -> None:
        parts = ImageParts(dataset.storage, header, CANDIDATE_MASKS)

        def read() -> Iterator[_Image | ImagePart]:
            for image in iterate_images(dataset, shard):
                yield parts.get(image.image_id) or _Image(image.image_id, image.pixels, embeddings.get(image.image_id))

        def propose(image: _Image | ImagePart) -> ImagePart | tuple[int, Proposals]:
            return image if isinstance(image, ImagePart) else (image.image_id, _propose(image, dataset, model))

        def keep(made: ImagePart | tuple[int, Proposals]) -> None:
            part = made if isinstance(made, ImagePart) else parts.put(made[0], made[1].candidates, made[1].counts)
            writer.write(part.rows)
            writer.counts.update(part.counts)
            writer.counts["images"] += 1

        with (
            open_embeddings(dataset, shard) as embeddings,
            writing_table(dataset.storage, CANDIDATE_MASKS, header) as writer,
        ):
            kept = behind(keep, map(propose, ahead(read(), images_ahead)), images_ahead)
            for _ in (progress or SilentProgress()).track(
                kept, description=f"{AssetName.CANDIDATE_MASKS} {shard}", total=count_images(dataset, shard)
            ):
                pass
        parts.remove()

    expected = expected_header(dataset, AssetName.CANDIDATE_MASKS, shard, model.ref)
    return make_unless_fresh(dataset.storage, expected, make)


def _propose(image: _Image, dataset: Dataset, model: LoadedModel) -> Proposals:
    settings = dataset.settings
    return propose_masks(
        image.pixels,
        model.sam,
        settings.masks,
        arithmetic=settings.arithmetic,
        image_id=image.image_id,
        embedding=image.embedding,
        images_per_batch=settings.embeddings.images_per_batch,
    )
