"""The API keeps to its OpenAPI description whatever is sent to it (schemathesis): no crash, no answer undescribed."""

import itertools
import zlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from starlette.types import ASGIApp, Receive, Scope, Send

from sa_pipeline.dataset import DatasetConfig, open_dataset
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.settings import StudioSettings
from sa_pipeline.studio.app import create_api, create_app
from sa_pipeline.studio.database import Studio, open_studio
from sa_pipeline.studio.guidelines import PICTURES, add_case
from sa_pipeline.studio.leases import MAKING
from sa_pipeline.studio.models import NewCase, NewPin, Review, Role, TaskState, Verdict
from sa_pipeline.studio.people import Person, add_annotator, sign_in
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline.studio.queue import finish_task, lease_next
from sa_pipeline.studio.reviewing import lease_review, review
from sa_pipeline.studio.schema import tasks
from sa_pipeline.studio.security import COOKIE, CSRF_HEADER
from sa_pipeline_tests.studio.conftest import CopyHome
from sa_pipeline_tests.studio.desk import add_round, rectangle

GUIDELINE_PICTURE = "dog.png"

_CONFIG = {
    "seed": 1,
    "generation": {
        # Besides the cases that schemathesis derives from the description: borders, gaps, other methods.
        "max-examples": 4,
        "deterministic": True,
        # JSON Schema has no word for it; test_security.py sees that a text with the null character is refused.
        "allow-x00": False,
        "with-security-parameters": False,
    },
    # Rules between fields, and whether run lengths describe a mask, are beyond a description.
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 401, 403, 404, 409, 422]}},
}


def _without_prefix_items(node: Any) -> Any:
    """The description with tuples as lists of a certain length, since schemathesis cannot check answers with tuples."""
    if isinstance(node, list):
        return [_without_prefix_items(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {name: _without_prefix_items(value) for name, value in node.items() if name != "prefixItems"}
    return found | {"items": node["prefixItems"][0]} if "prefixItems" in node else found


class _Later:
    """The application: pytest wants the description before there is a studio."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


later = _Later()
api = schemathesis.openapi.from_dict(
    _without_prefix_items(create_api().openapi()), config=schemathesis.Config.from_dict(_CONFIG)
)
api.app = later


class Office:
    """The API of a studio in which there is work, and a person of each role to ask it."""

    def __init__(self, studio: Studio, checkpoint_digest: str) -> None:
        self.statuses: dict[str, set[int]] = defaultdict(set)
        self._studio = studio
        self._digest = checkpoint_digest
        self._numbers = itertools.count(1)
        self._tokens = [add_annotator(studio, role.value, role) for role in Role]
        self._sessions = [self._sign_in(token) for token in self._tokens]
        self._add_work()

    def ask(self, case: schemathesis.Case) -> None:
        """Asks as one of the people; fails unless the description allows the answer."""
        chance = _chance(case)
        everybody = range(len(self._tokens))
        for index in everybody if chance % 4 == 0 or not _has_input(case) else (chance % len(everybody),):
            person, headers = self._sessions[index]
            if chance % 5:
                self._aim(case, person)
            response = case.call(headers=headers)
            self.statuses[case.operation.label].add(response.status_code)
            case.validate_response(response, headers=headers)
            if case.path == "/api/session":
                self._sessions[index] = self._sign_in(self._tokens[index])

    def _add_work(self) -> None:
        """A task that was sent back with a remark, an unclear case, and a picture for the guidelines."""
        add_round(self._studio, "round-0")
        annotator, reviewer, _ = (person for person, _ in self._sessions)
        task_id = self._finish_one(annotator)
        lease = lease_review(self._studio, reviewer).lease
        remark = NewPin(x=1, y=1, comment="too rough")
        sent_back = Review(lease_token=lease.lease_token, version=0, verdict=Verdict.SENT_BACK, pins=[remark])
        review(self._studio, reviewer, task_id, sent_back)
        case = NewCase(task_id=task_id, x=1, y=1, question="Is a shadow an object?")
        add_case(self._studio, Pictures(self._studio.dataset), annotator, case)
        (self._studio.folder / PICTURES).mkdir()
        (self._studio.folder / PICTURES / GUIDELINE_PICTURE).write_bytes(b"a picture")

    def _finish_one(self, person: Person) -> int:
        grant = lease_next(self._studio, person)
        finish_task(self._studio, person, grant.task_id, grant.lease.lease_token, 0)
        return grant.task_id

    def _sign_in(self, token: str) -> tuple[Person, dict[str, str]]:
        opened = sign_in(self._studio, token)
        assert opened is not None
        secret, session = opened
        return session.person, {CSRF_HEADER: session.csrf_token, "Cookie": f"{COOKIE}={secret}"}

    def _aim(self, case: schemathesis.Case, person: Person) -> None:
        """Puts what exists in the place of numbers and names, which would hardly ever be hit by chance."""
        if case.meta is None or not case.meta.generation.mode.is_positive:
            return
        real = {
            "image_id": lambda: 1,
            "name": lambda: GUIDELINE_PICTURE,
            "digest": lambda: self._digest,
            "checkpoint": lambda: self._digest,
            "checkpoint_digest": lambda: self._digest,
            "token": lambda: self._tokens[0],
            "pin_id": lambda: 1,
            "case_id": lambda: 1,
            "task_id": lambda: self._task(case, person).task_id,
            "lease_token": lambda: self._task(case, person).lease_token,
            "version": lambda: self._task(case, person).version,
            "base_version": lambda: self._task(case, person).version,
        }
        for place in (case.path_parameters, case.query, case.body):
            for name in place if isinstance(place, dict) else ():
                if name in real:
                    place[name] = real[name]()
        if case.path.endswith("/events") and isinstance(case.body, dict):
            size = self._task(case, person)
            for event in case.body["events"]:
                if event["object"].get("mask"):
                    event["object"]["mask"] = rectangle({"height": size.height, "width": size.width})

    def _task(self, case: schemathesis.Case, person: Person) -> sa.Row[Any]:
        """The task in the person's hands, in the state that the address is about; is given to them if need be."""
        reviewing = case.path.endswith("/review") and person.may(Role.REVIEWER)
        states = [TaskState.FINISHED] if reviewing else list(MAKING)
        held = sa.select(tasks).where(tasks.c.holder_id == person.annotator_id, tasks.c.state.in_(states))
        found = self._row(held.order_by(tasks.c.task_id))
        if found is None:
            add_round(self._studio, f"round-{next(self._numbers)}")
            if reviewing:
                other = next(other for other, _ in self._sessions if other != person)
                self._finish_one(other)
                lease_review(self._studio, person)
            else:
                lease_next(self._studio, person)
            found = self._row(held)
        return found

    def _row(self, query: sa.Select[Any]) -> Any:
        with self._studio.read() as connection:
            return connection.execute(query.limit(1)).one_or_none()


def _has_input(case: schemathesis.Case) -> bool:
    return bool(case.path_parameters or case.query or isinstance(case.body, dict))


def _chance(case: schemathesis.Case) -> int:
    """A number that is the same for the same case."""
    return zlib.crc32(repr((case.path_parameters, case.query, case.body)).encode("utf-8", "surrogatepass"))


@pytest.fixture(scope="module")
def office(annotated_home: CopyHome, tiny: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    dataset = annotated_home(tmp_path_factory.mktemp("office") / "home")
    often = StudioSettings(requests_per_second=1e6, sign_ins_per_minute=10**6)
    config = DatasetConfig(settings=dataset.settings.model_copy(update={"studio": often}))
    studio = open_studio(open_dataset(dataset.home, config))
    later.app = create_app(studio.dataset, studio)
    office = Office(studio, tiny.ref.digest)
    yield office
    studio.close()
    # Else the test has seen only how requests are refused.
    assert [asked for asked, statuses in office.statuses.items() if not statuses & {200, 204}] == []


@api.parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_description_allows(case: schemathesis.Case, office: Office) -> None:
    office.ask(case)
