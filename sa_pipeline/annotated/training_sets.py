"""Images of a dataset with the masks that its people made: the training sets of annotation rounds."""

from collections import defaultdict
from collections.abc import Sequence

import pyarrow.compute as pc

from sa_pipeline.annotated.image import AnnotatedImage, require_size
from sa_pipeline.artifacts import AssetName, RoundAssetName, artifact_name, iterate_row_groups, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.images.jpeg import decode_jpeg
from sa_pipeline.images.stored import read_jpeg
from sa_pipeline.schemas import Split

_INDEX = ["image_id", "shard", "split"]


class TrainingSetSource:
    """One split of one or several rounds. People of several rounds who segmented an image stand beside each other.

    Only the images' numbers are kept in memory.
    """

    def __init__(self, dataset: Dataset, rounds: Sequence[str], split: Split) -> None:
        """Lists the images.

        Args:
            dataset: It has `raw_images` and the rounds' `training_set`.
            rounds: In the order in which people of an image stand.
            split: The masks for training, or those that are held out.

        Raises:
            ArtifactError: A training set was not made or is damaged.
        """
        self._dataset = dataset
        self._storage = dataset.storage
        self._split = split
        self._shards: dict[int, str] = {}
        rounds_of: dict[int, dict[str, None]] = defaultdict(dict)
        for name in rounds:
            for group in iterate_row_groups(self._storage, RoundAssetName.TRAINING_SET, name, columns=_INDEX):
                for row in group.filter(pc.equal(group["split"], split.value)).to_pylist():
                    self._shards[row["image_id"]] = row["shard"]
                    rounds_of[row["image_id"]][name] = None
        self._rounds = {image_id: tuple(names) for image_id, names in rounds_of.items()}
        self._ids = sorted(self._shards)

    @property
    def names(self) -> Sequence[str]:
        """`sa_N.jpg`, by rising number."""
        return [f"sa_{image_id}.jpg" for image_id in self._ids]

    def read(self, index: int) -> AnnotatedImage:
        """Reads one image and its masks.

        Raises:
            AnnotationError: The masks are of another size than the image.
            ArtifactError: `raw_images` or a training set is gone or damaged.
        """
        image_id = self._ids[index]
        shard = self._shards[image_id]
        jpeg = read_jpeg(self._dataset, shard, image_id)
        if jpeg is None:
            place = self._storage.url_of(artifact_name(AssetName.RAW_IMAGES, shard))
            raise ArtifactError(f"{place} lacks image {image_id}, of which people made masks; materialize it again.")
        pixels = decode_jpeg(jpeg)
        people: dict[tuple[str, int], list[str]] = defaultdict(list)
        for name in self._rounds[image_id]:
            masks = read_table(
                self._storage,
                RoundAssetName.TRAINING_SET,
                name,
                columns=["split", "replica", "size", "counts"],
                image_id=image_id,
            )
            where = f"{self._storage.url_of(artifact_name(RoundAssetName.TRAINING_SET, name))}: image {image_id}"
            for row in masks.filter(pc.equal(masks["split"], self._split.value)).to_pylist():
                require_size((row["size"][0], row["size"][1]), pixels.shape[:2], where)
                people[name, row["replica"]].append(row["counts"])
        return AnnotatedImage(f"sa_{image_id}.jpg", pixels, tuple(tuple(counts) for counts in people.values()))
