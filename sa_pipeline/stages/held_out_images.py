"""Which images of a dataset are held out from all training."""

from sa_pipeline.artifacts import AssetName, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.training.held_out import is_held_out


class HeldOutImages:
    """Says of images with people's masks whether they are held out; a shard is read when it is first asked for."""

    def __init__(self, dataset: Dataset) -> None:
        """Takes the share from the dataset's settings."""
        self._dataset = dataset
        self._share = dataset.settings.rounds.held_out_share
        self._by_shard: dict[str, dict[int, str]] = {}

    def holds(self, shard: str, image_id: int) -> bool:
        """Whether an image is held out.

        Raises:
            ArtifactError: `raw_images` of the shard was not made or lacks the image.
        """
        return is_held_out(self._digest(shard, image_id), self._share)

    def _digest(self, shard: str, image_id: int) -> str:
        if shard not in self._by_shard:
            columns = ["image_id", "sha256"]
            rows = read_table(self._dataset.storage, AssetName.RAW_IMAGES, shard, columns=columns)
            self._by_shard[shard] = dict(zip(*(rows[name].to_pylist() for name in columns), strict=True))
        try:
            return self._by_shard[shard][image_id]
        except KeyError:
            raise ArtifactError(
                f"Image {image_id} has masks of people but is no longer in raw_images of shard {shard}; materialize "
                "that shard again with the settings of before."
            ) from None
