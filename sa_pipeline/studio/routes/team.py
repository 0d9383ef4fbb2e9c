"""The people, how each works, and what QA looks at today."""

import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BeforeValidator

from sa_pipeline.studio.models import Annotator, AnnotatorStatistics, SearchText, TaskSummary
from sa_pipeline.studio.people import list_annotators
from sa_pipeline.studio.statistics import annotator_statistics, daily_qa
from sa_pipeline.studio.times import day_of
from sa_pipeline.studio.workplace import Here, Reviewer

router = APIRouter(tags=["team"])


def _day(text: str | None) -> datetime.date | None:
    # pydantic would take a number too, as seconds since 1970.
    try:
        return None if text is None else datetime.date.fromisoformat(text)
    except ValueError:
        raise ValueError("expected a day such as 2026-03-01") from None


@router.get("/annotators")
def list_people(here: Here, _person: Reviewer) -> list[Annotator]:
    """All people, disabled ones too."""
    return list_annotators(here.studio)


@router.get("/statistics/annotators")
def read_statistics(
    here: Here, _person: Reviewer, round_name: Annotated[SearchText | None, Query(alias="round")] = None
) -> list[AnnotatorStatistics]:
    """How each person works."""
    return annotator_statistics(here.studio, round_name)


@router.get("/statistics/daily-qa")
def list_daily_qa(
    here: Here,
    _person: Reviewer,
    day: Annotated[datetime.date | None, BeforeValidator(_day), Query(description="default: today")] = None,
    per_annotator: Annotated[int | None, Query(ge=0, le=100, description="default: the settings'")] = None,
) -> list[TaskSummary]:
    """Some of the tasks that each person finished on a day, drawn by chance."""
    studio = here.studio
    number = studio.settings.daily_qa_per_annotator if per_annotator is None else per_annotator
    return daily_qa(studio, here.pictures, day or day_of(studio.clock()), number)
