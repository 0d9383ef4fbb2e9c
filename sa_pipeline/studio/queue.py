"""Handing out tasks: what one has begun first, then the next of the queue; each to one person only."""

import sqlalchemy as sa

from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.leases import (
    MAKING,
    Grant,
    check_held,
    close_lease,
    free_for,
    give,
    locked_task,
    new_lease,
    was_closed_by,
)
from sa_pipeline.studio.models import Role, TaskState
from sa_pipeline.studio.people import Person
from sa_pipeline.studio.refusals import pilot_running, queue_empty, stale_version
from sa_pipeline.studio.schema import annotators, rounds, task_refusals, tasks

_DONE = (TaskState.ACCEPTED, TaskState.SKIPPED)


def current_round(connection: sa.Connection) -> str | None:
    """The open round that tasks are handed out from: the newest with a task that nobody has begun, else the newest.

    A round that was imported as finished work has none, and must not hide an older one that goes on.
    """
    waits = sa.exists().where(
        tasks.c.round == rounds.c.name, tasks.c.state == TaskState.OPEN.value, tasks.c.annotator_id.is_(None)
    )
    newest = (
        sa.select(rounds.c.name)
        .where(rounds.c.state == "open")
        .order_by(sa.case((waits, 0), else_=1), rounds.c.created_at.desc(), rounds.c.name)
    )
    return connection.scalar(newest.limit(1))


def pilot_tasks_left(connection: sa.Connection, round_name: str) -> int:
    """Pilot tasks of a round that are neither accepted nor skipped (paper §F: the team tries the guidelines first)."""
    left = sa.select(sa.func.count()).where(
        tasks.c.round == round_name, tasks.c.pilot, tasks.c.state.not_in([state.value for state in _DONE])
    )
    return connection.scalar(left) or 0


def lease_next(studio: Studio, person: Person) -> Grant:
    """Hands out a task: one that was sent back to the person, else one that the person has begun, else a new one.

    Raises:
        RefusedError: queue_empty; pilot_running: only reviewers and leads are given tasks of the round yet.
    """
    lease = new_lease(studio)
    now = studio.clock()

    def take(connection: sa.Connection) -> Grant:
        # One person's requests come one after another, so that two pages at once get the same task.
        me = annotators.c.annotator_id == person.annotator_id
        connection.execute(sa.select(annotators.c.annotator_id).where(me).with_for_update())
        begun = connection.scalar(_begun(person, now).with_for_update(of=tasks))
        if begun is not None:
            return give(connection, begun, person, lease)
        round_name = current_round(connection)
        if round_name is None:
            raise queue_empty("There is no open round, so there are no tasks.")
        left = pilot_tasks_left(connection, round_name)
        if left and not person.may(Role.REVIEWER):
            raise pilot_running(left)
        new = _next_new(person, round_name, now, pilot=left > 0).with_for_update(of=tasks, skip_locked=True)
        taken = connection.scalar(
            tasks.update()
            .where(tasks.c.task_id == new.scalar_subquery())
            .values(holder_id=person.annotator_id, lease_token=lease.lease_token, lease_until=lease.lease_until)
            .returning(tasks.c.task_id)
        )
        if taken is None:
            raise queue_empty(f"The queue of round {round_name} has no task for you; all are done or in other hands.")
        return Grant(taken, lease)

    return studio.write(take)


def upcoming_tasks(connection: sa.Connection, person: Person, task_id: int, now: float, limit: int = 2) -> list[int]:
    """Tasks that the person is likely to be given after that one."""
    begun = connection.scalars(_begun(person, now).where(tasks.c.task_id != task_id).limit(limit)).all()
    round_name = current_round(connection)
    if round_name is None or len(begun) >= limit:
        return list(begun)
    pilot = pilot_tasks_left(connection, round_name) > 0
    new = _next_new(person, round_name, now, pilot=pilot).where(tasks.c.task_id != task_id)
    return [*begun, *connection.scalars(new.limit(limit - len(begun)))]


def finish_task(studio: Studio, person: Person, task_id: int, lease_token: str, version: int) -> None:
    """Hands a task on to review.

    Raises:
        RefusedError: not_found, lease_lost, wrong_state, stale_version.
    """

    def finish(connection: sa.Connection) -> None:
        row = locked_task(connection, task_id)
        if was_closed_by(row, lease_token, "finish"):
            return
        check_held(row, person, lease_token, MAKING)
        if row.version != version:
            raise stale_version(task_id, version, row.version)
        close_lease(
            connection,
            task_id,
            lease_token,
            "finish",
            state=TaskState.FINISHED.value,
            annotator_id=row.annotator_id or person.annotator_id,
            finished_at=studio.clock(),
        )

    studio.write(finish)


def skip_task(studio: Studio, person: Person, task_id: int, lease_token: str, reason: str) -> None:
    """Leaves a task to nobody, with a reason; what was saved in it stays.

    Raises:
        RefusedError: not_found, lease_lost, wrong_state.
    """

    def skip(connection: sa.Connection) -> None:
        row = locked_task(connection, task_id)
        if was_closed_by(row, lease_token, "skip"):
            return
        check_held(row, person, lease_token, MAKING)
        close_lease(
            connection,
            task_id,
            lease_token,
            "skip",
            state=TaskState.SKIPPED.value,
            skip_reason=reason,
            annotator_id=row.annotator_id or person.annotator_id,
        )

    studio.write(skip)


def _begun(person: Person, now: float) -> sa.Select[int]:
    me = person.annotator_id
    own = sa.and_(tasks.c.annotator_id == me, tasks.c.state.in_([state.value for state in MAKING]))
    given = sa.and_(tasks.c.holder_id == me, tasks.c.annotator_id.is_(None), tasks.c.state == TaskState.OPEN.value)
    return (
        sa.select(tasks.c.task_id)
        .join(rounds)
        .where(sa.or_(own, given), free_for(person, now), rounds.c.state == "open")
        .order_by((tasks.c.state == TaskState.SENT_BACK.value).desc(), tasks.c.task_id)
        .limit(1)
    )


def _next_new(person: Person, round_name: str, now: float, *, pilot: bool) -> sa.Select[int]:
    me = person.annotator_id
    other = tasks.alias()
    refused = sa.exists().where(task_refusals.c.task_id == tasks.c.task_id, task_refusals.c.annotator_id == me)
    # Those who see a picture independently must be different people.
    seen = sa.exists().where(
        other.c.round == tasks.c.round,
        other.c.image_id == tasks.c.image_id,
        other.c.task_id != tasks.c.task_id,
        sa.or_(other.c.annotator_id == me, other.c.holder_id == me, other.c.reviewer_id == me),
    )
    return (
        sa.select(tasks.c.task_id)
        .where(
            tasks.c.round == round_name,
            tasks.c.pilot == (sa.true() if pilot else sa.false()),
            tasks.c.state == TaskState.OPEN.value,
            tasks.c.annotator_id.is_(None),
            sa.or_(tasks.c.holder_id.is_(None), tasks.c.lease_until < now),
            ~refused,
            ~seen,
        )
        .order_by(tasks.c.priority, tasks.c.task_id)
        .limit(1)
    )
