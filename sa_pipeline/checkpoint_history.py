"""Which weights are in use: those that the settings name, until a round's own are promoted (paper §4, "retrained").

`current_checkpoint.json` in the dataset's storage says which were promoted, and which before. The chain begins with the
checkpoint that the settings name; whoever names another there begins another chain, in which nothing is promoted yet.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from sa_pipeline.artifacts import CheckpointRef
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError, describe_validation_error
from sa_pipeline.storage import Storage

PROMOTIONS = "current_checkpoint.json"


class Promotion(BaseModel):
    """A change of the weights in use.

    Attributes:
        round: Whose weights; None: back to the start of the chain.
        checkpoint: The weights.
        file: Theirs, within the storage root; None for the start's.
        parent: What they were trained from; None for the start.
        start: The settings' checkpoint, at which the chain begins.
        at: When.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    round: str | None
    checkpoint: CheckpointRef
    file: str | None
    parent: CheckpointRef | None
    start: str
    at: datetime


class Promotions(BaseModel):
    """What `current_checkpoint.json` holds: all changes, the last one first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    changes: tuple[Promotion, ...] = ()


def read_promotions(storage: Storage) -> Promotions:
    """All changes of the weights in use, the last one first; none before the first.

    Raises:
        ArtifactError: The file is damaged.
    """
    if not storage.exists(PROMOTIONS):
        return Promotions()
    try:
        return Promotions.model_validate_json(storage.read_bytes(PROMOTIONS))
    except ValidationError as error:
        found = describe_validation_error(error, name=storage.url_of(PROMOTIONS))
        raise ArtifactError(f"{found} Delete it and promote a round again: sa-pipeline rounds promote ROUND.") from None


def last_change(dataset: Dataset) -> Promotion | None:
    """The last change of the weights in use in the chain that begins with the settings' checkpoint.

    Raises:
        ArtifactError: The file that says so is damaged.
    """
    changes = read_promotions(dataset.storage).changes
    return next((change for change in changes if change.start == dataset.settings.checkpoint), None)


def promotion_in_use(dataset: Dataset) -> Promotion | None:
    """The promotion whose weights are in use; None where those are that the settings name.

    Raises:
        ArtifactError: The file that says so is damaged.
    """
    last = last_change(dataset)
    return last if last is not None and last.file is not None else None


def record_change(storage: Storage, change: Promotion) -> None:
    """Writes a change down as the last one.

    Raises:
        ArtifactError: The file is damaged.
        StorageError: It cannot be written.
    """
    changes = (change, *read_promotions(storage).changes)
    storage.write_bytes(PROMOTIONS, Promotions(changes=changes).model_dump_json(indent=1).encode())
