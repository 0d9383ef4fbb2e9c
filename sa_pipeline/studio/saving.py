"""Saving what was done to a task: each event once, in order, on the version that it builds on.

The client sends the same events again until it has heard that they are kept; nothing is applied twice, and nothing that
builds on a state left behind is applied at all.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from sa_pipeline.masks.rle import RleError, area_from_runs, box_from_runs, check_runs, decode_counts
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.leases import MAKING, TaskRow, change_task, check_held, locked_task
from sa_pipeline.studio.models import Event, ObjectState, Rle, Save, Saved, TaskState
from sa_pipeline.studio.people import Person
from sa_pipeline.studio.refusals import RefusedError, invalid, not_found, stale_version
from sa_pipeline.studio.schema import events, objects, tasks

_WRITABLE = (*MAKING, TaskState.FINISHED)
"""A finished task is mended by the reviewer who holds it."""

# Built once: building them takes longer than running them.
_TASK_ID = sa.bindparam("task_id", type_=sa.Integer)
_SIZE = sa.select(tasks.c.height, tasks.c.width).where(tasks.c.task_id == _TASK_ID)
_KNOWN_EVENTS = sa.select(events.c.op_id, events.c.task_id, events.c.annotator_id).where(
    events.c.op_id.in_(sa.bindparam("op_ids", expanding=True))
)
_KNOWN_OBJECTS = sa.select(objects.c.object_id).where(
    objects.c.task_id == _TASK_ID, objects.c.object_id.in_(sa.bindparam("object_ids", expanding=True))
)
_CHANGE_OBJECT = (
    objects.update()
    .where(objects.c.task_id == sa.bindparam("of_task"), objects.c.object_id == sa.bindparam("of_object"))
    # The verifier judged the mask that was there before.
    .values(doubt=sa.case((objects.c.counts == sa.bindparam("new_counts"), objects.c.doubt)))
)
_MASKS = sa.select(sa.func.count()).where(objects.c.task_id == _TASK_ID, ~objects.c.deleted, objects.c.area > 0)


@dataclass(frozen=True)
class MeasuredMask:
    """What a mask covers: pixels, and its box XYWH as SA-1B has it (width is x_max - x_min)."""

    area: int
    bbox: tuple[int, int, int, int]


def measure(mask: Rle, size: tuple[int, int]) -> MeasuredMask:
    """Reads a mask of an image of that (height, width), px.

    Raises:
        RleError: It is of another size, or its run lengths describe no mask of it.
    """
    if mask.size != size:
        raise RleError(
            f"The mask is of height {mask.size[0]} and width {mask.size[1]}; the image has {size[0]} and {size[1]}."
        )
    runs = decode_counts(mask.counts)
    check_runs(runs, size)
    left, top, right, bottom = box_from_runs(runs, size[0])
    return MeasuredMask(area_from_runs(runs), (left, top, right - left, bottom - top))


def object_values(state: ObjectState, measured: MeasuredMask | None) -> dict[str, object]:
    """An object's columns but for those that say who made it and when."""
    return {
        "label": state.label,
        "kind": state.kind.value,
        "unnameable": state.unnameable,
        "prominence": state.prominence,
        "source": state.source.value,
        "source_mask_id": state.source_mask_id,
        "counts": state.mask.counts if state.mask else None,
        "area": measured.area if measured else 0,
        "bbox": list(measured.bbox) if measured else None,
        "prompts": state.prompts.model_dump(mode="json"),
        "predicted_iou": state.prompts.predicted_iou,
        "deleted": state.deleted,
    }


def save(studio: Studio, person: Person, task_id: int, request: Save) -> Saved:
    """Applies those of the request's events that were not applied before.

    Raises:
        RefusedError: not_found, lease_lost, wrong_state; invalid: a mask describes nothing or is of another size;
            stale_version: the new events build on another version; op_id_taken: an event of another task has that id.
    """
    # Reading masks takes time, which must not be taken from the one who writes.
    measured = _measure_all(request.events, _size_of(studio, task_id))
    now = studio.clock()

    def apply(connection: sa.Connection) -> Saved:
        row = locked_task(connection, task_id)
        known = _known(connection, row, request.events, person)
        fresh = _without_repetitions(event for event in request.events if event.op_id not in known)
        if not fresh:
            # Whoever repeats what is kept is told so, even when the task has gone to another since.
            return Saved(version=row.version, applied=[], duplicates=sorted(known), lease_until=row.lease_until or now)
        check_held(row, person, request.lease_token, _WRITABLE)
        if row.version != request.base_version:
            raise stale_version(task_id, request.base_version, row.version)
        _insert_events(connection, row, fresh, person, now)
        _put_objects(connection, row, fresh, measured, person)
        until = now + studio.settings.lease_seconds
        version = row.version + len(fresh)
        change_task(
            connection,
            task_id,
            version=version,
            annotator_id=row.annotator_id or person.annotator_id,
            masks=_count_masks(connection, task_id),
            active_seconds=row.active_seconds + sum(event.active_seconds for event in fresh),
            lease_until=until,
        )
        applied = [event.op_id for event in fresh]
        return Saved(version=version, applied=applied, duplicates=sorted(known), lease_until=until)

    return studio.write(apply)


def _size_of(studio: Studio, task_id: int) -> tuple[int, int]:
    with studio.read() as connection:
        row = connection.execute(_SIZE, {"task_id": task_id}).first()
    if row is None:
        raise not_found(f"task {task_id}")
    return row.height, row.width


def _measure_all(sent: Sequence[Event], size: tuple[int, int]) -> dict[uuid.UUID, MeasuredMask | None]:
    measured = {}
    for index, event in enumerate(sent):
        mask = event.object.mask
        try:
            measured[event.op_id] = measure(mask, size) if mask else None
        except RleError as error:
            raise invalid(f"events.{index}.object.mask: {error}") from None
    return measured


def _known(connection: sa.Connection, row: TaskRow, sent: Sequence[Event], person: Person) -> set[uuid.UUID]:
    found = connection.execute(_KNOWN_EVENTS, {"op_ids": [event.op_id for event in sent]}).all()
    for event in found:
        if event.task_id != row.task_id or event.annotator_id != person.annotator_id:
            raise RefusedError(
                409, "op_id_taken", f"Another event has the op_id {event.op_id}; make a new one.", row.version
            )
    return {event.op_id for event in found}


def _without_repetitions(sent: Iterable[Event]) -> list[Event]:
    return list({event.op_id: event for event in sent}.values())


def _insert_events(connection: sa.Connection, row: TaskRow, fresh: Sequence[Event], person: Person, now: float) -> None:
    connection.execute(
        events.insert(),
        [
            {
                "op_id": event.op_id,
                "task_id": row.task_id,
                "version": version,
                "annotator_id": person.annotator_id,
                "object_id": event.object.object_id,
                "tool": event.tool.value,
                "state": event.object.model_dump(mode="json"),
                "at": event.at,
                "active_seconds": event.active_seconds,
                "received_at": now,
            }
            for version, event in enumerate(fresh, start=row.version + 1)
        ],
    )


def _put_objects(
    connection: sa.Connection,
    row: TaskRow,
    fresh: Sequence[Event],
    measured: dict[uuid.UUID, MeasuredMask | None],
    person: Person,
) -> None:
    """Brings each object to the state of its last event."""
    first: dict[uuid.UUID, int] = {}
    last: dict[uuid.UUID, tuple[int, Event]] = {}
    for version, event in enumerate(fresh, start=row.version + 1):
        first.setdefault(event.object.object_id, version)
        last[event.object.object_id] = (version, event)
    known = set(connection.scalars(_KNOWN_OBJECTS, {"task_id": row.task_id, "object_ids": list(last)}))
    for object_id, (version, event) in last.items():
        values = object_values(event.object, measured[event.op_id]) | {
            "version": version,
            "changed_by": person.annotator_id,
        }
        if object_id in known:
            of_object = {"of_task": row.task_id, "of_object": object_id, "new_counts": values["counts"]}
            connection.execute(_CHANGE_OBJECT, values | of_object)
        else:
            values |= {"made_version": first[object_id], "made_by": person.annotator_id}
            connection.execute(objects.insert(), values | {"task_id": row.task_id, "object_id": object_id})


def _count_masks(connection: sa.Connection, task_id: int) -> int:
    return connection.scalar(_MASKS, {"task_id": task_id}) or 0
