"""What those who start and watch over the server ask; open to all, and so without a word about why."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from sa_pipeline.metrics_server import Readiness

router = APIRouter(prefix="/health", tags=["health"])

_NOT_KEPT = "no-store"


class Live(BaseModel):
    """The server answers."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """Whether the server can do its work, and which of `database`, `storage` and `checkpoint` fail it."""

    status: Literal["ready", "not_ready"]
    failing: list[str]


# `async`, so that it is answered while all threads are at work.
@router.get("/live")
async def read_live(response: Response) -> Live:
    """Whether the process answers at all."""
    response.headers["Cache-Control"] = _NOT_KEPT
    return Live()


@router.get("/ready", responses={503: {"model": Ready, "description": "Something that every request needs fails."}})
def read_ready(request: Request, response: Response) -> Ready:
    """Whether people can work: 503 if not. Why stands in the server's log, and on the port of the metrics."""
    readiness: Readiness = request.app.state.readiness
    failing = [name for name, problem in readiness.checks().items() if problem]
    response.headers["Cache-Control"] = _NOT_KEPT
    if failing:
        response.status_code = 503
    return Ready(status="not_ready" if failing else "ready", failing=failing)
