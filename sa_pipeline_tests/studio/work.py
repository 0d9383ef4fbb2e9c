"""People's work without a server: tasks made, finished and accepted by the functions that the server calls."""

import uuid
from dataclasses import dataclass, field

import numpy as np
import sqlalchemy as sa

from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.models import Event, ObjectState, Review, Rle, Role, Save, Tool, Verdict
from sa_pipeline.studio.people import Person, add_annotator, person_of_token
from sa_pipeline.studio.queue import finish_task, lease_next
from sa_pipeline.studio.reviewing import lease_review, review
from sa_pipeline.studio.saving import save
from sa_pipeline.studio.schema import tasks


@dataclass
class Work:
    """A task in the hands of a person."""

    studio: Studio
    person: Person
    task_id: int
    lease_token: str
    version: int
    size: tuple[int, int]
    sent: list[Event] = field(default_factory=list)

    def rectangle(self, left: int, top: int, width: int, height: int) -> Rle:
        """The mask of a rectangle on the task's image, px."""
        mask = np.zeros(self.size, bool)
        mask[top : top + height, left : left + width] = True
        return Rle(size=self.size, counts=mask_to_counts(mask))

    def do(self, *changes: tuple[Tool, ObjectState], seconds: float = 2.0) -> None:
        """Saves changes, each of which took so many seconds of work."""
        at = self.studio.clock()
        made = [
            Event(op_id=uuid.uuid4(), tool=tool, object=state, at=at + index * seconds, active_seconds=seconds)
            for index, (tool, state) in enumerate(changes)
        ]
        request = Save(lease_token=self.lease_token, base_version=self.version, events=made)
        self.version = save(self.studio, self.person, self.task_id, request).version
        self.sent.extend(made)

    def finish(self) -> None:
        """Hands the task on to review."""
        finish_task(self.studio, self.person, self.task_id, self.lease_token, self.version)


def add_person(studio: Studio, name: str, role: Role = Role.ANNOTATOR) -> Person:
    """A new person."""
    person = person_of_token(studio, add_annotator(studio, name, role))
    assert person is not None
    return person


def begin(studio: Studio, person: Person) -> Work:
    """The person's next task."""
    grant = lease_next(studio, person)
    return _work(studio, person, grant.task_id, grant.lease.lease_token)


def accept_all(studio: Studio, reviewer: Person, count: int) -> None:
    """Accepts that many finished tasks."""
    for _ in range(count):
        grant = lease_review(studio, reviewer)
        work = _work(studio, reviewer, grant.task_id, grant.lease.lease_token)
        verdict = Review(lease_token=work.lease_token, version=work.version, verdict=Verdict.ACCEPTED)
        review(studio, reviewer, work.task_id, verdict)


def thing(mask: Rle | None, label: str = "", **values) -> ObjectState:
    """A new object."""
    return ObjectState(object_id=uuid.uuid4(), mask=mask, label=label, **values)


def _work(studio: Studio, person: Person, task_id: int, token: str) -> Work:
    with studio.read() as connection:
        row = connection.execute(sa.select(tasks).where(tasks.c.task_id == task_id)).one()
    return Work(studio, person, task_id, token, row.version, (row.height, row.width))
