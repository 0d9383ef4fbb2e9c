"""Masks from elsewhere as the tasks of a round, to be completed, to be reviewed, or accepted as they are."""

import contextlib
import enum
import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from sa_pipeline.annotated.references import ReferenceMask, ReferenceMasks
from sa_pipeline.errors import ArtifactError, CheckpointError, MissingFileError
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.embedded_images import TaskImage, embedded_shard
from sa_pipeline.studio.filling import require_decoder
from sa_pipeline.studio.matching import ImageIndex, Mismatch
from sa_pipeline.studio.models import Prompts, Source, Stage, TaskState
from sa_pipeline.studio.new_tasks import GivenMask, NewTask, add_task, give_masks, lock_queue
from sa_pipeline.studio.rounds import ensure_round, find_round
from sa_pipeline.studio.schema import tasks


class ImportAs(enum.StrEnum):
    """What becomes of masks that are imported."""

    PREFILLED = "prefilled"
    """An annotator looks at them and adds what is missing."""
    FINISHED = "finished"
    """A reviewer looks at them."""
    ACCEPTED = "accepted"
    """They are in the next snapshot."""


_STATES = {
    ImportAs.PREFILLED: TaskState.OPEN,
    ImportAs.FINISHED: TaskState.FINISHED,
    ImportAs.ACCEPTED: TaskState.ACCEPTED,
}


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        counts: `images`, `tasks` and `masks` that were imported, and `images_passed_over`.
        passed_over: Why images were passed over: how many for each reason, and the name of the first.
    """

    counts: Mapping[str, int]
    passed_over: Mapping[str, tuple[int, str]]

    def describe(self) -> str:
        """What was passed over, in a sentence; empty for nothing."""
        parts = [f"{count} {reason} (the first: {name})" for reason, (count, name) in self.passed_over.items()]
        return f"Passed over: {'; '.join(parts)}." if parts else ""


MAX_LABEL_LENGTH = 200
"""As `models.Word` has it; the rest of a longer one is cut off."""

BEGUN = "that people of the round have begun already"


def import_masks(
    studio: Studio, references: Iterable[ReferenceMasks], round_name: str, how: ImportAs, index: ImageIndex
) -> ImportReport:
    """Makes a task of each person's masks of each image that is in the dataset.

    A task of the round that nobody has begun is given the masks; otherwise there is a new one. Called again, it changes
    nothing.

    Args:
        studio: Where the tasks go.
        references: The masks.
        round_name: Of the round; a new one is semi-automatic for pre-filled masks, else assisted-manual (paper §4).
        how: What becomes of them.
        index: Of the dataset's images.

    Raises:
        StudioError: The round's name cannot be one, or it is closed.
        AnnotationError: A mask is malformed.
        RleError: A mask does not have the size that its file says.
    """
    stage = studio.write(functools.partial(_ensure_round, studio=studio, name=round_name, how=how))
    embedded = _Embedded(studio)
    counts = Counter(images=0, tasks=0, masks=0, images_passed_over=0)
    reasons: dict[str, tuple[int, str]] = {}
    for reference in references:
        found = index.find(reference)
        reason = found.value if isinstance(found, Mismatch) else None
        if not isinstance(found, Mismatch):
            image = embedded.image(found) if how is ImportAs.PREFILLED else found
            put = functools.partial(
                _put, round_name=round_name, stage=stage, image=image, reference=reference, how=how, now=studio.clock()
            )
            made = studio.write(put)
            counts.update(made)
            reason = None if made["tasks"] else BEGUN
        if reason is not None:
            times, first = reasons.get(reason, (0, reference.name))
            reasons[reason] = (times + 1, first)
            counts["images_passed_over"] += 1
    return ImportReport(counts, reasons)


def _ensure_round(connection: sa.Connection, studio: Studio, name: str, how: ImportAs) -> Stage:
    known = find_round(connection, name)
    new = Stage.SEMI_AUTOMATIC if how is ImportAs.PREFILLED else Stage.ASSISTED_MANUAL
    stage = known.stage if known else new
    ensure_round(connection, name, stage, 0, studio.clock())
    return stage


class _Embedded:
    """Images with the weights that made their embeddings, where SAM can help with them."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._shards: dict[str, dict[int, TaskImage]] = {}

    def image(self, image: TaskImage) -> TaskImage:
        if image.shard not in self._shards:
            self._shards[image.shard] = {}
            with contextlib.suppress(ArtifactError, MissingFileError, CheckpointError):
                shard = embedded_shard(self._studio.dataset, image.shard)
                require_decoder(self._studio.dataset, shard.checkpoint)
                self._shards[image.shard] = {each.image_id: each for each in shard.images}
        return self._shards[image.shard].get(image.image_id, image)


def _put(
    connection: sa.Connection,
    *,
    round_name: str,
    stage: Stage,
    image: TaskImage,
    reference: ReferenceMasks,
    how: ImportAs,
    now: float,
) -> Counter[str]:
    lock_queue(connection)
    counts: Counter[str] = Counter()
    for replica, masks in enumerate(reference.people):
        task_id = _task_for(connection, NewTask(round_name, stage, image, replica), now)
        if task_id is not None:
            source = Source.PREFILLED if how is ImportAs.PREFILLED else Source.IMPORTED
            give_masks(connection, task_id, image, _given(masks), source, now, state=_STATES[how])
            counts.update(tasks=1, masks=len(masks))
    counts["images"] = int(counts["tasks"] > 0)
    return counts


def _task_for(connection: sa.Connection, task: NewTask, now: float) -> int | None:
    """A task of the round that nobody has begun, made if need be; None where somebody has."""
    row = connection.execute(
        sa.select(tasks).where(
            tasks.c.round == task.round,
            tasks.c.image_id == task.image.image_id,
            tasks.c.replica == task.replica,
        )
    ).one_or_none()
    if row is None:
        return add_task(connection, task, now)
    held = row.lease_until is not None and row.lease_until >= now
    untouched = row.version == 0 and row.state == TaskState.OPEN.value and row.annotator_id is None and not held
    return row.task_id if untouched else None


def _given(masks: Sequence[ReferenceMask]) -> list[GivenMask]:
    return [GivenMask(mask.counts, mask.label[:MAX_LABEL_LENGTH], _prompts(mask)) for mask in masks]


def _prompts(mask: ReferenceMask) -> Prompts:
    if mask.point is None:
        return Prompts(predicted_iou=mask.predicted_iou)
    return Prompts(point_coords=[mask.point], point_labels=[1], predicted_iou=mask.predicted_iou)
