"""Handing out tasks: what one has begun first, then the next of the queue; each to one person only."""

import sqlalchemy as sa

from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.leases import (
    FREE_FOR_ME,
    MAKING,
    ME,
    NOW,
    Grant,
    check_held,
    close_lease,
    give,
    lock_person,
    locked_task,
    new_lease,
    was_closed_by,
)
from sa_pipeline.studio.models import Role, TaskState
from sa_pipeline.studio.people import Person
from sa_pipeline.studio.refusals import pilot_running, queue_empty, stale_version
from sa_pipeline.studio.schema import rounds, task_refusals, tasks

UPCOMING = 2
"""Pictures that are named beforehand, to be fetched ahead."""

_DONE = (TaskState.ACCEPTED, TaskState.SKIPPED)


_ROUND = sa.bindparam("of_round", type_=sa.String)
_PILOT = sa.bindparam("of_pilot", type_=sa.Boolean)
_OTHER_THAN = sa.bindparam("other_than", type_=sa.Integer)

_CURRENT_ROUND = (
    sa.select(rounds.c.name)
    .where(rounds.c.state == "open")
    .order_by(
        sa.case(
            (
                sa.exists().where(
                    tasks.c.round == rounds.c.name,
                    tasks.c.state == TaskState.OPEN.value,
                    tasks.c.annotator_id.is_(None),
                ),
                0,
            ),
            else_=1,
        ),
        rounds.c.created_at.desc(),
        rounds.c.name,
    )
    .limit(1)
)
_PILOT_TASKS_LEFT = sa.select(sa.func.count()).where(
    tasks.c.round == _ROUND, tasks.c.pilot, tasks.c.state.not_in([state.value for state in _DONE])
)

_BEGUN = (
    sa.select(tasks.c.task_id)
    .join(rounds)
    .where(
        sa.or_(
            sa.and_(tasks.c.annotator_id == ME, tasks.c.state.in_([state.value for state in MAKING])),
            sa.and_(tasks.c.holder_id == ME, tasks.c.annotator_id.is_(None), tasks.c.state == TaskState.OPEN.value),
        ),
        FREE_FOR_ME,
        rounds.c.state == "open",
    )
    .order_by((tasks.c.state == TaskState.SENT_BACK.value).desc(), tasks.c.task_id)
)
"""Tasks that the person has begun or was given, those that were sent back first."""

_other = tasks.alias()
_NEW = (
    sa.select(tasks.c.task_id)
    .where(
        tasks.c.round == _ROUND,
        tasks.c.pilot == _PILOT,
        tasks.c.state == TaskState.OPEN.value,
        tasks.c.annotator_id.is_(None),
        sa.or_(tasks.c.holder_id.is_(None), tasks.c.lease_until < NOW),
        ~sa.exists().where(task_refusals.c.task_id == tasks.c.task_id, task_refusals.c.annotator_id == ME),
        # Those who see a picture independently must be different people.
        ~sa.exists().where(
            _other.c.round == tasks.c.round,
            _other.c.image_id == tasks.c.image_id,
            _other.c.task_id != tasks.c.task_id,
            sa.or_(_other.c.annotator_id == ME, _other.c.holder_id == ME, _other.c.reviewer_id == ME),
        ),
    )
    .order_by(tasks.c.priority, tasks.c.task_id)
)
"""Tasks of a round that the person may be given."""

_TAKE_BEGUN = _BEGUN.limit(1).with_for_update(of=tasks)
_TAKE_NEW = (
    tasks.update()
    .where(tasks.c.task_id == _NEW.limit(1).with_for_update(of=tasks, skip_locked=True).scalar_subquery())
    .values(
        holder_id=ME,
        lease_token=sa.bindparam("token", type_=sa.String),
        lease_until=sa.bindparam("until", type_=sa.Double),
    )
    .returning(tasks.c.task_id)
)
_UPCOMING_BEGUN = _BEGUN.where(tasks.c.task_id != _OTHER_THAN).limit(UPCOMING)
_UPCOMING_NEW = _NEW.where(tasks.c.task_id != _OTHER_THAN).limit(UPCOMING)


def current_round(connection: sa.Connection) -> str | None:
    """The open round that tasks are handed out from: the newest with a task that nobody has begun, else the newest.

    A round that was imported as finished work has none, and must not hide an older one that goes on.
    """
    return connection.scalar(_CURRENT_ROUND)


def pilot_tasks_left(connection: sa.Connection, round_name: str) -> int:
    """Pilot tasks of a round that are neither accepted nor skipped (paper §F: the team tries the guidelines first)."""
    return connection.scalar(_PILOT_TASKS_LEFT, {"of_round": round_name}) or 0


def lease_next(studio: Studio, person: Person) -> Grant:
    """Hands out a task: one that was sent back to the person, else one that the person has begun, else a new one.

    Raises:
        RefusedError: queue_empty; pilot_running: only reviewers and leads are given tasks of the round yet.
    """
    lease = new_lease(studio)
    now = studio.clock()

    me = {"me": person.annotator_id, "now": now}

    def take(connection: sa.Connection) -> Grant:
        lock_person(connection, person)
        begun = connection.scalar(_TAKE_BEGUN, me)
        if begun is not None:
            return give(connection, begun, person, lease)
        round_name = current_round(connection)
        if round_name is None:
            raise queue_empty("There is no open round, so there are no tasks.")
        left = pilot_tasks_left(connection, round_name)
        if left and not person.may(Role.REVIEWER):
            raise pilot_running(left)
        given = {"of_round": round_name, "of_pilot": left > 0, "token": lease.lease_token, "until": lease.lease_until}
        taken = connection.scalar(_TAKE_NEW, me | given)
        if taken is None:
            raise queue_empty(f"The queue of round {round_name} has no task for you; all are done or in other hands.")
        return Grant(taken, lease)

    return studio.write(take)


def upcoming_tasks(connection: sa.Connection, person: Person, task_id: int, now: float) -> list[int]:
    """Tasks that the person is likely to be given after that one, `UPCOMING` at most."""
    me = {"me": person.annotator_id, "now": now, "other_than": task_id}
    begun = connection.scalars(_UPCOMING_BEGUN, me).all()
    round_name = current_round(connection)
    if round_name is None or len(begun) >= UPCOMING:
        return list(begun)
    pilot = pilot_tasks_left(connection, round_name) > 0
    new = connection.scalars(_UPCOMING_NEW, me | {"of_round": round_name, "of_pilot": pilot})
    return [*begun, *new][:UPCOMING]


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
