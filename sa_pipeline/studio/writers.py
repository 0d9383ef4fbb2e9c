"""Writing to the studio's database: one thread for SQLite, a pool of connections for PostgreSQL."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError

from sa_pipeline.errors import StudioUnavailableError

GROUP = 64
"""Functions in one transaction at most, so that none waits long for the others."""

ATTEMPTS = 5
"""At a transaction that PostgreSQL broke off for the sake of another."""

_BROKEN_OFF = ("40001", "40P01")
"""PostgreSQL's codes of a failed serialisation and of a deadlock."""

_MISTAKES = (IntegrityError, DataError, ProgrammingError)
"""Errors of a statement, not of the database."""

T = TypeVar("T")


class Writer(Protocol):
    """Runs functions in transactions."""

    def write(self, function: Callable[[sa.Connection], T]) -> T:
        """As `Studio.write`."""

    def close(self) -> None:
        """Finishes what waits."""


@dataclass(frozen=True)
class _Work:
    function: Callable[[sa.Connection], Any]
    future: Future[Any]


class GroupCommitWriter:
    """Does the writes of all threads on one, as many as wait in one transaction, in the order of their coming."""

    def __init__(self, engine: sa.Engine) -> None:
        """Takes an engine that begins each transaction as a writer (BEGIN IMMEDIATE)."""
        self._engine = engine
        self._waiting: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="studio-writer", daemon=True)
        self._thread.start()

    def write(self, function: Callable[[sa.Connection], T]) -> T:
        """As `Studio.write`."""
        work = _Work(function, Future())
        with self._closing:
            if self._closed:
                raise StudioUnavailableError("The studio is closed; start it again.")
            self._waiting.put(work)
        result: T = work.future.result()
        return result

    def close(self) -> None:
        """Finishes what waits; later writes are refused."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._waiting.put(None)
        self._thread.join()
        self._engine.dispose()

    def _run(self) -> None:
        connection: sa.Connection | None = None
        while group := self._next_group():
            try:
                with unavailable(self._engine):
                    connection = connection or self._engine.connect()
                    done = [(work, *_attempt(connection, work)) for work in group]
                    connection.commit()
            except Exception as error:
                # Nothing of the group is on disk; whoever waits may try again.
                for work in group:
                    work.future.set_exception(error)
                if connection is not None:
                    connection.invalidate()
                    connection.close()
                    connection = None
            else:
                for work, result, refusal in done:
                    if refusal is None:
                        work.future.set_result(result)
                    else:
                        work.future.set_exception(refusal)
        if connection is not None:
            connection.close()

    def _next_group(self) -> list[_Work]:
        """What waits, at most `GROUP`; waits for the first, and is empty when the writer was closed."""
        group: list[_Work] = []
        with contextlib.suppress(queue.Empty):
            while len(group) < GROUP:
                work = self._waiting.get(block=not group)
                if work is None:
                    if group:
                        self._waiting.put(None)
                    break
                group.append(work)
        return group


def _attempt(connection: sa.Connection, work: _Work) -> tuple[Any, Exception | None]:
    """Result or error of one function; an error undoes what that function changed, and nothing else.

    Raises:
        DBAPIError: The whole transaction is lost.
    """
    try:
        with connection.begin_nested():
            return work.function(connection), None
    except Exception as error:
        if isinstance(error, DBAPIError) and not isinstance(error, _MISTAKES):
            raise
        return None, error


@dataclass(frozen=True)
class PooledWriter:
    """Does each write in a transaction of its own, on the caller's thread."""

    engine: sa.Engine

    def write(self, function: Callable[[sa.Connection], T]) -> T:
        """As `Studio.write`."""
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(_BrokenOffError):
                return self._write(function)
        with unavailable(self.engine):
            return self._write(function)

    def close(self) -> None:
        """The engine is the readers', too, and closed with them."""

    def _write(self, function: Callable[[sa.Connection], T]) -> T:
        try:
            with unavailable(self.engine), self.engine.begin() as connection:
                return function(connection)
        except StudioUnavailableError as error:
            if getattr(error.__cause__, "sqlstate", None) in _BROKEN_OFF:
                raise _BrokenOffError(str(error)) from error
            raise


class _BrokenOffError(StudioUnavailableError):
    """PostgreSQL undid the transaction for the sake of another; the same one may succeed now."""


@contextlib.contextmanager
def unavailable(engine: sa.Engine) -> Iterator[None]:
    """Turns the errors of a database that does not answer or cannot be written into `StudioUnavailableError`."""
    try:
        yield
    except (DatabaseError, InterfaceError, sa.exc.TimeoutError) as error:
        if isinstance(error, _MISTAKES):
            raise
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        reason = " ".join(str(cause).split()).rstrip(".")
        raise StudioUnavailableError(
            f"The studio's database {engine.url.render_as_string()} cannot be used: {reason}; "
            "see that it runs, has room and may be written."
        ) from cause
