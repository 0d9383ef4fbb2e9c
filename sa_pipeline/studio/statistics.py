"""How the work goes: a person's day, each person's speed and acceptance, and what QA looks at today (paper §4, §F)."""

import datetime
import hashlib
from collections import defaultdict
from typing import Any

import sqlalchemy as sa

from sa_pipeline.studio.agreement import agreements
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.models import AnnotatorStatistics, Progress, TaskState, TaskSummary, Tool, Verdict
from sa_pipeline.studio.people import Person
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline.studio.queue import current_round, pilot_tasks_left
from sa_pipeline.studio.schema import annotators, events, objects, tasks
from sa_pipeline.studio.times import bounds_of_day, start_of_day
from sa_pipeline.studio.views import TASKS, task_summaries

_PAINTED = sa.and_(~objects.c.deleted, objects.c.area > 0)


def progress(studio: Studio, person: Person) -> Progress:
    """A person's day, and how far the round is."""
    today = start_of_day(studio.clock())
    me = person.annotator_id
    made = (
        sa.select(sa.func.count())
        .select_from(objects)
        .join(events, sa.and_(events.c.task_id == objects.c.task_id, events.c.version == objects.c.made_version))
        .where(events.c.annotator_id == me, events.c.received_at >= today, objects.c.made_by == me, _PAINTED)
    )
    worked = sa.select(sa.func.sum(events.c.active_seconds)).where(
        events.c.annotator_id == me, events.c.received_at >= today
    )
    finished = sa.select(sa.func.count()).where(tasks.c.annotator_id == me, tasks.c.finished_at >= today)
    with studio.read() as connection:
        masks = connection.scalar(made) or 0
        seconds = connection.scalar(worked) or 0.0
        round_name = current_round(connection)
        by_state = sa.select(tasks.c.state, sa.func.count()).where(tasks.c.round == round_name).group_by(tasks.c.state)
        return Progress(
            masks_today=masks,
            tasks_today=connection.scalar(finished) or 0,
            active_seconds_today=seconds,
            seconds_per_mask_today=seconds / masks if masks else None,
            round=round_name,
            round_tasks={TaskState(state): count for state, count in connection.execute(by_state)},
            pilot_tasks_left=pilot_tasks_left(connection, round_name) if round_name else 0,
        )


def annotator_statistics(studio: Studio, round_name: str | None = None) -> list[AnnotatorStatistics]:
    """How each person works, by name; only people who have made something.

    Masks are those that the person made and that are still there; pre-filled ones are not counted, nor are they in the
    seconds for each mask (paper §4, second stage).

    Args:
        studio: The studio.
        round_name: Only work in this round; None: in all.
    """
    in_round = sa.true() if round_name is None else tasks.c.round == round_name
    with studio.read() as connection:
        found: dict[int, dict[str, Any]] = defaultdict(dict)
        for query in (_work(in_round), _masks(in_round), _reviews(in_round)):
            for row in connection.execute(query):
                found[row.annotator_id] |= row._mapping
        people = connection.execute(sa.select(annotators.c.annotator_id, annotators.c.name))
        names = {row.annotator_id: row.name for row in people}
        agreement = agreements(connection, in_round)
    made = [_statistics(names[person], numbers, agreement.get(person)) for person, numbers in found.items()]
    return sorted(made, key=lambda statistics: statistics.annotator)


def daily_qa(studio: Studio, pictures: Pictures, day: datetime.date, per_annotator: int) -> list[TaskSummary]:
    """Some tasks that each person finished on a day, drawn by chance, the same for who asks again."""
    start, stop = bounds_of_day(day)
    finished = sa.select(tasks.c.task_id, tasks.c.annotator_id).where(
        tasks.c.finished_at >= start,
        tasks.c.finished_at < stop,
        tasks.c.state.in_([TaskState.FINISHED.value, TaskState.ACCEPTED.value, TaskState.SENT_BACK.value]),
    )
    by_person: dict[int, list[int]] = defaultdict(list)
    with studio.read() as connection:
        for row in connection.execute(finished):
            by_person[row.annotator_id].append(row.task_id)
    drawn = [
        task_id
        for task_ids in by_person.values()
        for task_id in sorted(task_ids, key=lambda task_id: hashlib.sha256(f"{day} {task_id}".encode()).digest())[
            :per_annotator
        ]
    ]
    query = TASKS.where(tasks.c.task_id.in_(drawn)).order_by(annotators.c.name, tasks.c.task_id)
    return task_summaries(studio, pictures, query)


def _work(in_round: sa.ColumnElement[bool]) -> sa.Select[Any]:
    clicks = sa.func.sum(sa.case((events.c.tool == Tool.CLICK.value, 1), else_=0))
    return (
        sa.select(events.c.annotator_id, sa.func.sum(events.c.active_seconds).label("seconds"), clicks.label("clicks"))
        .join(tasks, tasks.c.task_id == events.c.task_id)
        .where(in_round, events.c.annotator_id.is_not(None))
        .group_by(events.c.annotator_id)
    )


def _masks(in_round: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return (
        sa.select(objects.c.made_by.label("annotator_id"), sa.func.count().label("masks"))
        .join(tasks, tasks.c.task_id == objects.c.task_id)
        .where(in_round, objects.c.made_by.is_not(None), _PAINTED)
        .group_by(objects.c.made_by)
    )


def _reviews(in_round: sa.ColumnElement[bool]) -> sa.Select[Any]:
    def number(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((condition, 1), else_=0))

    first_accepted = tasks.c.first_review == Verdict.ACCEPTED.value
    return (
        sa.select(
            tasks.c.annotator_id,
            number(tasks.c.finished_at.is_not(None)).label("tasks"),
            number(tasks.c.state == TaskState.ACCEPTED.value).label("accepted"),
            number(tasks.c.first_review == Verdict.SENT_BACK.value).label("sent_back"),
            number(first_accepted).label("accepted_at_first"),
        )
        .where(in_round, tasks.c.annotator_id.is_not(None))
        .group_by(tasks.c.annotator_id)
    )


def _statistics(name: str, numbers: dict[str, Any], agreement: float | None) -> AnnotatorStatistics:
    masks = numbers.get("masks", 0)
    seconds = numbers.get("seconds", 0.0)
    reviewed = numbers.get("accepted_at_first", 0) + numbers.get("sent_back", 0)
    return AnnotatorStatistics(
        annotator=name,
        tasks=numbers.get("tasks", 0),
        masks=masks,
        active_seconds=seconds,
        seconds_per_mask=seconds / masks if masks else None,
        clicks_per_mask=numbers.get("clicks", 0) / masks if masks else None,
        accepted=numbers.get("accepted", 0),
        sent_back=numbers.get("sent_back", 0),
        acceptance=numbers["accepted_at_first"] / reviewed if reviewed else None,
        agreement=agreement,
    )
