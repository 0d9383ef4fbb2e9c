"""The good images of a shard, one at a time, as later stages read them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sa_pipeline.artifacts import AssetName, read_header
from sa_pipeline.dataset import Dataset
from sa_pipeline.images.jpeg import decode_jpeg
from sa_pipeline.images.stored import iterate_rows

_COLUMNS = ["image_id", "file_name", "width", "height", "status", "jpeg"]


@dataclass(frozen=True)
class ShardImage:
    """An image of a shard; `width` and `height` in px, `jpeg` as it is exported."""

    image_id: int
    file_name: str
    width: int
    height: int
    jpeg: bytes

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, decoded at each call."""
        return decode_jpeg(self.jpeg)


def iterate_images(dataset: Dataset, shard: str) -> Iterator[ShardImage]:
    """Yields the images of a shard that were not rejected, in order; memory stays at one image.

    Raises:
        ArtifactError: `raw_images`, or `deidentified_images` where it is switched on, was not made or is damaged.
    """
    for row in iterate_rows(dataset, shard, _COLUMNS):
        if row.pop("status") == "ok":
            yield ShardImage(**row)


def count_images(dataset: Dataset, shard: str) -> int:
    """Number of images that `iterate_images` yields."""
    header = read_header(dataset.storage, AssetName.RAW_IMAGES, shard)
    return header.counts.get("ok", 0) if header else 0
