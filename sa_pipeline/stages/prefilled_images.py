"""Which images the pre-filled masks of a round were looked for on. Read without torch."""

from sa_pipeline.artifacts import RoundAssetName, read_header
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError

IMAGES = "image_ids"
"""Setting in the header: the images that were looked at, also those that no mask was found on."""


def prefilled_images(dataset: Dataset, round_name: str) -> list[int]:
    """Ids of the images that a round's pre-filled masks were looked for on, also of those without any.

    Raises:
        ArtifactError: `prefilled_masks` was not made for the round, or is damaged.
    """
    header = read_header(dataset.storage, RoundAssetName.PREFILLED_MASKS, round_name)
    if header is None:
        raise ArtifactError(
            f"Round {round_name} has no pre-filled masks yet; materialize prefilled_masks for {round_name} first."
        )
    return list(header.settings[IMAGES])
