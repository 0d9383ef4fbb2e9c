"""Signing in and out, and whether the server is well."""

import sqlalchemy as sa
from fastapi import APIRouter, Request, Response

from sa_pipeline.studio.models import Health, Session, SignIn
from sa_pipeline.studio.people import OpenSession, sign_in, sign_out
from sa_pipeline.studio.queue import current_round
from sa_pipeline.studio.refusals import RefusedError
from sa_pipeline.studio.schema import tasks
from sa_pipeline.studio.security import COOKIE
from sa_pipeline.studio.workplace import CallerHere, CallerOrNobody, Here, Workplace

router = APIRouter(tags=["session"])


@router.post("/session")
def open_session(here: Here, body: SignIn, request: Request, response: Response) -> Session:
    """Signs a person in by the personal token; sets the session's cookie."""
    opened = sign_in(here.studio, body.token)
    if opened is None:
        raise RefusedError(401, "wrong_token", "Nobody has this token, or its owner may not work here any more.")
    secret, session = opened
    response.set_cookie(
        COOKIE,
        secret,
        max_age=round(3600 * here.studio.settings.session_hours),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return _session(here, session)


@router.get("/session")
def read_session(here: Here, caller: CallerOrNobody) -> Session | None:
    """Who is signed in; null: nobody. A program with a personal token needs no CSRF token; for it that is empty."""
    if caller is None:
        return None
    return _session(here, caller.session or OpenSession(caller.person, ""))


@router.delete("/session", status_code=204)
def close_session(here: Here, caller: CallerHere, response: Response) -> None:
    """Signs the person out of this browser."""
    if caller.session_secret is not None:
        sign_out(here.studio, caller.session_secret)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


@router.get("/health")
def read_health(here: Here) -> Health:
    """Whether the server reaches its database."""
    with here.studio.read() as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(tasks))
    return Health(status="ok", database=here.studio.kind, tasks=count or 0)


def _session(here: Workplace, session: OpenSession) -> Session:
    settings = here.studio.settings
    with here.studio.read() as connection:
        round_name = current_round(connection)
    return Session(
        annotator=session.person.annotator,
        csrf_token=session.csrf_token,
        guideline_seconds=settings.guideline_seconds,
        lease_seconds=settings.lease_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        dataset=here.dataset.home.name,
        round=round_name,
    )
