"""Each request as a line of the log and in the metrics, known by an id that whoever asked may choose.

Routes are templates and people are pseudonyms: neither log nor metrics hold names, tokens or what was typed.
"""

import logging
import re
import time
import uuid
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sa_pipeline.logs import log_context
from sa_pipeline.studio.metrics import StudioMetrics
from sa_pipeline.studio.security import API

REQUEST_ID = "X-Request-ID"

_LOG = logging.getLogger(__name__)
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEALTH = "/health/"


class Observer:
    """Gives every request an id, says it in the answer, and counts and logs what became of the request."""

    def __init__(self, app: ASGIApp, metrics: StudioMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        start = time.perf_counter()
        status, size = 500, 0

        async def send_watched(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            else:
                size += len(message.get("body", b""))
            await send(message)

        with log_context(request_id=request_id, method=scope["method"]):
            try:
                await self._app(scope, receive, send_watched)
            finally:
                seconds = time.perf_counter() - start
                route = _route(scope, status)
                self._metrics.answered(scope["method"], route, status, seconds, size)
                _log(scope, route, status, seconds)


def _log(scope: Scope, route: str, status: int, seconds: float) -> None:
    level = logging.DEBUG if route.startswith(_HEALTH) and status < 400 else logging.INFO
    if _LOG.isEnabledFor(level):
        fields = {"route": route, "status": status, "seconds": round(seconds, 4), **known_of(scope)}
        _LOG.log(level, "%s %s %d", scope["method"], route, status, extra={"fields": fields})


def known_of(scope: Mapping[str, object]) -> dict[str, object]:
    """The numbers in a request's address, and who asks, as a pseudonym."""
    parameters = scope.get("path_params")
    found: dict[str, object] = {}
    if isinstance(parameters, Mapping):
        found = {name: value for name, value in parameters.items() if str(value).isdecimal()}
    state = scope.get("state")
    caller = state.get("caller") if isinstance(state, Mapping) else None
    return found | ({"person": f"person-{caller.person.annotator_id}"} if caller else {})


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID, "")
    # Anything else would let a stranger write into the log what he likes.
    return given if _ID.fullmatch(given) else uuid.uuid4().hex


def _route(scope: Scope, status: int) -> str:
    """The template of the route that answered, so that there are as many as there are routes."""
    path = str(scope["path"])
    within_api = (path + "/").startswith(API)
    template = getattr(scope.get("route"), "path", None)
    if template is not None:
        return template if not within_api or template.startswith(API) else API.rstrip("/") + template
    if within_api:
        return "no route" if status == 404 else "refused"
    return "page"
