"""Putting tasks into the queue, with the masks that they begin with."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from sa_pipeline.studio.embedded_images import TaskImage
from sa_pipeline.studio.models import ObjectState, Prompts, Rle, Source, Stage, TaskState, Tool
from sa_pipeline.studio.saving import measure, object_values
from sa_pipeline.studio.schema import events, objects, tasks

_NAMESPACE = uuid.UUID("5a5e9a3c-6d0f-4c5e-9f0a-0c1b8f2d7e11")
"""Of the ids that are told from what they stand for, so that the same masks get the same ids again."""


_LOCK = 0x5A5A_0002
"""Number of the lock under which PostgreSQL's queue is filled; any number that nobody else takes."""


@dataclass(frozen=True)
class GivenMask:
    """A mask that a task begins with.

    Attributes:
        counts: COCO compressed run lengths of the image's size, not empty.
        label: In words; empty for none.
        prompts: What SAM was asked with for it, if it was.
        source_mask_id: The automatic mask that it is, if it is one.
        doubt: The verifier's probability that it is wrong; None where nothing was asked.
    """

    counts: str
    label: str = ""
    prompts: Prompts = field(default_factory=Prompts)
    source_mask_id: int | None = None
    doubt: float | None = None


@dataclass(frozen=True)
class NewTask:
    """A task to be made: one person's work on one image; of two, the lower priority is handed out first."""

    round: str
    stage: Stage
    image: TaskImage
    replica: int = 0
    pilot: bool = False
    priority: int = 0


def lock_queue(connection: sa.Connection) -> None:
    """Keeps others from adding tasks until the transaction ends; SQLite has one writer at a time anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def add_task(connection: sa.Connection, task: NewTask, now: float) -> int:
    """Puts an open task without masks into the queue; returns its id.

    Raises:
        IntegrityError: The round has that replica of the image already.
    """
    image = task.image
    row = {
        "round": task.round,
        "stage": task.stage.value,
        "image_id": image.image_id,
        "shard": image.shard,
        "replica": task.replica,
        "pilot": task.pilot,
        "priority": task.priority,
        "width": image.width,
        "height": image.height,
        "file_name": image.file_name,
        "checkpoint_digest": image.checkpoint_digest,
        "created_at": now,
    }
    return connection.execute(tasks.insert().values(row).returning(tasks.c.task_id)).scalar_one()


def give_masks(
    connection: sa.Connection,
    task_id: int,
    image: TaskImage,
    masks: Sequence[GivenMask],
    source: Source,
    now: float,
    *,
    state: TaskState = TaskState.OPEN,
) -> None:
    """Gives a task that nobody has begun its first masks, one event each, made by the pipeline.

    Args:
        connection: Of a writing transaction.
        task_id: Of a task of version 0.
        image: The task's.
        masks: In order of prominence.
        source: Pre-filled, to be looked at and completed, or imported.
        now: Seconds since 1970.
        state: `FINISHED` or `ACCEPTED` for masks that need no annotator.

    Raises:
        RleError: A mask does not have the image's size.
    """
    tool = Tool.PREFILL if source is Source.PREFILLED else Tool.IMPORT
    states = [_object(task_id, index, mask, image, source) for index, mask in enumerate(masks)]
    doubts = [mask.doubt for mask in masks]
    if states:
        size = (image.height, image.width)
        numbered = list(enumerate(states, start=1))
        rows = [_object_row(task_id, item, size, number) for number, item in numbered]
        connection.execute(objects.insert(), [row | {"doubt": doubt} for row, doubt in zip(rows, doubts, strict=True)])
        connection.execute(events.insert(), [_event_row(task_id, item, number, tool, now) for number, item in numbered])
    changes: dict[str, object] = {"version": len(states), "masks": len(states), "state": state.value}
    if state is not TaskState.OPEN:
        changes["finished_at"] = now
    if state is TaskState.ACCEPTED:
        changes["reviewed_at"] = now
    connection.execute(tasks.update().where(tasks.c.task_id == task_id).values(changes))


def _object(task_id: int, index: int, mask: GivenMask, image: TaskImage, source: Source) -> ObjectState:
    return ObjectState(
        object_id=uuid.uuid5(_NAMESPACE, f"object {task_id} {index}"),
        label=mask.label,
        prominence=index,
        source=source,
        source_mask_id=mask.source_mask_id,
        mask=Rle(size=(image.height, image.width), counts=mask.counts),
        prompts=mask.prompts,
    )


def _object_row(task_id: int, state: ObjectState, size: tuple[int, int], version: int) -> dict[str, object]:
    measured = measure(state.mask, size) if state.mask else None
    numbers = {"task_id": task_id, "object_id": state.object_id, "made_version": version, "version": version}
    return numbers | object_values(state, measured)


def _event_row(task_id: int, state: ObjectState, version: int, tool: Tool, now: float) -> dict[str, object]:
    return {
        "op_id": uuid.uuid5(_NAMESPACE, f"event {task_id} {version}"),
        "task_id": task_id,
        "version": version,
        "object_id": state.object_id,
        "tool": tool.value,
        "state": state.model_dump(mode="json"),
        "at": now,
        "received_at": now,
    }
