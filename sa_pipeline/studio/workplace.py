"""What the server's routes work with, and who asks."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request

from sa_pipeline.dataset import Dataset
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.decoder import model_info, read_decoder
from sa_pipeline.studio.decoding import ServerDecoder, ServerDecoders
from sa_pipeline.studio.labels import Labels
from sa_pipeline.studio.models import Role
from sa_pipeline.studio.people import Person
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline.studio.refusals import role_needed
from sa_pipeline.studio.security import Caller


@dataclass(frozen=True)
class Workplace:
    """A dataset's studio with what is kept in memory for it."""

    dataset: Dataset
    studio: Studio
    pictures: Pictures
    labels: Labels
    decoders: ServerDecoders


def make_workplace(dataset: Dataset, studio: Studio) -> Workplace:
    """The workplace of an open studio."""

    def decoder(digest: str) -> ServerDecoder:
        return ServerDecoder(read_decoder(dataset, digest), model_info(dataset, digest))

    return Workplace(dataset, studio, Pictures(dataset), Labels(studio), ServerDecoders(decoder))


def _workplace(request: Request) -> Workplace:
    workplace: Workplace = request.app.state.workplace
    return workplace


def _caller_or_nobody(request: Request) -> Caller | None:
    caller: Caller | None = request.state.caller
    return caller


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def _person(request: Request) -> Person:
    return _caller(request).person


def _needing(role: Role) -> "Depends":  # type: ignore[valid-type]
    def person(request: Request) -> Person:
        found = _person(request)
        if not found.may(role):
            raise role_needed(role)
        return found

    return Depends(person)


Here = Annotated[Workplace, Depends(_workplace)]
CallerHere = Annotated[Caller, Depends(_caller)]
CallerOrNobody = Annotated[Caller | None, Depends(_caller_or_nobody)]
AnyPerson = Annotated[Person, Depends(_person)]
Reviewer = Annotated[Person, _needing(Role.REVIEWER)]
Lead = Annotated[Person, _needing(Role.LEAD)]

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
"""Of a task, pin or case."""
ImageNumber = Annotated[int, Path(ge=1, lt=2**53)]
Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
