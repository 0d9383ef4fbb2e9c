"""`sam_checkpoint`: SAM retrained on a round's human masks, and compared with what it was before (paper §4)."""

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from sa_pipeline.annotated.training_sets import TrainingSetSource
from sa_pipeline.artifacts import (
    SCHEMA_VERSIONS,
    ArtifactHeader,
    CheckpointRef,
    RoundAssetName,
    input_digest,
    list_partitions,
    read_header,
    read_table,
)
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import AnnotationError, ArtifactError
from sa_pipeline.evaluation.held_out import ClickIous, ClickSettings, click_ious
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.promotion import checkpoint_in_use, find_weights, ref_in_use
from sa_pipeline.round_checkpoints import (
    TRAINED_ON,
    ClickFigures,
    HeldOutEvaluation,
    RoundCheckpoint,
    read_round_checkpoint,
    weights_file,
    write_round_checkpoint,
)
from sa_pipeline.sam.registry import checkpoint_ref, load_model
from sa_pipeline.schemas import TRAINED_MASKS, Split
from sa_pipeline.stages.result import StageResult, make_unless_fresh
from sa_pipeline.training.retrain import CURVES, LOG, TrainingOutcome, retrain
from sa_pipeline.training.samples import AnnotatedScenes
from sa_pipeline.training.settings import WITHOUT_EFFECT, TrainingSettings, training_preset

WORK = "retraining"
"""Folder of the home in which training goes on; what is in it may be deleted when no run is under way."""


def make_sam_checkpoint(dataset: Dataset, round_name: str, progress: Progress | None = None) -> StageResult:
    """Retrains on a round's masks, evaluates on held-out images, and writes weights, log, curves and figures.

    Training starts from the weights in use, or from the checkpoint that `rounds.encoders` names for the round. A call
    after a crash or a stop goes on with the next step, and the weights come out the same. What is in use stays in use:
    `promotion.promote` changes that. Counts: images, masks, steps.

    Raises:
        ArtifactError: `training_set` was not made or is damaged.
        AnnotationError: The training set has no mask to train on.
        CheckpointError: The weights to start from are not on this machine.
        SettingsError: `rounds.training` has a wrong name or value.
        StorageError: A file cannot be written.
        KeyboardInterrupt: Training was stopped; a later call goes on.
    """
    shown = progress or SilentProgress()
    settings = training_settings(dataset)
    parent = _parent(dataset, round_name)
    expected = _expected(dataset, round_name, settings, checkpoint_ref(parent))

    work = _Work(dataset, expected)

    def make(header: ArtifactHeader) -> None:
        started = time.monotonic()
        outcome = work.train(parent, settings, shown)
        seconds = time.monotonic() - started
        _publish(dataset, header, work, outcome, settings, seconds, _evaluate(dataset, work, parent, outcome, shown))

    result = make_unless_fresh(dataset.storage, expected, make)
    shutil.rmtree(work.folder, ignore_errors=True)
    return result


def training_settings(dataset: Dataset) -> TrainingSettings:
    """The recipe of a round's retraining.

    Raises:
        SettingsError: `rounds.training` has a wrong name or value.
    """
    rounds = dataset.settings.rounds
    return training_preset(rounds.training_preset, rounds.training, where="settings.rounds.training")


@dataclass(frozen=True)
class _Work:
    """The folder in which a round is retrained, named after what it is made from, so that two are never mixed."""

    dataset: Dataset
    header: ArtifactHeader

    @property
    def folder(self) -> Path:
        digest = hashlib.sha256(self.header.dump().encode()).hexdigest()[:16]
        return self.dataset.home / WORK / f"{self.header.partition}-{digest}"

    def train(self, parent: str, settings: TrainingSettings, progress: Progress) -> TrainingOutcome:
        source = TrainingSetSource(self.dataset, [self.header.partition], Split.TRAIN)
        if not source.names:
            raise AnnotationError(
                f"Round {self.header.partition} has no mask to train on: nothing was accepted, or all of it lies on "
                "held-out images."
            )
        scenes = AnnotatedScenes(source, settings.max_mask_share)
        name = f"{self.header.partition} {self.header.inputs[RoundAssetName.TRAINING_SET]}"
        outcome = retrain(load_model(parent), scenes, name, settings, self.folder, progress)
        if not outcome.finished:
            raise KeyboardInterrupt
        return outcome

    def clicks(self, weights: str, source: TrainingSetSource, settings: ClickSettings, progress: Progress) -> ClickIous:
        model = load_model(weights)
        return click_ious(model, source, settings, self.folder / f"clicks-{model.ref.digest[:16]}.jsonl", progress)


def _parent(dataset: Dataset, round_name: str) -> str:
    """What training starts from, as `load_model` takes it."""
    own = dataset.settings.rounds.encoders.get(round_name)
    if own is not None:
        return own
    made = read_round_checkpoint(dataset.storage, round_name)
    # Its own weights may be in use by now; it is not to be trained on the same masks twice.
    return checkpoint_in_use(dataset) if made is None else find_weights(dataset, made.parent)


def _expected(dataset: Dataset, round_name: str, settings: TrainingSettings, parent: CheckpointRef) -> ArtifactHeader:
    asset = RoundAssetName.SAM_CHECKPOINT
    digest = input_digest(dataset.storage, RoundAssetName.TRAINING_SET, round_name)
    return ArtifactHeader(
        asset=asset,
        partition=round_name,
        schema_version=SCHEMA_VERSIONS[asset],
        settings=settings.model_dump(mode="json", exclude=set(WITHOUT_EFFECT)),
        inputs={RoundAssetName.TRAINING_SET.value: digest, "parent": parent.digest},
        checkpoint=parent,
    )


def _evaluate(
    dataset: Dataset, work: _Work, parent: str, outcome: TrainingOutcome, progress: Progress
) -> HeldOutEvaluation:
    rounds = dataset.settings.rounds
    so_far = _rounds_so_far(dataset)
    source = TrainingSetSource(dataset, so_far, Split.HELD_OUT)
    clicks = ClickSettings(max_segments_per_image=rounds.max_segments_per_image)
    before = work.clicks(parent, source, clicks, progress)
    new = work.clicks(str(outcome.weights), source, clicks, progress)
    in_use = None
    if ref_in_use(dataset).digest != checkpoint_ref(parent).digest:
        in_use = _figures(work.clicks(checkpoint_in_use(dataset), source, clicks, progress))
    return HeldOutEvaluation(
        rounds=tuple(so_far),
        images=new.images,
        masks=new.segments,
        parent=_figures(before),
        new=_figures(new),
        in_use=in_use,
        not_worse_by=rounds.not_worse_by,
    )


def _rounds_so_far(dataset: Dataset) -> Sequence[str]:
    return list_partitions(dataset.storage, RoundAssetName.TRAINING_SET)


def _figures(found: ClickIous) -> ClickFigures:
    return ClickFigures(clicks=dict(found.by_clicks), best_of_three=found.best_of_three)


def _publish(
    dataset: Dataset,
    header: ArtifactHeader,
    work: _Work,
    outcome: TrainingOutcome,
    settings: TrainingSettings,
    seconds: float,
    evaluation: HeldOutEvaluation,
) -> None:
    storage, round_name = dataset.storage, header.partition
    ref = checkpoint_ref(str(outcome.weights)).model_copy(update={"name": round_name})
    file = weights_file(round_name, ref.digest, outcome.weights.suffix)
    for source, name in (
        (outcome.weights, file),
        (work.folder / LOG, f"{Path(file).parent}/{LOG}"),
        (work.folder / CURVES, f"{Path(file).parent}/{CURVES}"),
    ):
        with storage.writing(name) as aside:
            shutil.copyfile(source, aside)
    with storage.writing(f"{Path(file).parent}/{TRAINED_ON}") as aside:
        columns = TRAINED_MASKS.names
        pq.write_table(read_table(storage, RoundAssetName.TRAINING_SET, round_name, columns=columns), aside)
    trained_on = read_header(storage, RoundAssetName.TRAINING_SET, round_name)
    if trained_on is None or header.checkpoint is None:
        raise ArtifactError(f"training_set of round {round_name} went away while it was trained on; make it again.")
    counts = {
        "images": trained_on.counts["train_images"],
        "masks": trained_on.counts["train_masks"],
        "steps": outcome.step,
    }
    record = RoundCheckpoint(
        header=header.model_copy(update={"counts": counts, "content_digest": ref.digest}),
        checkpoint=ref,
        file=file,
        parent=header.checkpoint,
        **counts,
        seconds=round(seconds, 3),
        training=settings.model_dump(mode="json"),
        evaluation=evaluation,
        promoted=evaluation.not_worse,
    )
    write_round_checkpoint(storage, record)
