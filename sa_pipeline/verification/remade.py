"""An export against what it would be if it were made again from the images and masks that lie there."""

import hashlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from sa_pipeline.artifacts import AssetName, iterate_row_groups
from sa_pipeline.dataset import Dataset
from sa_pipeline.sa1b.index import ExportIndex
from sa_pipeline.sa1b.records import ImageInfo, Record, dump_record
from sa_pipeline.schemas import DEDUPLICATED_MASKS
from sa_pipeline.stages.sa1b_export import to_info, to_record
from sa_pipeline.stages.shard_images import iterate_images


def compare_export(dataset: Dataset, shard: str, index: ExportIndex) -> Iterator[str]:
    """Says which images or records of an export differ from those of its inputs, all of which are whole.

    Every JPEG must be the stored one, every record byte for byte that of the kept masks.
    """
    infos: dict[int, ImageInfo] = {}
    indexed = {image.image_id: image for image in index.images}
    for image in iterate_images(dataset, shard):
        infos[image.image_id] = to_info(image)
        exported = indexed.get(image.image_id)
        if exported is None:
            yield f"lacks image {image.image_id}"
        elif exported.jpeg.sha256 != hashlib.sha256(image.jpeg).hexdigest():
            yield f"holds another {exported.jpeg.name} than raw_images"
    for image_id in indexed.keys() - infos.keys():
        yield f"holds image {image_id}, which raw_images lacks"
    for record in _records(dataset, shard, infos):
        exported = indexed.get(record.image.image_id)
        if exported is not None and exported.record.sha256 != hashlib.sha256(dump_record(record)).hexdigest():
            yield f"has another {exported.record.name} than deduplicated_masks gives"


def _records(dataset: Dataset, shard: str, infos: dict[int, ImageInfo]) -> Iterator[Record]:
    """Records of the images, those without masks at the end."""
    left = dict(infos)
    for group in iterate_row_groups(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard):
        for image_id in pc.unique(group["image_id"]).to_pylist():
            if image_id in left:  # one that raw_images lacks has been told
                rows: pa.Table = group.filter(pc.equal(group["image_id"], image_id))
                yield to_record(left.pop(image_id), rows)
    nothing = DEDUPLICATED_MASKS.empty_table()
    for info in left.values():
        yield to_record(info, nothing)
