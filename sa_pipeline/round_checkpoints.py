"""`sam_checkpoint` as a file: what was retrained in a round, on what, from what, and how good it is."""

import contextlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from statistics import fmean
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sa_pipeline.artifacts import ArtifactHeader, CheckpointRef, RoundAssetName, artifact_name, list_partitions
from sa_pipeline.errors import ArtifactError, MissingFileError, describe_validation_error
from sa_pipeline.storage import Storage

RECORD, TRAINED_ON = "record.json", "masks.parquet"
"""Beside the weights: the record, and which masks they were trained on and which were held out."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClickFigures(_Record):
    """Mean IoU over held-out masks by number of simulated clicks, and of the best of the first click's three masks.

    Without a held-out mask there are no clicks and no best of three.
    """

    clicks: dict[int, float]
    best_of_three: float | None

    @property
    def mean(self) -> float | None:
        """Mean over the numbers of clicks."""
        return fmean(self.clicks.values()) if self.clicks else None


class HeldOutEvaluation(_Record):
    """New weights beside those before, on the held-out images of the rounds so far, asked with the same prompts.

    Attributes:
        rounds: Whose held-out masks were clicked on.
        images: Held out.
        masks: Clicked on.
        parent: The weights that training started from.
        new: The new weights.
        in_use: The weights that were in use, where training started from others.
        not_worse_by: IoU that could be lost.
    """

    rounds: tuple[str, ...]
    images: int
    masks: int
    parent: ClickFigures
    new: ClickFigures
    in_use: ClickFigures | None
    not_worse_by: float

    @property
    def before(self) -> Mapping[str, ClickFigures]:
        """What the new weights must not be worse than."""
        return {"parent": self.parent} | ({"in_use": self.in_use} if self.in_use else {})

    def losses(self) -> dict[str, float | None]:
        """IoU lost against each of `before`: at one click and in the mean over clicks; below 0 where it was gained."""
        found = {}
        for name, figures in self.before.items():
            found[f"{name}, 1 click"] = _difference(figures.clicks.get(1), self.new.clicks.get(1))
            found[f"{name}, mean over clicks"] = _difference(figures.mean, self.new.mean)
        return found

    @property
    def not_worse(self) -> bool:
        """Whether the new weights may be promoted; without a held-out mask nothing speaks for them."""
        return all(loss is not None and loss <= self.not_worse_by for loss in self.losses().values())

    def refusal(self) -> str:
        """Why the new weights may not be promoted, where they may not."""
        if not self.masks:
            return (
                "no accepted mask lies on a held-out image, so that nothing says whether they are worse "
                "(rounds.held_out_share in the settings)"
            )
        lost = (
            f"{loss:.3f} of IoU lost against {name}"
            for name, loss in self.losses().items()
            if loss is not None and loss > self.not_worse_by
        )
        return f"on {self.masks} held-out masks, {'; '.join(lost)}; allowed is {self.not_worse_by}"


class RoundCheckpoint(_Record):
    """What `sam_checkpoint/{round}.json` holds.

    Attributes:
        header: Its inputs name the training set, its checkpoint the parent.
        checkpoint: The new weights.
        file: Of the new weights, within the storage root; their digest is part of it, so that it never changes.
        parent: The weights that training started from.
        images: Trained on.
        masks: Trained on.
        steps: Of training.
        seconds: Of the run that finished training.
        training: The recipe, as `TrainingSettings`.
        evaluation: On held-out images.
        promoted: Whether the evaluation let them be promoted.
    """

    header: ArtifactHeader
    checkpoint: CheckpointRef
    file: str
    parent: CheckpointRef
    images: int
    masks: int
    steps: int
    seconds: float
    training: dict[str, Any]
    evaluation: HeldOutEvaluation
    promoted: bool

    @property
    def folder(self) -> str:
        """Where weights, log, curves and the list of masks lie, within the storage root."""
        return str(PurePosixPath(self.file).parent)


def weights_file(round_name: str, digest: str, suffix: str) -> str:
    """Name of a round's weights within the storage root; `suffix` is .safetensors or .pth."""
    return f"{RoundAssetName.SAM_CHECKPOINT}/{digest[:16]}/{round_name}{suffix}"


def read_round_checkpoint(storage: Storage, round_name: str) -> RoundCheckpoint | None:
    """What was retrained in a round; None where nothing was.

    Raises:
        ArtifactError: The file is damaged.
    """
    name = artifact_name(RoundAssetName.SAM_CHECKPOINT, round_name)
    return _read(storage, name) if storage.exists(name) else None


def write_round_checkpoint(storage: Storage, record: RoundCheckpoint) -> None:
    """Publishes what was retrained in a round, whose weights lie there already; a copy stays beside the weights.

    Raises:
        StorageError: A file cannot be written.
    """
    text = record.model_dump_json(indent=1).encode()
    for name in (f"{record.folder}/{RECORD}", artifact_name(RoundAssetName.SAM_CHECKPOINT, record.header.partition)):
        storage.write_bytes(name, text)


def _read(storage: Storage, name: str) -> RoundCheckpoint:
    try:
        return RoundCheckpoint.model_validate_json(storage.read_bytes(name))
    except ValidationError as error:
        found = describe_validation_error(error, name=storage.url_of(name))
        raise ArtifactError(f"{found} Delete it and materialize sam_checkpoint again.") from None


def list_round_checkpoints(storage: Storage) -> list[str]:
    """Rounds in which something was retrained, by name."""
    return list_partitions(storage, RoundAssetName.SAM_CHECKPOINT)


def list_made_checkpoints(storage: Storage) -> list[RoundCheckpoint]:
    """All weights that rounds ever made, also those whose round was retrained since; damaged records are left out."""
    names = (f"{folder}/{RECORD}" for folder in storage.list(RoundAssetName.SAM_CHECKPOINT) if "." not in folder)
    found = []
    for name in names:
        with contextlib.suppress(ArtifactError, MissingFileError):
            found.append(_read(storage, name))
    return sorted(found, key=lambda record: (record.header.partition, record.checkpoint.digest))


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else before - after
