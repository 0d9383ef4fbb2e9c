"""The boxes of people's masks, image by image: what the object detector is trained on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from sa_pipeline.artifacts import RoundAssetName, iterate_row_groups, list_rounds
from sa_pipeline.dataset import Dataset
from sa_pipeline.detection.boxes import BoxedImage, Boxes, boxes_from_xywh
from sa_pipeline.errors import ArtifactError
from sa_pipeline.images.jpeg import decode_jpeg
from sa_pipeline.images.stored import read_jpeg

FIRST_STAGE = "assisted_manual"
"""Stage of the rounds whose masks the detector learns from (paper §4)."""

_COLUMNS = ["image_id", "shard", "stage", "task_id", "bbox", "area", "size"]


@dataclass(frozen=True)
class ImageBoxes:
    """Where an image is, and its boxes by person."""

    shard: str
    image_id: int
    people: tuple[Boxes, ...]


@dataclass(frozen=True)
class FirstStageBoxes:
    """The boxes of all assisted-manual rounds: the rounds, and the images by rising id."""

    rounds: tuple[str, ...]
    images: tuple[ImageBoxes, ...]


def read_first_stage_boxes(dataset: Dataset, min_mask_share: float) -> FirstStageBoxes:
    """Reads the boxes of all masks that people made in the first stage and a reviewer accepted.

    Args:
        dataset: The dataset.
        min_mask_share: Of the image's area; smaller masks are left out. Their image stays.

    Raises:
        ArtifactError: A snapshot is damaged.
    """
    shards: dict[int, str] = {}
    boxes: dict[int, dict[tuple[str, int], list[list[int]]]] = defaultdict(lambda: defaultdict(list))
    rounds = []
    for name in list_rounds(dataset.storage):
        found = 0
        for group in iterate_row_groups(dataset.storage, RoundAssetName.HUMAN_MASKS, name, columns=_COLUMNS):
            rows: pa.Table = group.filter(pc.equal(group["stage"], FIRST_STAGE))
            found += rows.num_rows
            for row in rows.to_pylist():
                shards[row["image_id"]] = row["shard"]
                person = boxes[row["image_id"]][name, row["task_id"]]
                if row["area"] >= min_mask_share * row["size"][0] * row["size"][1]:
                    person.append(row["bbox"])
        if found:
            rounds.append(name)
    images = (
        ImageBoxes(shards[image_id], image_id, tuple(boxes_from_xywh(person) for person in boxes[image_id].values()))
        for image_id in sorted(boxes)
    )
    return FirstStageBoxes(tuple(rounds), tuple(images))


class DatasetBoxes:
    """Images of a dataset with their boxes; pixels are read when they are asked for."""

    def __init__(self, dataset: Dataset, images: Sequence[ImageBoxes]) -> None:
        """Takes the images."""
        self._dataset, self.images = dataset, images

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def read(self, index: int) -> BoxedImage:
        """Reads an image.

        Raises:
            ArtifactError: `raw_images` of its shard was not made, is damaged or lacks it.
        """
        image = self.images[index]
        jpeg = read_jpeg(self._dataset, image.shard, image.image_id)
        if jpeg is None:
            raise ArtifactError(
                f"Image {image.image_id} has masks of people but is no longer in raw_images of shard {image.shard}; "
                "materialize that shard again with the settings of before."
            )
        return BoxedImage(decode_jpeg(jpeg), image.people)
