"""Rows of a round's snapshot: masks and events of one task, as its tables in the studio's database say."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from sa_pipeline.errors import StudioError
from sa_pipeline.images.ledger import IMAGE_ID_LIMIT
from sa_pipeline.settings import MAX_PROPOSALS_PER_IMAGE
from sa_pipeline.studio.models import ObjectState, Prompts, Tool
from sa_pipeline.studio.schema import events, objects

FIRST_HUMAN_MASK_ID = IMAGE_ID_LIMIT * MAX_PROPOSALS_PER_IMAGE
"""Beyond every automatic mask's id."""
MAX_OBJECTS_PER_TASK = 10_000

_STROKES = (Tool.BRUSH, Tool.ERASER)
_EPOCH = datetime.fromtimestamp(0, UTC)

Row = sa.Row[Any]


@dataclass(frozen=True)
class TaskWork:
    """A task with its objects, in the order of making, and its events, in order."""

    task: Row
    objects: Sequence[Row]
    events: Sequence[Row]


def human_mask_id(task_id: int, number: int) -> int:
    """Id of a human mask: below 2**53, and no automatic mask's.

    Args:
        task_id: Of the studio's database.
        number: Of the object within the task, by the order of making, from 0; deleted ones count, so that it stays.

    Raises:
        StudioError: The task has too many objects.
    """
    if number >= MAX_OBJECTS_PER_TASK:
        raise StudioError(f"Task {task_id} has over {MAX_OBJECTS_PER_TASK} objects; a snapshot cannot number them.")
    return FIRST_HUMAN_MASK_ID + task_id * MAX_OBJECTS_PER_TASK + number


def pseudonym(annotator_id: int | None) -> str | None:
    """What a person is called outside the studio's database; None for the pipeline."""
    return None if annotator_id is None else f"person-{annotator_id}"


def read_work(connection: sa.Connection, tasks: Sequence[Row]) -> Iterator[TaskWork]:
    """Yields the work of tasks, in their order."""
    ids = [task.task_id for task in tasks]
    made: Mapping[int, list[Row]] = defaultdict(list)
    for row in connection.execute(
        sa.select(objects).where(objects.c.task_id.in_(ids)).order_by(objects.c.task_id, objects.c.made_version)
    ):
        made[row.task_id].append(row)
    done: Mapping[int, list[Row]] = defaultdict(list)
    for row in connection.execute(
        sa.select(events).where(events.c.task_id.in_(ids)).order_by(events.c.task_id, events.c.version)
    ):
        done[row.task_id].append(row)
    for task in tasks:
        yield TaskWork(task, made[task.task_id], done[task.task_id])


def mask_rows(work: TaskWork) -> list[dict[str, object]]:
    """The masks of a task, in order of prominence: objects with pixels that were not deleted."""
    task = work.task
    by_object: Mapping[uuid.UUID, list[Row]] = defaultdict(list)
    for event in work.events:
        if event.annotator_id is not None:
            by_object[event.object_id].append(event)
    ids = _mask_ids(work)
    kept = [row for row in work.objects if row.area > 0 and not row.deleted]
    return [
        {
            "mask_id": ids[row.object_id],
            **_place(task),
            "stage": task.stage,
            "replica": task.replica,
            "pilot": task.pilot,
            "object_id": str(row.object_id),
            "annotator": pseudonym(task.annotator_id),
            "reviewer": pseudonym(task.reviewer_id),
            "label": row.label,
            "kind": row.kind,
            "unnameable": row.unnameable,
            "prominence": row.prominence,
            "source": row.source,
            "source_mask_id": row.source_mask_id,
            **_prompts(Prompts.model_validate(row.prompts)),
            "bbox": row.bbox,
            "area": row.area,
            "counts": row.counts,
            **_effort(by_object[row.object_id]),
            "checkpoint_digest": task.checkpoint_digest,
            "accepted_at": _moment(task.reviewed_at),
        }
        for row in sorted(kept, key=lambda row: (row.prominence, row.made_version))
    ]


def event_rows(work: TaskWork) -> list[dict[str, object]]:
    """Every change of a task, in order."""
    ids = _mask_ids(work)
    return [_event_row(work.task, event, ids[event.object_id]) for event in work.events]


def _event_row(task: Row, event: Row, mask_id: int) -> dict[str, object]:
    state = ObjectState.model_validate(event.state)
    return {
        "op_id": str(event.op_id),
        "mask_id": mask_id,
        **_place(task),
        "version": event.version,
        "object_id": str(event.object_id),
        "person": pseudonym(event.annotator_id),
        "tool": event.tool,
        "at": _moment(event.at),
        "received_at": _moment(event.received_at),
        "active_seconds": event.active_seconds,
        "label": state.label,
        "kind": state.kind.value,
        "unnameable": state.unnameable,
        "prominence": state.prominence,
        "source": state.source.value,
        "source_mask_id": state.source_mask_id,
        **_prompts(state.prompts),
        "deleted": state.deleted,
        "counts": state.mask.counts if state.mask else None,
    }


def _mask_ids(work: TaskWork) -> dict[uuid.UUID, int]:
    return {row.object_id: human_mask_id(work.task.task_id, number) for number, row in enumerate(work.objects)}


def _place(task: Row) -> dict[str, object]:
    return {
        "image_id": task.image_id,
        "shard": task.shard,
        "round": task.round,
        "task_id": task.task_id,
        "size": [task.height, task.width],
    }


def _prompts(prompts: Prompts) -> dict[str, object]:
    return {
        "predicted_iou": prompts.predicted_iou,
        "point_coords": prompts.point_coords,
        "point_labels": prompts.point_labels,
        "box": prompts.box,
    }


def _effort(changes: Sequence[Row]) -> dict[str, object]:
    tools = Counter(change.tool for change in changes)
    moments = [change.at for change in changes]
    return {
        "clicks": tools[Tool.CLICK],
        "boxes": tools[Tool.BOX],
        "brush_strokes": sum(tools[tool] for tool in _STROKES),
        "active_seconds": sum(change.active_seconds for change in changes),
        "seconds": max(moments) - min(moments) if moments else 0.0,
    }


def _moment(seconds: float) -> datetime:
    # Not datetime.fromtimestamp, which fails on Windows for moments before 1970, as a wrong clock may give.
    return _EPOCH + timedelta(seconds=seconds)
