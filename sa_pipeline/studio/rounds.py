"""Annotation rounds: named, of one stage of the data engine, each a partition of what is made from people's work."""

import re
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sa_pipeline.errors import StudioError
from sa_pipeline.studio.models import Stage, TaskState
from sa_pipeline.studio.schema import rounds, tasks

_NAME = re.compile(r"[a-z][a-z0-9._-]{0,59}")
"""A name begins with a letter, unlike that of a shard."""
OPEN, CLOSED = "open", "closed"
GIVEN_UP = "the round was closed"
"""Why a task was skipped that nobody finished; its image is free for another round."""


@dataclass(frozen=True)
class Round:
    """A round, its number of images, and how many of its tasks stand where."""

    name: str
    stage: Stage
    pilot_tasks: int
    images: int
    tasks: dict[TaskState, int]
    is_open: bool = True

    @property
    def is_done(self) -> bool:
        """Whether nothing more will be accepted: it is closed, or has tasks and each is accepted or skipped."""
        settled = self.tasks.get(TaskState.ACCEPTED, 0) + self.tasks.get(TaskState.SKIPPED, 0)
        return not self.is_open or 0 < settled == sum(self.tasks.values())


def require_round_name(name: str) -> None:
    """Checks a round's name, which becomes the name of files and of a partition.

    Raises:
        StudioError: It has other characters than those, or too many.
    """
    if not _NAME.fullmatch(name):
        raise StudioError(
            f"round: expected a letter and then up to 59 of a-z, 0-9, '.', '_' and '-', such as assisted-1; "
            f"got {name!r}."
        )


def parse_stage(name: str) -> Stage:
    """The stage of that name.

    Raises:
        StudioError: There is none.
    """
    try:
        return Stage(name)
    except ValueError:
        raise StudioError(f"stage: expected {', '.join(Stage)}, got {name!r}.") from None


def ensure_round(connection: sa.Connection, name: str, stage: Stage, pilot_tasks: int, now: float) -> None:
    """Opens a round unless there is one of that name.

    Args:
        connection: Of a writing transaction.
        name: Of the round.
        stage: Of the round; an existing one must be of the same.
        pilot_tasks: Of a new round, done by reviewers and leads before others start (paper, Appendix F); an existing
            one keeps its own.
        now: Seconds since 1970.

    Raises:
        StudioError: The name cannot be one, or the round is closed or of another stage.
    """
    require_round_name(name)
    known = connection.execute(sa.select(rounds.c.stage, rounds.c.state).where(rounds.c.name == name)).one_or_none()
    if known is None:
        row = {"name": name, "stage": stage.value, "state": OPEN, "created_at": now, "pilot_tasks": pilot_tasks}
        connection.execute(rounds.insert().values(row))
    elif known.stage != stage:
        raise StudioError(f"Round {name} is of the stage {known.stage}, not {stage.value}; name another round.")
    elif known.state != OPEN:
        raise StudioError(f"Round {name} is closed; name another round.")


def read_round(connection: sa.Connection, name: str) -> Round:
    """Reads a round.

    Raises:
        StudioError: There is none of that name; the text says which there are.
    """
    found = find_round(connection, name)
    if found is None:
        names = ", ".join(connection.scalars(sa.select(rounds.c.name).order_by(rounds.c.created_at, rounds.c.name)))
        raise StudioError(
            f"There is no annotation round {name}; there are: {names or 'none yet, which sa-pipeline annotate begins'}."
        )
    return found


def find_round(connection: sa.Connection, name: str) -> Round | None:
    """Reads a round; None where there is none of that name."""
    row = connection.execute(sa.select(rounds).where(rounds.c.name == name)).one_or_none()
    if row is None:
        return None
    return _round(connection, row)


def all_rounds(connection: sa.Connection) -> list[Round]:
    """Every round, the oldest first."""
    rows = connection.execute(sa.select(rounds).order_by(rounds.c.created_at, rounds.c.name)).all()
    return [_round(connection, row) for row in rows]


def holds_image() -> sa.ColumnElement[bool]:
    """Condition on a task: no other round is to be given its image."""
    return sa.or_(tasks.c.skip_reason.is_(None), tasks.c.skip_reason != GIVEN_UP)


def _round(connection: sa.Connection, row: sa.Row[Any]) -> Round:
    name = row.name
    counted = sa.select(tasks.c.state, sa.func.count()).where(tasks.c.round == name).group_by(tasks.c.state)
    states = {TaskState(state): count for state, count in connection.execute(counted)}
    images = sa.select(sa.func.count(tasks.c.image_id.distinct())).where(tasks.c.round == name)
    count = connection.scalar(images) or 0
    return Round(name, Stage(row.stage), row.pilot_tasks, count, states, row.state == OPEN)
