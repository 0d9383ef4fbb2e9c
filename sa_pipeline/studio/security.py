"""The doors of the server: who may come in, how often, with how much; and what every answer says to the browser.

Everything under /api needs a signed-in person, but for signing in, asking who is signed in, the health check and the
API's description. A browser is known by its session's cookie, and must prove by a token in a header that its own page
asks; a program is known by a personal token.
"""

import hmac
import math
from dataclasses import dataclass
from urllib.parse import urlsplit

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sa_pipeline.errors import StudioUnavailableError
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.models import Problem
from sa_pipeline.studio.people import OpenSession, Person, person_of_token, session_of
from sa_pipeline.studio.rates import RateLimit
from sa_pipeline.studio.refusals import RefusedError, not_signed_in

COOKIE = "sa_pipeline_studio"
CSRF_HEADER = "X-CSRF-Token"
API = "/api/"

_OPEN_TO_ALL = {("POST", "/api/session"), ("GET", "/api/health"), ("GET", "/api/openapi.json")}
_SAFE = ("GET", "HEAD", "OPTIONS")

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
        "img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; connect-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    # Threads in WebAssembly need a page that is isolated from others.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class Caller:
    """Who asks; `session_secret` is None for a program with a personal token."""

    person: Person
    session: OpenSession | None
    session_secret: str | None


class AnswerHeaders:
    """Says to the browser, with every answer, what it may do with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Adds the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if scope["path"].startswith(API):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BodyLimit:
    """Refuses requests with more bytes than allowed, before they are read."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts what comes in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            await problem(self._too_large())(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                # Not our own type: FastAPI lets only this one through while it reads a body.
                raise HTTPException(413, str(self._too_large()))
            return message

        await self._app(scope, receive_counted, send)

    def _too_large(self) -> RefusedError:
        return RefusedError(413, "too_large", f"The request has more than {self._max_bytes} bytes.")


class Gate:
    """Lets signed-in people through to the API, as often as the settings say."""

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self._app = app
        self._studio = studio
        per_second = studio.settings.requests_per_second
        self._requests = RateLimit(per_second, 2 * per_second)
        sign_ins = studio.settings.sign_ins_per_minute
        self._failures = RateLimit(sign_ins / 60, sign_ins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Finds out who asks, as `request.state.caller`."""
        if scope["type"] != "http" or not scope["path"].startswith(API):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            _check_origin(request)
            if (request.method, request.url.path) in _OPEN_TO_ALL:
                self._count(self._requests, _address(request))
                await self._open_to_all(request, receive, send)
                return
            caller = await self._caller(request)
            # People are limited one by one; who is nobody, by the address.
            self._count(self._requests, caller.person.annotator_id if caller else _address(request))
            if caller is None and not _asks_who_it_is(request):
                raise not_signed_in()
            scope.setdefault("state", {})["caller"] = caller
        except (RefusedError, StudioUnavailableError) as error:
            await problem(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _open_to_all(self, request: Request, receive: Receive, send: Send) -> None:
        if request.method != "POST":
            await self._app(request.scope, receive, send)
            return
        self._check(self._failures, _address(request))

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self._failures.take(_address(request))
            await send(message)

        await self._app(request.scope, receive, send_counted)

    async def _caller(self, request: Request) -> Caller | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        secret = request.cookies.get(COOKIE)
        if scheme.lower() == "bearer":
            person = await to_thread.run_sync(person_of_token, self._studio, token.strip())
            if person:
                return Caller(person, None, None)
        elif secret:
            session = await to_thread.run_sync(session_of, self._studio, secret)
            if session:
                _check_csrf(request, session)
                return Caller(session.person, session, secret)
        return None

    def _count(self, limit: RateLimit, key: object) -> None:
        self._check(limit, key)
        limit.take(key)

    def _check(self, limit: RateLimit, key: object) -> None:
        seconds = limit.seconds_to_wait(key)
        if seconds:
            raise TooOftenError(seconds)


class TooOftenError(RefusedError):
    """Somebody asks too often."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, math.ceil(seconds))
        super().__init__(429, "too_often", f"That was too often; try again in {self.seconds} s.")


def problem(error: RefusedError | StudioUnavailableError) -> Response:
    """The answer to a request that is not granted."""
    if isinstance(error, RefusedError):
        content = Problem(detail=str(error), code=error.code, version=error.version)
        headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooOftenError) else {}
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(content.model_dump(mode="json"), error.status, headers)
    content = Problem(detail=str(error), code="unavailable")
    return JSONResponse(content.model_dump(mode="json"), 503, {"Retry-After": "1"})


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _asks_who_it_is(request: Request) -> bool:
    """Whether a browser asks if it is signed in: its first question, to which no is an answer and not an error."""
    return (request.method, request.url.path) == ("GET", "/api/session") and "authorization" not in request.headers


def _check_origin(request: Request) -> None:
    """Refuses changes that a page of another place asks for."""
    origin = request.headers.get("origin")
    if request.method in _SAFE or origin is None:
        return
    if urlsplit(origin).netloc != request.headers.get("host"):
        raise RefusedError(403, "other_origin", f"A page of {origin} may not change anything here.")


def _check_csrf(request: Request, session: OpenSession) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if request.method not in _SAFE and not hmac.compare_digest(given.encode(), session.csrf_token.encode()):
        raise RefusedError(
            403, "csrf", f"The header {CSRF_HEADER} is missing or not this session's; load the page again."
        )
