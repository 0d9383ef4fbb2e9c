"""Review: a second person looks at finished work, mends it, accepts it, or sends it back with remarks (paper §F)."""

import sqlalchemy as sa

from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.leases import (
    FREE_FOR_ME,
    ME,
    Grant,
    TaskRow,
    check_held,
    close_lease,
    give,
    lock_person,
    locked_task,
    new_lease,
    was_closed_by,
)
from sa_pipeline.studio.models import Feedback, NewPin, Pin, Review, Role, TaskState, Verdict
from sa_pipeline.studio.people import Person
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline.studio.refusals import invalid, not_found, not_yours, queue_empty, stale_version
from sa_pipeline.studio.schema import objects, pins, rounds, tasks
from sa_pipeline.studio.times import start_of_day
from sa_pipeline.studio.views import PINS, TASKS, Row, pin, summary

_EXPECTED_WRONG = (
    sa.select(sa.func.sum(objects.c.doubt))
    .where(objects.c.task_id == tasks.c.task_id, ~objects.c.deleted)
    .correlate(tasks)
    .scalar_subquery()
)
_WAITING = (
    sa.select(tasks.c.task_id)
    .join(rounds)
    .where(
        tasks.c.state == TaskState.FINISHED.value,
        tasks.c.annotator_id.is_distinct_from(ME),
        FREE_FOR_ME,
        rounds.c.state == "open",
    )
    .order_by(
        sa.case((tasks.c.holder_id == ME, 0), else_=1),
        tasks.c.pilot.desc(),
        sa.func.coalesce(_EXPECTED_WRONG, 0.0).desc(),
        tasks.c.finished_at,
        tasks.c.task_id,
    )
    .limit(1)
    .with_for_update(of=tasks, skip_locked=True)
)


def lease_review(studio: Studio, person: Person) -> Grant:
    """Hands out a finished task of another person.

    One whose review was begun comes first, then pilot tasks, then the one with the most masks that the verifier expects
    to be wrong and that were left as they were; of equals, the one that waits longest.

    Raises:
        RefusedError: queue_empty.
    """
    lease = new_lease(studio)
    me = {"me": person.annotator_id, "now": studio.clock()}

    def take(connection: sa.Connection) -> Grant:
        lock_person(connection, person)
        task_id = connection.scalar(_WAITING, me)
        if task_id is None:
            raise queue_empty("No finished task of another person waits for review.")
        return give(connection, task_id, person, lease)

    return studio.write(take)


def review(studio: Studio, person: Person, task_id: int, request: Review) -> None:
    """Accepts a task, or sends it back to the person who made it; one that was imported, to the queue.

    Remarks that were open are settled by accepting; those that come with the verdict stay for the annotator to read.

    Raises:
        RefusedError: not_found, lease_lost, wrong_state, stale_version; invalid: a task is sent back without a remark,
            or a remark lies outside of the picture.
    """
    if request.verdict is Verdict.SENT_BACK and not request.pins:
        raise invalid("pins: expected at least one, so that the annotator knows what to mend.")
    action = f"review {request.verdict.value}"

    def decide(connection: sa.Connection) -> None:
        row = locked_task(connection, task_id)
        if was_closed_by(row, request.lease_token, action):
            return
        check_held(row, person, request.lease_token, (TaskState.FINISHED,))
        if row.version != request.version:
            raise stale_version(task_id, request.version, row.version)
        now = studio.clock()
        if request.verdict is Verdict.ACCEPTED:
            settled = pins.update().where(pins.c.task_id == task_id, pins.c.resolved_at.is_(None))
            connection.execute(settled.values(resolved_at=now))
        for index, new in enumerate(request.pins):
            _add_pin(connection, row, person, new, now, name=f"pins.{index}")
        close_lease(
            connection,
            task_id,
            request.lease_token,
            action,
            state=_state_after(request.verdict, row),
            reviewer_id=person.annotator_id,
            reviewed_at=now,
            first_review=row.first_review or request.verdict.value,
            review_comment=request.comment,
        )

    studio.write(decide)


def _state_after(verdict: Verdict, row: TaskRow) -> str:
    if verdict is Verdict.SENT_BACK and row.annotator_id is None:
        return TaskState.OPEN.value
    return TaskState(verdict.value).value


def resolve_pin(studio: Studio, person: Person, pin_id: int) -> Pin:
    """Settles a remark: done by the annotator who mended what it says, or by a reviewer.

    Raises:
        RefusedError: not_found, not_yours.
    """

    def resolve(connection: sa.Connection) -> Row:
        found = connection.execute(PINS.where(pins.c.pin_id == pin_id)).one_or_none()
        if found is None:
            raise not_found(f"remark {pin_id}")
        if found.annotator_id != person.annotator_id and not person.may(Role.REVIEWER):
            raise not_yours(found.task_id)
        unresolved = pins.update().where(pins.c.pin_id == pin_id, pins.c.resolved_at.is_(None))
        connection.execute(unresolved.values(resolved_at=studio.clock()))
        return connection.execute(PINS.where(pins.c.pin_id == pin_id)).one()

    return pin(studio.write(resolve))


def feedback(studio: Studio, pictures: Pictures, person: Person) -> Feedback:
    """What came back to a person: tasks to mend, remarks that are not settled, and how much waits or was accepted."""
    mine = tasks.c.annotator_id == person.annotator_id
    accepted = sa.select(sa.func.count()).where(
        mine, tasks.c.state == TaskState.ACCEPTED.value, tasks.c.reviewed_at >= start_of_day(studio.clock())
    )
    finished = sa.select(sa.func.count()).where(mine, tasks.c.state == TaskState.FINISHED.value)
    open_remarks = PINS.where(mine, pins.c.resolved_at.is_(None))
    with studio.read() as connection:
        sent_back = connection.execute(TASKS.where(mine, tasks.c.state == TaskState.SENT_BACK.value)).all()
        remarks = connection.execute(open_remarks.order_by(pins.c.pin_id)).all()
        waiting = connection.scalar(finished) or 0
        accepted_today = connection.scalar(accepted) or 0
    return Feedback(
        sent_back=[summary(row, pictures) for row in sent_back],
        pins=[pin(row) for row in remarks],
        waiting=waiting,
        accepted_today=accepted_today,
    )


def check_place(row: TaskRow, x: float, y: float, *, name: str) -> None:
    """Sees that a place lies on the picture of a task.

    Raises:
        RefusedError: invalid.
    """
    if not (x <= row.width and y <= row.height):
        raise invalid(f"{name}: ({x}, {y}) lies outside of the picture of {row.width} x {row.height} px.")


def _add_pin(connection: sa.Connection, row: TaskRow, person: Person, new: NewPin, now: float, *, name: str) -> None:
    check_place(row, new.x, new.y, name=name)
    connection.execute(
        pins.insert().values(
            task_id=row.task_id,
            author_id=person.annotator_id,
            x=new.x,
            y=new.y,
            comment=new.comment,
            object_id=new.object_id,
            created_at=now,
        )
    )
