"""`sa1b_export`: the images of a shard and their records, as SA-1B packs them."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from sa_pipeline.artifacts import ArtifactHeader, AssetName, artifact_name, export_tar_name, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.generation.deduplication import exported_rows
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.provenance import expected_header
from sa_pipeline.sa1b.records import Annotation, ImageInfo, Record, Segmentation
from sa_pipeline.sa1b.writer import ExportImage, write_shard
from sa_pipeline.stages.result import StageResult, make_unless_fresh
from sa_pipeline.stages.shard_images import ShardImage, count_images, iterate_images


def make_sa1b_export(dataset: Dataset, shard: str, progress: Progress | None = None) -> StageResult:
    """Packs a shard's images and masks into a tar (paper §5, "Segment Anything Dataset"). Counts: images, masks.

    The index is published after the tar and carries the header, so that a tar without a matching index is made again.

    Raises:
        ArtifactError: `raw_images` or `deduplicated_masks` was not made or is damaged.
        RecordError: A record does not follow the format.
        StorageError: A file cannot be written.
    """

    def make(header: ArtifactHeader) -> None:
        images = (progress or SilentProgress()).track(
            _export_images(dataset, shard),
            description=f"{AssetName.SA1B_EXPORT} {shard}",
            total=count_images(dataset, shard),
        )
        with dataset.storage.writing(export_tar_name(shard)) as path:
            index = write_shard(path, images)
        counts = {"images": len(index.images), "masks": index.annotations}
        done = header.model_copy(update={"counts": counts, "content_digest": index.tar_sha256})
        published = index.model_copy(update={"header": done.model_dump(mode="json")})
        dataset.storage.write_bytes(artifact_name(AssetName.SA1B_EXPORT, shard), published.dump())

    return make_unless_fresh(dataset.storage, expected_header(dataset, AssetName.SA1B_EXPORT, shard), make)


def _export_images(dataset: Dataset, shard: str) -> Iterator[ExportImage]:
    for image in iterate_images(dataset, shard):
        masks = read_table(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard, image_id=image.image_id)
        yield ExportImage(image.jpeg, to_record(to_info(image), masks))


def to_info(image: ShardImage) -> ImageInfo:
    """What an image's record says of the image."""
    return ImageInfo(image_id=image.image_id, width=image.width, height=image.height, file_name=image.file_name)


def to_record(info: ImageInfo, masks: pa.Table) -> Record:
    """An image's record, from the rows that it has in `deduplicated_masks`."""
    return Record(image=info, annotations=tuple(_to_annotation(row) for row in exported_rows(masks)))


def _to_annotation(row: dict[str, Any]) -> Annotation:
    return Annotation.model_validate(
        {
            "bbox": [float(side) for side in row["bbox"]],
            "area": row["area"],
            "segmentation": Segmentation.model_validate({"size": row["size"], "counts": row["counts"]}),
            "predicted_iou": row["predicted_iou"],
            "point_coords": [row["point_coords"]],
            "crop_box": row["crop_box"],
            "id": row["mask_id"],
            "stability_score": row["stability_score"],
        }
    )
