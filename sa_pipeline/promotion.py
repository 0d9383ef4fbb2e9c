"""Putting a round's weights into use, going back, and finding weights on this machine."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sa_pipeline.artifacts import CheckpointRef
from sa_pipeline.checkpoint_history import (
    Promotion,
    last_change,
    promotion_in_use,
    record_change,
)
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import CheckpointError
from sa_pipeline.round_checkpoints import list_made_checkpoints, list_round_checkpoints, read_round_checkpoint
from sa_pipeline.sam.registry import checkpoint_ref
from sa_pipeline.storage import Storage


def checkpoint_in_use(dataset: Dataset) -> str:
    """The weights in use, as `load_model` takes them: a name or a path on this machine.

    Raises:
        ArtifactError: The file that says so is damaged.
        CheckpointError: The promoted weights are gone or not what was promoted.
    """
    promoted = promotion_in_use(dataset)
    if promoted is None or promoted.file is None:
        return dataset.settings.checkpoint
    return str(_local(dataset, promoted.file, promoted.checkpoint.digest))


def ref_in_use(dataset: Dataset) -> CheckpointRef:
    """Name, architecture and digest of the weights in use.

    Raises:
        ArtifactError: The file that says so is damaged.
        CheckpointError: The weights are not on this machine, or not what was promoted.
    """
    return checkpoint_ref(checkpoint_in_use(dataset))


def find_weights(dataset: Dataset, wanted: CheckpointRef) -> str:
    """Weights by their digest, as `load_model` takes them: those of a round, or those known by a name.

    Raises:
        CheckpointError: None of the weights that are known here are those.
    """
    for name in _known(dataset, wanted):
        try:
            if checkpoint_ref(name).digest == wanted.digest:
                return name
        except CheckpointError:
            continue
    raise CheckpointError(
        f"{wanted.name} (sha256 {wanted.digest[:16]}) is not on this machine; add that checkpoint under its name: "
        "sa-pipeline checkpoints add NAME PATH."
    )


def promote(dataset: Dataset, round_name: str, *, even_if_worse: bool = False) -> Promotion:
    """Puts the weights of a round into use, now or again; nothing changes where they are in use.

    Args:
        dataset: The dataset.
        round_name: Any round with a checkpoint.
        even_if_worse: Also against what the evaluation says.

    Raises:
        CheckpointError: The round has no weights, or they are worse than those before.
        ArtifactError: A file is damaged.
        StorageError: A file cannot be written.
    """
    record = read_round_checkpoint(dataset.storage, round_name)
    if record is None:
        names = ", ".join(list_round_checkpoints(dataset.storage))
        raise CheckpointError(f"Round {round_name} has no weights; there are some of: {names or 'no round yet'}.")
    if not (record.promoted or even_if_worse):
        raise CheckpointError(
            f"The weights of round {round_name} are not promoted: {record.evaluation.refusal()}. To use them all the "
            f"same: sa-pipeline rounds promote {round_name} --although-worse."
        )
    _local(dataset, record.file, record.checkpoint.digest)
    return _change(dataset, round_name, record.checkpoint, record.file, record.parent)


def return_to_start(dataset: Dataset) -> Promotion:
    """Puts the checkpoint that the settings name into use again.

    Raises:
        CheckpointError: It is not on this machine.
        StorageError: The file cannot be written.
    """
    return _change(dataset, None, checkpoint_ref(dataset.settings.checkpoint), None, None)


def _change(
    dataset: Dataset, round_name: str | None, ref: CheckpointRef, file: str | None, parent: CheckpointRef | None
) -> Promotion:
    start = dataset.settings.checkpoint
    change = Promotion(round=round_name, checkpoint=ref, file=file, parent=parent, start=start, at=datetime.now(UTC))
    last = last_change(dataset)
    if last is None and file is None:
        return change  # the start is in use already
    if last is not None and (last.file, last.checkpoint.digest) == (file, ref.digest):
        return last
    record_change(dataset.storage, change)
    return change


def _known(dataset: Dataset, wanted: CheckpointRef) -> Iterator[str]:
    made = list_made_checkpoints(dataset.storage)
    same = (record for record in made if record.checkpoint.digest == wanted.digest)
    yield from (str(_local(dataset, record.file, wanted.digest)) for record in same)
    yield from (dataset.settings.checkpoint, *dataset.settings.rounds.encoders.values(), wanted.name)


def _local(dataset: Dataset, file: str, digest: str) -> Path:
    """Path of a round's weights on this machine, checked; from a remote storage they are fetched once."""
    path = Path(dataset.storage.url_of(file)) if dataset.storage.is_local else dataset.home / "cache" / file
    if not path.is_file() and not dataset.storage.is_local and dataset.storage.exists(file):
        with dataset.storage.local_copy(file) as copy, Storage(dataset.home).writing(f"cache/{file}") as aside:
            shutil.copyfile(copy, aside)
    if not path.is_file() or checkpoint_ref(str(path)).digest != digest:
        raise CheckpointError(
            f"{dataset.storage.url_of(file)} is gone or not what was trained (sha256 {digest[:16]}); bring it back, or "
            "promote another round: sa-pipeline rounds promote ROUND."
        )
    return path
