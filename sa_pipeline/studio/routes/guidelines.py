"""The guidelines, and the unclear cases that make them better."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from sa_pipeline.studio.guidelines import (
    add_case,
    answer_case,
    list_cases,
    read_guideline_picture,
    read_guidelines,
)
from sa_pipeline.studio.models import CaseAnswer, GuidelineCase, Guidelines, NewCase
from sa_pipeline.studio.workplace import AnyPerson, Here, Lead, Number, Reviewer

router = APIRouter(prefix="/guidelines", tags=["guidelines"])


@router.get("")
def read(here: Here, _person: AnyPerson) -> Guidelines:
    """What annotators are told."""
    return read_guidelines(here.studio, here.pictures)


@router.get(
    "/pictures/{name}",
    response_class=Response,
    responses={200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}},
)
def read_picture(here: Here, _person: AnyPerson, name: Annotated[str, Path(max_length=120)]) -> Response:
    """A picture of the guidelines."""
    content, media_type = read_guideline_picture(here.studio, name)
    return Response(content, media_type=media_type, headers={"Cache-Control": "private, no-cache"})


@router.get("/cases")
def list_all_cases(here: Here, _person: Reviewer) -> list[GuidelineCase]:
    """The unclear cases, answered or not."""
    return list_cases(here.studio, here.pictures)


@router.post("/cases")
def take_down_case(here: Here, person: AnyPerson, body: NewCase) -> GuidelineCase:
    """Takes down an unclear case."""
    return add_case(here.studio, here.pictures, person, body)


@router.post("/cases/{case_id}/answer")
def answer(here: Here, _person: Lead, case_id: Number, body: CaseAnswer) -> GuidelineCase:
    """Says what holds for a case; from now on it stands in the guidelines."""
    return answer_case(here.studio, here.pictures, case_id, body.answer)
