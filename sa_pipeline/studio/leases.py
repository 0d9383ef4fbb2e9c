"""The right to change a task: who holds it, until when, and the token that every change must carry.

A token is new with each lease, so that what an older page or another person still sends is refused (fencing). A lease
that has run out stays good until somebody else takes the task.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.models import Lease, Role, TaskState
from sa_pipeline.studio.people import Person
from sa_pipeline.studio.refusals import held_by_other, lease_lost, not_found, not_yours, wrong_state
from sa_pipeline.studio.schema import annotators, task_refusals, tasks

TaskRow = sa.Row[Any]

MAKING = (TaskState.OPEN, TaskState.SENT_BACK)
"""States in which an annotator changes a task."""


ME = sa.bindparam("me", type_=sa.Integer)
NOW = sa.bindparam("now", type_=sa.Double)
"""Who asks, and when: values of statements that are built once, since building them takes longer than running them."""

FREE_FOR_ME = sa.or_(tasks.c.holder_id.is_(None), tasks.c.holder_id == ME, tasks.c.lease_until < NOW)
"""Condition on a task: nobody else holds it now."""

_LOCKED = sa.select(tasks).where(tasks.c.task_id == sa.bindparam("task_id")).with_for_update()

_LOCK_PERSON = sa.select(annotators.c.annotator_id).where(annotators.c.annotator_id == ME).with_for_update()


@dataclass(frozen=True)
class Grant:
    """A task that was handed out."""

    task_id: int
    lease: Lease


def new_lease(studio: Studio) -> Lease:
    """A lease that begins now."""
    until = studio.clock() + studio.settings.lease_seconds
    return Lease(lease_token=secrets.token_urlsafe(24), lease_until=until)


def lock_person(connection: sa.Connection, person: Person) -> None:
    """Has one person's requests for tasks come one after another, so that two pages at once get the same task."""
    connection.execute(_LOCK_PERSON, {"me": person.annotator_id})


def give(connection: sa.Connection, task_id: int, person: Person, lease: Lease) -> Grant:
    """Hands a task out that the caller has found to be free."""
    change_task(
        connection,
        task_id,
        holder_id=person.annotator_id,
        lease_token=lease.lease_token,
        lease_until=lease.lease_until,
    )
    return Grant(task_id, lease)


def change_task(connection: sa.Connection, task_id: int, **values: object) -> None:
    """Changes columns of a task."""
    connection.execute(tasks.update().where(tasks.c.task_id == task_id).values(values))


def locked_task(connection: sa.Connection, task_id: int) -> TaskRow:
    """A task that no other transaction changes until this one ends.

    Raises:
        RefusedError: not_found.
    """
    row = connection.execute(_LOCKED, {"task_id": task_id}).one_or_none()
    if row is None:
        raise not_found(f"task {task_id}")
    return row


def check_held(row: TaskRow, person: Person, lease_token: str, states: Collection[TaskState]) -> None:
    """Sees that a person holds a task by that token, and that it is in one of those states.

    Raises:
        RefusedError: lease_lost: another page or person has it; wrong_state.
    """
    if row.holder_id != person.annotator_id or row.lease_token != lease_token:
        raise lease_lost(row.task_id, row.version)
    if TaskState(row.state) not in states:
        raise wrong_state(row.task_id, TaskState(row.state), row.version)


def was_closed_by(row: TaskRow, lease_token: str, action: str) -> bool:
    """Whether this very lease ended with this very action, so that the request is a repetition of a lost one."""
    return row.closed_by_token == lease_token and row.closed_as == action


def close_lease(
    connection: sa.Connection, task_id: int, lease_token: str | None, action: str, **values: object
) -> None:
    """Ends the lease of a task and changes what else is given."""
    change_task(
        connection,
        task_id,
        holder_id=None,
        lease_token=None,
        lease_until=None,
        closed_by_token=lease_token,
        closed_as=action,
        **values,
    )


def lease_task(studio: Studio, person: Person, task_id: int) -> Grant:
    """Hands out one task: to its annotator, to make or mend it, or to a reviewer.

    Raises:
        RefusedError: not_found, held_by_other, not_yours, wrong_state.
    """
    lease = new_lease(studio)
    now = studio.clock()

    def take(connection: sa.Connection) -> Grant:
        row = locked_task(connection, task_id)
        if row.holder_id not in (None, person.annotator_id) and row.lease_until >= now:
            holder = connection.scalar(sa.select(annotators.c.name).where(annotators.c.annotator_id == row.holder_id))
            raise held_by_other(task_id, str(holder))
        state = TaskState(row.state)
        if state in MAKING and not (_is_own(row, person) or person.may(Role.REVIEWER)):
            raise not_yours(task_id)
        if state not in MAKING and not may_review(row, person):
            raise wrong_state(task_id, state, row.version)
        return give(connection, task_id, person, lease)

    return studio.write(take)


def renew_lease(studio: Studio, person: Person, task_id: int, lease_token: str) -> Lease:
    """Takes a sign of life of the page that holds a task.

    Raises:
        RefusedError: not_found, lease_lost.
    """
    until = studio.clock() + studio.settings.lease_seconds

    def renew(connection: sa.Connection) -> Lease:
        check_held(locked_task(connection, task_id), person, lease_token, tuple(TaskState))
        change_task(connection, task_id, lease_until=until)
        return Lease(lease_token=lease_token, lease_until=until)

    return studio.write(renew)


def release_task(studio: Studio, person: Person, task_id: int, lease_token: str) -> None:
    """Gives a task back. It stays its annotator's where something was saved, and else returns to the queue.

    A lead may release a task out of another person's hands: it returns to the queue with all that was saved in it, and
    is not given to that person again.

    Raises:
        RefusedError: not_found, lease_lost.
    """

    def release(connection: sa.Connection) -> None:
        row = locked_task(connection, task_id)
        if was_closed_by(row, lease_token, "release"):
            return
        if row.holder_id == person.annotator_id and row.lease_token == lease_token:
            close_lease(connection, task_id, lease_token, "release")
        elif person.may(Role.LEAD) and TaskState(row.state) in MAKING:
            _refuse_from_now_on(connection, task_id, row.annotator_id or row.holder_id)
            close_lease(connection, task_id, lease_token, "release", annotator_id=None, state=TaskState.OPEN.value)
        elif person.may(Role.LEAD) and row.state == TaskState.FINISHED:
            close_lease(connection, task_id, lease_token, "release")
        else:
            raise lease_lost(task_id, row.version)

    studio.write(release)


def may_review(row: TaskRow, person: Person) -> bool:
    """Whether a task waits for review and the person may give it: not to one's own work."""
    return (
        TaskState(row.state) is TaskState.FINISHED
        and person.may(Role.REVIEWER)
        and row.annotator_id != person.annotator_id
    )


def _is_own(row: TaskRow, person: Person) -> bool:
    """Whether a person made the task, or was given it and nobody has begun it since."""
    return row.annotator_id == person.annotator_id or (
        row.annotator_id is None and row.holder_id == person.annotator_id
    )


def _refuse_from_now_on(connection: sa.Connection, task_id: int, annotator_id: int | None) -> None:
    if annotator_id is None:
        return
    refusal = {"task_id": task_id, "annotator_id": annotator_id}
    known = sa.select(task_refusals).filter_by(**refusal)
    if connection.execute(known).first() is None:
        connection.execute(task_refusals.insert().values(refusal))
