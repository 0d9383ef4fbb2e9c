"""The studio's server as an ASGI application."""

import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy.exc import DataError, IntegrityError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from sa_pipeline import studio as package
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import SaPipelineError, StudioUnavailableError
from sa_pipeline.metrics_server import Readiness
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.models import Problem
from sa_pipeline.studio.observing import REQUEST_ID, Observer
from sa_pipeline.studio.page import Page
from sa_pipeline.studio.readiness import look
from sa_pipeline.studio.refusals import RefusedError, invalid
from sa_pipeline.studio.routes import browse, guidelines, health, labels, pictures, reviews, sessions, tasks, team
from sa_pipeline.studio.security import API, AnswerHeaders, BodyLimit, Gate, problem
from sa_pipeline.studio.workplace import make_workplace

_LOG = logging.getLogger(__name__)

_ROUTERS = tuple(module.router for module in (sessions, tasks, reviews, pictures, labels, guidelines, team, browse))

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description}
    for status, description in {
        400: "The body is not JSON.",
        401: "Nobody is signed in.",
        403: "The person may not do this, or the CSRF token is missing.",
        404: "There is no such thing.",
        409: "Somebody else was faster, or the state does not allow it.",
        413: "The body is too large.",
        422: "A field is wrong.",
        429: "That was too often.",
        500: "A file of the dataset is damaged or cannot be read; for whoever runs the server.",
        503: "The database does not answer; try again.",
    }.items()
}


def create_api() -> FastAPI:
    """The API's routes with their description, and no studio behind them yet."""
    app = FastAPI(
        title="sa_pipeline annotation studio",
        description=package.__doc__ or "",
        version="1",
        openapi_url="/api/openapi.json",
        # The pages that FastAPI makes of the description load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # The address would be made from the header Host.
        redirect_slashes=False,
    )
    for router in _ROUTERS:
        app.include_router(router, prefix=API.rstrip("/"), responses=_PROBLEMS)
    return app


def create_app(dataset: Dataset, studio: Studio) -> FastAPI:
    """Makes the server of a dataset's open studio; closing the studio is the caller's business."""
    app = create_api()
    app.include_router(health.router, include_in_schema=False)
    workplace = make_workplace(dataset, studio)
    readiness = Readiness(lambda: look(workplace))
    workplace.metrics.watch(workplace.studio, readiness)
    app.state.workplace = workplace
    app.state.readiness = readiness
    app.router.default = _elsewhere(Page())
    app.add_exception_handler(RequestValidationError, _wrong_field)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(SaPipelineError, _own_problem)
    app.add_exception_handler(IntegrityError, _conflict)
    app.add_exception_handler(DataError, _conflict)
    app.add_exception_handler(Exception, _unforeseen)
    # The last that is added sees a request first.
    app.add_middleware(Gate, studio=workplace.studio)
    app.add_middleware(BodyLimit, max_bytes=studio.settings.max_body_bytes)
    app.add_middleware(AnswerHeaders)
    app.add_middleware(Observer, metrics=workplace.metrics)
    return app


def _elsewhere(page: ASGIApp) -> ASGIApp:
    """Answers what no route does: under /api that there is nothing, else with the page."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (scope["path"] + "/").startswith(API):
            await problem(RefusedError(404, "not_found", "The API has no such address."))(scope, receive, send)
        elif scope["type"] == "http":
            await page(scope, receive, send)

    return answer


def _wrong_field(_request: Request, error: Exception) -> Response:
    """One sentence about the first field that is wrong."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this type
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return problem(RefusedError(400, "not_json", f"The body is not JSON: {first['ctx']['error']}."))
    place = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ")
    more = f" (and {len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
    return problem(invalid(f"{place}: {message}{more}."))


def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    headers = {"Allow": _allowed_methods(request.url.path)} if error.status_code == 405 else error.headers
    codes = {400: "not_json", 404: "not_found", 405: "wrong_method", 413: "too_large"}
    content = Problem(detail=f"{str(error.detail).rstrip('.')}.", code=codes.get(error.status_code, "refused"))
    return JSONResponse(content.model_dump(mode="json"), error.status_code, headers)


def _allowed_methods(path: str) -> str:
    """The methods of an address; of several routes to it, Starlette names those of the first."""
    routes = [route for router in (*_ROUTERS, health.router) for route in router.routes if isinstance(route, APIRoute)]
    within = path.removeprefix(API.rstrip("/"))
    first = next((route for route in routes if route.path_regex.match(within)), None)
    if first is None:  # a file of the page
        return "GET, HEAD"
    allowed = {method for route in routes if route.path == first.path for method in route.methods or ()}
    return ", ".join(sorted(allowed))


def _own_problem(request: Request, error: Exception) -> Response:
    if isinstance(error, RefusedError | StudioUnavailableError):
        return problem(error)
    # A damaged file, or a disk that does not answer: for whoever runs the server.
    _LOG.error("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse(Problem(detail=str(error), code="broken").model_dump(mode="json"), 500)


def _conflict(request: Request, error: Exception) -> Response:
    _LOG.error("%s %s: %s", request.method, request.url.path, error)
    return problem(RefusedError(409, "conflict", "The request does not go with what the database holds; load again."))


def _unforeseen(request: Request, _error: Exception) -> Response:
    # Uvicorn writes it to the log. The answer goes out past the observer, which would have named the request in it.
    sentence = "The server failed at this request; its log says why."
    headers = {REQUEST_ID: request.state.request_id}
    return JSONResponse(Problem(detail=sentence, code="broken").model_dump(mode="json"), 500, headers)
