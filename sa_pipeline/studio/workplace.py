"""What the server's routes work with, and who asks."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from sa_pipeline.dataset import Dataset
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.decoder import model_info, read_decoder
from sa_pipeline.studio.decoding import ServerDecoder, ServerDecoders
from sa_pipeline.studio.labels import Labels
from sa_pipeline.studio.metrics import StudioMetrics
from sa_pipeline.studio.models import Role
from sa_pipeline.studio.people import Person
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline.studio.refusals import role_needed
from sa_pipeline.studio.security import COOKIE, CSRF_HEADER, Caller


@dataclass(frozen=True)
class Workplace:
    """A dataset's studio with what is kept in memory for it."""

    dataset: Dataset
    studio: Studio
    pictures: Pictures
    labels: Labels
    decoders: ServerDecoders
    metrics: StudioMetrics


def make_workplace(dataset: Dataset, studio: Studio) -> Workplace:
    """The workplace of an open studio, whose transactions are counted in its metrics."""
    metrics = StudioMetrics()
    studio = dataclasses.replace(studio, timer=metrics.transaction)

    def decoder(digest: str) -> ServerDecoder:
        return ServerDecoder(read_decoder(dataset, digest), model_info(dataset, digest))

    return Workplace(dataset, studio, Pictures(dataset), Labels(studio), ServerDecoders(decoder), metrics)


# For the API's description: who asks was found out before, by the gate.
_SESSION = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    description=f"A browser's session, opened by POST /api/session; changes need the header {CSRF_HEADER} too.",
)
_TOKEN = HTTPBearer(auto_error=False, description="A personal token, for programs.")


# These wait for nothing; were they not `async`, each would be sent to another thread and back.
async def _workplace(request: Request) -> Workplace:
    workplace: Workplace = request.app.state.workplace
    return workplace


async def _caller_or_nobody(request: Request) -> Caller | None:
    caller: Caller | None = request.state.caller
    return caller


async def _caller(
    request: Request, _session: Annotated[object, Security(_SESSION)], _token: Annotated[object, Security(_TOKEN)]
) -> Caller:
    caller: Caller = request.state.caller
    return caller


CallerHere = Annotated[Caller, Depends(_caller)]
CallerOrNobody = Annotated[Caller | None, Depends(_caller_or_nobody)]


async def _person(caller: CallerHere) -> Person:
    return caller.person


AnyPerson = Annotated[Person, Depends(_person)]


def _needing(role: Role) -> "Depends":  # type: ignore[valid-type]
    async def person(person: AnyPerson) -> Person:
        if not person.may(role):
            raise role_needed(role)
        return person

    return Depends(person)


Here = Annotated[Workplace, Depends(_workplace)]
Reviewer = Annotated[Person, _needing(Role.REVIEWER)]
Lead = Annotated[Person, _needing(Role.LEAD)]

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
"""Of a task, pin or case."""
ImageNumber = Annotated[int, Path(ge=1, lt=2**53)]
Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
