"""`prefilled_masks`: what the annotators of a semi-automatic round begin with: SAM's masks for the detector's boxes."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torchvision.models.detection import FasterRCNN

from sa_pipeline.artifacts import (
    SCHEMA_VERSIONS,
    ArtifactHeader,
    AssetName,
    RoundAssetName,
    input_digest,
    list_partitions,
    read_header,
    writing_table,
)
from sa_pipeline.dataset import Dataset
from sa_pipeline.detection.boxes import to_pixels
from sa_pipeline.detection.detect import detect
from sa_pipeline.detection.record import DetectorRecord
from sa_pipeline.errors import ArtifactError
from sa_pipeline.generation.box_masks import BoxMasks, masks_of_boxes
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.schemas import PREFILLED_MASKS
from sa_pipeline.settings import FIRST_PREFILLED_PROPOSAL, MAX_PROPOSALS_PER_IMAGE
from sa_pipeline.stages.embeddings_file import ShardEmbeddings, open_embeddings
from sa_pipeline.stages.image_parts import ImageParts
from sa_pipeline.stages.object_detector import read_trained
from sa_pipeline.stages.prefilled_images import IMAGES
from sa_pipeline.stages.result import StageResult, make_unless_fresh
from sa_pipeline.stages.shard_images import ShardImage, iterate_images

MASKS_PER_IMAGE = 500
ROUND_NUMBERS = (MAX_PROPOSALS_PER_IMAGE - FIRST_PREFILLED_PROPOSAL) // MASKS_PER_IMAGE
"""Numbers that rounds have in mask ids."""

_MASK_SETTINGS = {
    "points_per_batch",
    "stability_score_offset",
    "box_nms_thresh",
    "max_image_cover",
    "mask_nms_thresh",
    "mask_containment_thresh",
}


def make_prefilled_masks(
    dataset: Dataset,
    round_name: str,
    images: Mapping[str, Sequence[int]],
    record: DetectorRecord,
    model: LoadedModel,
    progress: Progress | None = None,
) -> StageResult:
    """Finds confident masks on the images of a coming round (paper §4, "Semi-automatic stage").

    Each image's masks are kept aside as soon as they are made, so that a run that is stopped goes on with the next
    image. Counts: images, boxes, masks, and dropped_{rule} for each `BoxRule`.

    Args:
        dataset: The dataset.
        round_name: The partition.
        images: By shard, the ids of the images.
        record: The detector whose boxes are asked with.
        model: The weights that made the images' embeddings.
        progress: Shows the images.

    Raises:
        ArtifactError: `raw_images` or `image_embeddings` of a shard was not made, is damaged, or was made by other
            weights; or the weights of the detector are gone; or another round has the same number in mask ids.
        StorageError: The file cannot be written.
    """
    expected = _expected(dataset, round_name, images, record, model)
    _require_own_number(dataset, round_name)

    def make(header: ArtifactHeader) -> None:
        detector = read_trained(dataset, record)
        parts = ImageParts(dataset.storage, header, PREFILLED_MASKS)
        places = (progress or SilentProgress()).track(
            _iterate(dataset, images),
            description=f"{RoundAssetName.PREFILLED_MASKS} {round_name}",
            total=sum(len(ids) for ids in images.values()),
        )
        with writing_table(dataset.storage, PREFILLED_MASKS, header) as writer:
            writer.counts.update(images=0, boxes=0, masks=0)
            for shard, image, embeddings in places:
                part = parts.get(image.image_id)
                if part is None:
                    found = _find(dataset, image, embeddings.get(image.image_id), detector, model)
                    rows = _to_table(found, image, shard, round_name)
                    part = parts.put(image.image_id, rows, found.tally)
                writer.write(part.rows)
                writer.counts.update(part.counts)
                writer.counts["images"] += 1
        parts.remove()

    return make_unless_fresh(dataset.storage, expected, make)


def prefilled_mask_id(image_id: int, round_name: str, rank: int) -> int:
    """Id of a pre-filled mask: below 2**53, beyond every proposal of the automatic stage, and the same each time."""
    number = FIRST_PREFILLED_PROPOSAL + _number(round_name) * MASKS_PER_IMAGE + rank
    return image_id * MAX_PROPOSALS_PER_IMAGE + number


def _number(round_name: str) -> int:
    return int(hashlib.sha256(round_name.encode()).hexdigest(), 16) % ROUND_NUMBERS


def _require_own_number(dataset: Dataset, round_name: str) -> None:
    for other in list_partitions(dataset.storage, RoundAssetName.PREFILLED_MASKS):
        if other != round_name and _number(other) == _number(round_name):
            raise ArtifactError(
                f"The pre-filled masks of round {round_name} would have the ids of those of {other}, by a rare chance; "
                "give the round another name."
            )


def _expected(
    dataset: Dataset,
    round_name: str,
    images: Mapping[str, Sequence[int]],
    record: DetectorRecord,
    model: LoadedModel,
) -> ArtifactHeader:
    asset, settings = RoundAssetName.PREFILLED_MASKS, dataset.settings
    embeddings = hashlib.sha256()
    for shard in sorted(images):
        header = read_header(dataset.storage, AssetName.IMAGE_EMBEDDINGS, shard)
        if header is None or header.checkpoint is None or header.checkpoint.digest != model.ref.digest:
            raise ArtifactError(
                f"The embeddings of shard {shard} were not made by {model.ref.name} (sha256 {model.ref.digest[:16]}); "
                "materialize image_embeddings again."
            )
        images_digest = input_digest(dataset.storage, AssetName.RAW_IMAGES, shard)
        embeddings.update(f"{shard} {images_digest} {header.content_digest}\n".encode())
    return ArtifactHeader(
        asset=asset,
        partition=round_name,
        schema_version=SCHEMA_VERSIONS[asset],
        settings={
            **settings.prefill.model_dump(mode="json"),
            "masks": settings.masks.model_dump(mode="json", include=_MASK_SETTINGS),
            IMAGES: sorted(image_id for ids in images.values() for image_id in ids),
        },
        inputs={
            RoundAssetName.OBJECT_DETECTOR.value: record.digest,
            AssetName.IMAGE_EMBEDDINGS.value: embeddings.hexdigest(),
        },
        checkpoint=model.ref,
    )


def _iterate(
    dataset: Dataset, images: Mapping[str, Sequence[int]]
) -> Iterator[tuple[str, ShardImage, ShardEmbeddings]]:
    for shard in sorted(images):
        wanted = set(images[shard])
        with open_embeddings(dataset, shard) as embeddings:
            for image in iterate_images(dataset, shard):
                if image.image_id in wanted:
                    yield shard, image, embeddings


def _find(
    dataset: Dataset, image: ShardImage, embedding: torch.Tensor, detector: FasterRCNN, model: LoadedModel
) -> BoxMasks:
    found = detect(detector, image.pixels)
    size, settings = (image.height, image.width), dataset.settings
    boxes = to_pixels(found.boxes)
    return masks_of_boxes(model.sam, embedding, boxes, found.scores, size, settings.prefill, settings.masks)


def _to_table(found: BoxMasks, image: ShardImage, shard: str, round_name: str) -> pa.Table:
    count = len(found.counts)
    columns = {
        "mask_id": [prefilled_mask_id(image.image_id, round_name, rank) for rank in range(count)],
        "image_id": [image.image_id] * count,
        "shard": [shard] * count,
        "round": [round_name] * count,
        "rank": list(range(count)),
        "box": _rows(found.boxes.astype(np.float64)),
        "box_score": found.box_scores,
        "predicted_iou": found.predicted_ious,
        "stability_score": found.stability_scores,
        "bbox": _rows(found.bboxes),
        "area": found.areas,
        "size": [[image.height, image.width]] * count,
        "counts": found.counts,
    }
    return pa.table(
        {name: pa.array(values, PREFILLED_MASKS.field(name).type) for name, values in columns.items()},
        schema=PREFILLED_MASKS,
    )


def _rows(values: npt.NDArray[np.generic]) -> list[list[float]]:
    rows: list[list[float]] = values.tolist()
    return rows
