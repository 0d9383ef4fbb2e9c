"""Tasks, pins and objects as they travel: rows of the database with what the files say of their pictures."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.models import (
    ImageInfo,
    Kind,
    Lease,
    ObjectState,
    Pin,
    Prompts,
    Rle,
    Source,
    Stage,
    StoredEvent,
    TaskDetail,
    TaskState,
    TaskSummary,
    Tool,
)
from sa_pipeline.studio.people import PIPELINE, Person
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline.studio.queue import upcoming_tasks
from sa_pipeline.studio.refusals import not_found
from sa_pipeline.studio.schema import annotators, events, objects, pins, tasks

Row = sa.Row[Any]

_OPEN_PINS = (
    sa.select(sa.func.count())
    .where(pins.c.task_id == tasks.c.task_id, pins.c.resolved_at.is_(None))
    .scalar_subquery()
    .label("open_pins")
)
TASKS = sa.select(tasks, annotators.c.name.label("annotator"), _OPEN_PINS).outerjoin(
    annotators, annotators.c.annotator_id == tasks.c.annotator_id
)
"""Select of tasks that `summary` understands."""

PINS = (
    sa.select(pins, annotators.c.name.label("author"), tasks.c.annotator_id)
    .select_from(pins)
    .join(annotators, annotators.c.annotator_id == pins.c.author_id)
    .join(tasks, tasks.c.task_id == pins.c.task_id)
)
"""Select of pins that `pin` understands, with whose task it is."""

_TASK_ID = sa.bindparam("task_id", type_=sa.Integer)
_TASK = TASKS.where(tasks.c.task_id == _TASK_ID)
_OBJECTS = (
    sa.select(objects)
    .where(objects.c.task_id == _TASK_ID, ~objects.c.deleted)
    .order_by(objects.c.prominence, objects.c.made_version)
)
_REMARKS = PINS.where(pins.c.task_id == _TASK_ID).order_by(pins.c.pin_id)
_SOME_TASKS = TASKS.where(tasks.c.task_id.in_(sa.bindparam("task_ids", expanding=True)))


def summary(row: Row, pictures: Pictures) -> TaskSummary:
    """A task of `TASKS`."""
    return TaskSummary(
        task_id=row.task_id,
        round=row.round,
        stage=Stage(row.stage),
        state=TaskState(row.state),
        pilot=row.pilot,
        image=picture_of(row, pictures),
        version=row.version,
        annotator=row.annotator,
        masks=row.masks,
        active_seconds=row.active_seconds,
        finished_at=row.finished_at,
        open_pins=row.open_pins,
        skip_reason=row.skip_reason,
        review_comment=row.review_comment,
    )


def picture_of(row: Row, pictures: Pictures) -> ImageInfo:
    """The picture of a task."""
    return pictures.info(row.image_id, row.shard, row.file_name, row.width, row.height)


def pin(row: Row) -> Pin:
    """A pin of `PINS`."""
    return Pin(
        pin_id=row.pin_id,
        task_id=row.task_id,
        author=row.author,
        x=row.x,
        y=row.y,
        comment=row.comment,
        object_id=row.object_id,
        created_at=row.created_at,
        resolved_at=row.resolved_at,
    )


def object_state(row: Row, size: tuple[int, int]) -> ObjectState:
    """An object of a task whose picture is of that (height, width), px."""
    return ObjectState(
        object_id=row.object_id,
        label=row.label,
        kind=Kind(row.kind),
        unnameable=row.unnameable,
        prominence=row.prominence,
        source=Source(row.source),
        source_mask_id=row.source_mask_id,
        mask=None if row.counts is None else Rle(size=size, counts=row.counts),
        prompts=Prompts.model_validate(row.prompts),
        deleted=row.deleted,
    )


def find_task(connection: sa.Connection, task_id: int) -> Row:
    """A task of `TASKS`.

    Raises:
        RefusedError: not_found.
    """
    row = connection.execute(_TASK, {"task_id": task_id}).one_or_none()
    if row is None:
        raise not_found(f"task {task_id}")
    return row


def task_summary(studio: Studio, pictures: Pictures, task_id: int) -> TaskSummary:
    """A task without its objects.

    Raises:
        RefusedError: not_found.
    """
    with studio.read() as connection:
        row = find_task(connection, task_id)
    return summary(row, pictures)


def task_summaries(studio: Studio, pictures: Pictures, query: "sa.Select[*tuple[Any, ...]]") -> list[TaskSummary]:
    """The tasks of a select that was made of `TASKS`."""
    with studio.read() as connection:
        rows = connection.execute(query).all()
    return [summary(row, pictures) for row in rows]


def task_detail(
    studio: Studio, pictures: Pictures, person: Person, task_id: int, lease: Lease | None = None
) -> TaskDetail:
    """A task with its objects, in order of prominence, those made first before others.

    Raises:
        RefusedError: not_found.
    """
    with studio.read() as connection:
        row = find_task(connection, task_id)
        found = connection.execute(_OBJECTS, {"task_id": task_id}).all()
        remarks = connection.execute(_REMARKS, {"task_id": task_id}).all()
        following = _upcoming(connection, person, task_id, studio.clock()) if lease else []
    size = (row.height, row.width)
    return TaskDetail(
        task=summary(row, pictures),
        lease=lease,
        objects=[object_state(each, size) for each in found],
        pins=[pin(each) for each in remarks],
        upcoming=[picture_of(each, pictures) for each in following],
    )


def stored_events(studio: Studio, task_id: int) -> list[StoredEvent]:
    """All that was ever done to a task, in order.

    Raises:
        RefusedError: not_found.
    """
    query = (sa.select(events, annotators.c.name).outerjoin(annotators).where(events.c.task_id == task_id)).order_by(
        events.c.version
    )
    with studio.read() as connection:
        find_task(connection, task_id)
        rows = connection.execute(query).all()
    return [
        StoredEvent(
            op_id=row.op_id,
            tool=Tool(row.tool),
            object=ObjectState.model_validate(row.state),
            at=row.at,
            active_seconds=row.active_seconds,
            version=row.version,
            annotator=row.name or PIPELINE,
            received_at=row.received_at,
        )
        for row in rows
    ]


def _upcoming(connection: sa.Connection, person: Person, task_id: int, now: float) -> Iterable[Row]:
    following = upcoming_tasks(connection, person, task_id, now)
    rows = {row.task_id: row for row in connection.execute(_SOME_TASKS, {"task_ids": following})}
    return [rows[task_id] for task_id in following]
