"""`candidate_masks`: what the model proposes on every image of a shard, scored but not judged."""

import torch

from sa_pipeline.artifacts import ArtifactHeader, AssetName, writing_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.generation.candidates import Proposals, propose_masks
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.provenance import expected_header
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.schemas import CANDIDATE_MASKS
from sa_pipeline.stages.embeddings_file import open_embeddings
from sa_pipeline.stages.image_parts import ImageParts
from sa_pipeline.stages.result import StageResult, make_unless_fresh
from sa_pipeline.stages.shard_images import ShardImage, count_images, iterate_images


def make_candidate_masks(
    dataset: Dataset, shard: str, model: LoadedModel, progress: Progress | None = None
) -> StageResult:
    """Proposes masks on a shard's images (paper §4, "Fully automatic stage"; crops: Appendix B).

    Each image's candidates are kept aside as soon as they are made, so that a run that is stopped goes on with the
    next image. Counts: images, proposals, below_predicted_iou_floor, below_stability_floor, candidates.

    Raises:
        ArtifactError: `raw_images` or `image_embeddings` was not made or is damaged.
        StorageError: The file cannot be written.
    """

    def make(header: ArtifactHeader) -> None:
        parts = ImageParts(dataset.storage, header, CANDIDATE_MASKS)
        images = (progress or SilentProgress()).track(
            iterate_images(dataset, shard),
            description=f"{AssetName.CANDIDATE_MASKS} {shard}",
            total=count_images(dataset, shard),
        )
        with (
            open_embeddings(dataset, shard) as embeddings,
            writing_table(dataset.storage, CANDIDATE_MASKS, header) as writer,
        ):
            for image in images:
                part = parts.get(image.image_id)
                if part is None:
                    proposals = _propose(image, embeddings.get(image.image_id), dataset, model)
                    part = parts.put(image.image_id, proposals.candidates, proposals.counts)
                writer.write(part.rows)
                writer.counts.update(part.counts)
                writer.counts["images"] += 1
        parts.remove()

    expected = expected_header(dataset, AssetName.CANDIDATE_MASKS, shard, model.ref)
    return make_unless_fresh(dataset.storage, expected, make)


def _propose(image: ShardImage, embedding: torch.Tensor, dataset: Dataset, model: LoadedModel) -> Proposals:
    settings = dataset.settings
    return propose_masks(
        image.pixels,
        model.sam,
        settings.masks,
        arithmetic=settings.arithmetic,
        image_id=image.image_id,
        embedding=embedding,
    )
