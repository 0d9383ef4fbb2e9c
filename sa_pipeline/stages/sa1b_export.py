"""`sa1b_export`: the images of a shard and their records, as SA-1B packs them."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from sa_pipeline.artifacts import ArtifactHeader, AssetName, artifact_name, export_tar_name, iterate_row_groups
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.generation.deduplication import exported_rows
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.provenance import expected_header
from sa_pipeline.sa1b.records import ImageInfo, Record
from sa_pipeline.sa1b.writer import ExportImage, write_shard
from sa_pipeline.schemas import DEDUPLICATED_MASKS
from sa_pipeline.stages.result import StageResult, make_unless_fresh
from sa_pipeline.stages.shard_images import ShardImage, count_images, iterate_images

_COLUMNS = [
    "mask_id", "image_id", "crop_box", "point_coords", "predicted_iou", "stability_score", "bbox", "area", "size",
    "counts", "kept", "rank",
]  # fmt: skip


def make_sa1b_export(dataset: Dataset, shard: str, progress: Progress | None = None) -> StageResult:
    """Packs a shard's images and masks into a tar (paper §5, "Segment Anything Dataset"). Counts: images, masks.

    The index is published after the tar and carries the header, so that a tar without a matching index is made again.

    Raises:
        ArtifactError: `raw_images` or `deduplicated_masks` was not made or is damaged, or masks are of an image that
            `raw_images` lacks or out of its order.
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
    # One row group for each image that has masks, in the images' order.
    groups = iterate_row_groups(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard, columns=_COLUMNS)
    none = DEDUPLICATED_MASKS.empty_table().select(_COLUMNS)
    masks = next(groups, None)
    for image in iterate_images(dataset, shard):
        own = none
        if masks is not None and _image_id(masks) == image.image_id:
            own, masks = masks, next(groups, None)
        yield ExportImage(image.jpeg, to_record(to_info(image), own))
    if masks is not None:
        raise ArtifactError(
            f"{dataset.storage.url_of(artifact_name(AssetName.DEDUPLICATED_MASKS, shard))} has masks of image "
            f"{_image_id(masks)}, where none or those of a later image of {AssetName.RAW_IMAGES} were expected; "
            f"materialize {AssetName.CANDIDATE_MASKS} and what follows it for {shard} again."
        )


def _image_id(masks: pa.Table) -> int:
    image_id: int = masks["image_id"][0].as_py()
    return image_id


def to_info(image: ShardImage) -> ImageInfo:
    """What an image's record says of the image."""
    return ImageInfo(image_id=image.image_id, width=image.width, height=image.height, file_name=image.file_name)


def to_record(info: ImageInfo, masks: pa.Table) -> Record:
    """An image's record, from the rows that it has in `deduplicated_masks`."""
    return Record.model_validate({"image": info, "annotations": tuple(map(_to_annotation, exported_rows(masks)))})


def _to_annotation(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "bbox": tuple(map(float, row["bbox"])),
        "area": row["area"],
        "segmentation": {"size": row["size"], "counts": row["counts"]},
        "predicted_iou": row["predicted_iou"],
        "point_coords": (row["point_coords"],),
        "crop_box": row["crop_box"],
        "id": row["mask_id"],
        "stability_score": row["stability_score"],
    }
