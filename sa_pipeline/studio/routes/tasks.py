"""Tasks: handed out, saved, handed on."""

from typing import Annotated

from fastapi import APIRouter, Query

from sa_pipeline.studio.leases import Grant, lease_task, release_task, renew_lease
from sa_pipeline.studio.models import (
    Finish,
    Heartbeat,
    Lease,
    Role,
    Save,
    Saved,
    SearchText,
    Skip,
    StoredEvent,
    TaskDetail,
    TaskState,
    TaskSummary,
)
from sa_pipeline.studio.people import Person
from sa_pipeline.studio.queue import finish_task, lease_next, skip_task
from sa_pipeline.studio.refusals import not_yours
from sa_pipeline.studio.saving import save
from sa_pipeline.studio.schema import annotators, tasks
from sa_pipeline.studio.views import TASKS, find_task, stored_events, task_detail, task_summaries, task_summary
from sa_pipeline.studio.workplace import AnyPerson, Here, Number, Workplace

router = APIRouter(prefix="/tasks", tags=["tasks"])


@router.post("/lease")
def take_next_task(here: Here, person: AnyPerson) -> TaskDetail:
    """Hands out a task: one that was sent back to the person, else one that the person has begun, else a new one."""
    return _granted(here, person, lease_next(here.studio, person))


@router.get("")
def list_tasks(
    here: Here,
    person: AnyPerson,
    state: TaskState | None = None,
    round_name: Annotated[SearchText | None, Query(alias="round")] = None,
    annotator: SearchText | None = None,
    cursor: Annotated[int, Query(ge=0, lt=2**31, description="the last task_id of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[TaskSummary]:
    """Tasks in the order of their numbers; annotators see their own."""
    query = TASKS.where(tasks.c.task_id > cursor).order_by(tasks.c.task_id).limit(limit)
    if not person.may(Role.REVIEWER):
        query = query.where(tasks.c.annotator_id == person.annotator_id)
    for column, value in ((tasks.c.state, state), (tasks.c.round, round_name), (annotators.c.name, annotator)):
        if value is not None:
            query = query.where(column == str(value))
    return task_summaries(here.studio, here.pictures, query)


@router.post("/{task_id}/lease")
def take_task(here: Here, person: AnyPerson, task_id: Number) -> TaskDetail:
    """Hands out one task: to its annotator, to make or mend it, or to a reviewer."""
    return _granted(here, person, lease_task(here.studio, person, task_id))


# `int` keeps /tasks/lease from being taken for a task, so that asking for it by GET is a wrong method.
@router.get("/{task_id:int}")
def read_task(here: Here, person: AnyPerson, task_id: Number) -> TaskDetail:
    """A task to look at."""
    _check_may_see(here, person, task_id)
    return task_detail(here.studio, here.pictures, person, task_id)


@router.post("/{task_id}/heartbeat")
def keep_task(here: Here, person: AnyPerson, task_id: Number, body: Heartbeat) -> Lease:
    """Takes a sign of life of the page that holds the task."""
    return renew_lease(here.studio, person, task_id, body.lease_token)


@router.post("/{task_id}/events")
def save_events(here: Here, person: AnyPerson, task_id: Number, body: Save) -> Saved:
    """Keeps changes, each once; a repetition gets the same answer."""
    saved = save(here.studio, person, task_id, body)
    here.metrics.saved(body.events, saved)
    return saved


@router.get("/{task_id}/events")
def list_events(here: Here, person: AnyPerson, task_id: Number) -> list[StoredEvent]:
    """All that was ever done to the task, in order."""
    _check_may_see(here, person, task_id)
    return stored_events(here.studio, task_id)


@router.post("/{task_id}/finish")
def finish(here: Here, person: AnyPerson, task_id: Number, body: Finish) -> TaskSummary:
    """Hands the task on to review."""
    finish_task(here.studio, person, task_id, body.lease_token, body.version)
    return task_summary(here.studio, here.pictures, task_id)


@router.post("/{task_id}/skip")
def skip(here: Here, person: AnyPerson, task_id: Number, body: Skip) -> TaskSummary:
    """Leaves the task to nobody, with a reason."""
    skip_task(here.studio, person, task_id, body.lease_token, body.reason)
    return task_summary(here.studio, here.pictures, task_id)


@router.post("/{task_id}/release")
def release(here: Here, person: AnyPerson, task_id: Number, body: Heartbeat) -> TaskSummary:
    """Gives the task back; a lead may take it out of another person's hands."""
    release_task(here.studio, person, task_id, body.lease_token)
    return task_summary(here.studio, here.pictures, task_id)


def _granted(here: Workplace, person: Person, grant: Grant) -> TaskDetail:
    return task_detail(here.studio, here.pictures, person, grant.task_id, grant.lease)


def _check_may_see(here: Workplace, person: Person, task_id: int) -> None:
    with here.studio.read() as connection:
        row = find_task(connection, task_id)
    if not person.may(Role.REVIEWER) and person.annotator_id not in (row.annotator_id, row.holder_id):
        raise not_yours(task_id)
