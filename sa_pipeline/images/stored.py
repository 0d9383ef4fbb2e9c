"""The pixels of a shard as everything after `deidentified_images` sees them: blurred where that is switched on."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sa_pipeline.artifacts import AssetName, artifact_name, input_digest, iterate_row_groups, read_header, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError


class BlurredImages:
    """Which images of a shard were changed, and their pixels; a picture is read when it is asked for."""

    def __init__(self, dataset: Dataset, shard: str) -> None:
        """Reads the index of `deidentified_images`.

        Raises:
            ArtifactError: The file was not made, is damaged, or was made from other raw images.
        """
        require_deidentified(dataset, shard)
        self._dataset, self._shard = dataset, shard
        self._name = artifact_name(AssetName.DEIDENTIFIED_IMAGES, shard)
        self._changed: dict[int, bool] = {}
        self._groups: dict[int, int] = {}
        columns = ["image_id", "faces", "license_plates"]
        groups = iterate_row_groups(dataset.storage, AssetName.DEIDENTIFIED_IMAGES, shard, columns=columns)
        for number, group in enumerate(groups):
            for row in group.to_pylist():
                self._changed[row["image_id"]] = row["faces"] + row["license_plates"] > 0
                self._groups[row["image_id"]] = number

    def jpeg(self, image_id: int) -> bytes | None:
        """The blurred image; None where nothing was found in it, so that `raw_images` has the pixels.

        Raises:
            ArtifactError: Nobody looked at that image, or the file is damaged.
        """
        if image_id not in self._changed:
            raise ArtifactError(
                f"{self._dataset.storage.url_of(self._name)} lacks image {image_id}; materialize "
                f"{AssetName.DEIDENTIFIED_IMAGES} for {self._shard} again."
            )
        if not self._changed[image_id]:
            return None
        with self._dataset.storage.reading(self._name) as file:
            try:
                rows = pq.ParquetFile(file).read_row_group(self._groups[image_id], columns=["image_id", "jpeg"])
            except (pa.ArrowException, OSError) as error:
                place = self._dataset.storage.url_of(self._name)
                raise ArtifactError(f"{place} is damaged ({error}); materialize it again.") from error
        (jpeg,) = (row["jpeg"] for row in rows.to_pylist() if row["image_id"] == image_id)
        return bytes(jpeg)


def require_deidentified(dataset: Dataset, shard: str) -> None:
    """Refuses a shard whose raw images were not looked at as they are now, so that none is shown by mistake.

    Raises:
        ArtifactError: `deidentified_images` was not made, is damaged, or was made from other raw images.
    """
    header = read_header(dataset.storage, AssetName.DEIDENTIFIED_IMAGES, shard)
    raw = input_digest(dataset.storage, AssetName.RAW_IMAGES, shard)
    if header is None or header.inputs.get(AssetName.RAW_IMAGES.value) != raw:
        state = "does not exist" if header is None else "was made from other raw images"
        place = dataset.storage.url_of(artifact_name(AssetName.DEIDENTIFIED_IMAGES, shard))
        raise ArtifactError(f"{place} {state}; materialize {AssetName.DEIDENTIFIED_IMAGES} for {shard} first.")


def read_jpeg(dataset: Dataset, shard: str, image_id: int) -> bytes | None:
    """One image of a shard as later stages see it; None where the shard has no such image.

    Raises:
        ArtifactError: `raw_images`, or `deidentified_images` where it is switched on, was not made or is damaged.
    """
    if dataset.settings.deidentification.enabled:
        blurred = BlurredImages(dataset, shard).jpeg(image_id)
        if blurred is not None:
            return blurred
    rows = read_table(dataset.storage, AssetName.RAW_IMAGES, shard, columns=["jpeg"], image_id=image_id)
    return bytes(rows["jpeg"][0].as_py()) if rows.num_rows == 1 else None


def iterate_rows(dataset: Dataset, shard: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Yields the rows of `raw_images`, one at a time; their `jpeg` is as later stages see it.

    Args:
        dataset: The dataset.
        shard: The partition.
        columns: What is read; image_id, status and jpeg must be among them.

    Raises:
        ArtifactError: `raw_images`, or `deidentified_images` where it is switched on, was not made or is damaged.
    """
    blurred = BlurredImages(dataset, shard) if dataset.settings.deidentification.enabled else None
    for group in iterate_row_groups(dataset.storage, AssetName.RAW_IMAGES, shard, columns=columns):
        for row in group.to_pylist():
            if blurred is not None and row["status"] == "ok":
                row["jpeg"] = blurred.jpeg(row["image_id"]) or row["jpeg"]
            yield row
