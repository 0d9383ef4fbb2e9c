"""Review, and what comes back to the annotator."""

from fastapi import APIRouter

from sa_pipeline.studio.models import Feedback, Pin, Progress, Review, TaskDetail, TaskSummary
from sa_pipeline.studio.reviewing import feedback, lease_review, resolve_pin, review
from sa_pipeline.studio.statistics import progress
from sa_pipeline.studio.views import task_detail, task_summary
from sa_pipeline.studio.workplace import AnyPerson, Here, Number, Reviewer

router = APIRouter(tags=["reviews"])


@router.post("/reviews/lease")
def take_next_review(here: Here, person: Reviewer) -> TaskDetail:
    """Hands out a finished task of another person."""
    grant = lease_review(here.studio, person)
    return task_detail(here.studio, here.pictures, person, grant.task_id, grant.lease)


@router.post("/tasks/{task_id}/review")
def decide(here: Here, person: Reviewer, task_id: Number, body: Review) -> TaskSummary:
    """Accepts a task, or sends it back."""
    review(here.studio, person, task_id, body)
    return task_summary(here.studio, here.pictures, task_id)


@router.post("/pins/{pin_id}/resolve")
def settle_pin(here: Here, person: AnyPerson, pin_id: Number) -> Pin:
    """Settles a remark."""
    return resolve_pin(here.studio, person, pin_id)


@router.get("/me/feedback")
def read_feedback(here: Here, person: AnyPerson) -> Feedback:
    """What came back to the person."""
    return feedback(here.studio, here.pictures, person)


@router.get("/me/progress")
def read_progress(here: Here, person: AnyPerson) -> Progress:
    """The person's day, and how far the round is."""
    return progress(here.studio, person)
