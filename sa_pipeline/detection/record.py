"""`object_detector` as a file: what was trained in a round, on what, and how much it finds. Read without torch."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sa_pipeline.artifacts import ArtifactHeader, RoundAssetName, artifact_name, list_partitions
from sa_pipeline.errors import ArtifactError, describe_validation_error
from sa_pipeline.storage import Storage


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BoxRecall(_Record):
    """Shares of people's boxes that a detector found; None without boxes.

    Attributes:
        images: Images looked at.
        boxes: People's boxes on them; those of several people on one image count apart.
        max_boxes: Boxes that the detector may give for an image.
        at_half: Share found at an IoU of 0.5.
        average: Mean of the shares found at IoUs of 0.5 to 0.95: COCO's average recall.
        random_at_half: As `at_half`, of as many boxes drawn by chance, as a yardstick.
        random_average: As `average`, of those.
    """

    images: int
    boxes: int
    max_boxes: int
    at_half: float | None
    average: float | None
    random_at_half: float | None
    random_average: float | None


class BoxExample(_Record):
    """An image with people's boxes and the detector's best ones, XYXY in px between pixels."""

    image_id: int
    shard: str
    held_out: bool
    people: tuple[tuple[float, float, float, float], ...]
    detected: tuple[tuple[float, float, float, float], ...]


class DetectorRecord(_Record):
    """What `object_detector/{round}.json` holds.

    Attributes:
        header: Its inputs name the snapshots and images.
        digest: SHA-256 of the weights' file.
        rounds: Whose masks it was trained on.
        steps: Of training.
        loss: Mean over the last tenth of them.
        recall: On held-out images.
        examples: A few images to look at.
        settings: The recipe, as `DetectorSettings`.
    """

    header: ArtifactHeader
    digest: str
    rounds: tuple[str, ...]
    steps: int
    loss: float
    recall: BoxRecall
    examples: tuple[BoxExample, ...]
    settings: dict[str, Any]


def weights_file(round_name: str) -> str:
    """Name of a round's weights within the storage root."""
    return f"{RoundAssetName.OBJECT_DETECTOR}/{round_name}.safetensors"


def log_file(round_name: str) -> str:
    """Name of a training's log within the storage root: a CSV row a step."""
    return f"{RoundAssetName.OBJECT_DETECTOR}/{round_name}.log.csv"


def curves_file(round_name: str) -> str:
    """Name of the picture of a training's curves within the storage root."""
    return f"{RoundAssetName.OBJECT_DETECTOR}/{round_name}.curves.png"


def read_detector_record(storage: Storage, round_name: str) -> DetectorRecord | None:
    """What was trained in a round; None where nothing was.

    Raises:
        ArtifactError: The file is damaged.
    """
    name = artifact_name(RoundAssetName.OBJECT_DETECTOR, round_name)
    if not storage.exists(name):
        return None
    try:
        return DetectorRecord.model_validate_json(storage.read_bytes(name))
    except ValidationError as error:
        found = describe_validation_error(error, name=storage.url_of(name))
        raise ArtifactError(f"{found} Delete it and materialize object_detector again.") from None


def newest_detector(storage: Storage) -> DetectorRecord | None:
    """The detector of the most rounds and masks, which is the one trained last; None where there is none.

    Raises:
        ArtifactError: A file is damaged.
    """
    return max(list_detectors(storage), key=_age, default=None)


def list_detectors(storage: Storage) -> list[DetectorRecord]:
    """What was trained in any round, by name of the round.

    Raises:
        ArtifactError: A file is damaged.
    """
    rounds = list_partitions(storage, RoundAssetName.OBJECT_DETECTOR)
    return [record for name in rounds if (record := read_detector_record(storage, name)) is not None]


def _age(record: DetectorRecord) -> tuple[int, int, int, str]:
    counts = record.header.counts
    # Shorter names first, so that assisted-10 comes after assisted-9.
    name = record.header.partition
    return len(record.rounds), counts["train_boxes"] + counts["held_out_boxes"], len(name), name
