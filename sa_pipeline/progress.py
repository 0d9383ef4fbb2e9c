"""Progress of long work: a bar in a terminal, log lines elsewhere, nothing where nobody looks."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeVar

from sa_pipeline.logs import logs_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

LOG_INTERVAL_SECONDS = 10.0


class Progress(Protocol):
    """Wraps an iterable and shows how far its consumption has come."""

    def track(self, items: Iterable[T], *, description: str, total: int | None = None) -> Iterator[T]:
        """Yields every item of `items` in order.

        Args:
            items: What is worked through.
            description: What is done, such as "candidate_masks 000003".
            total: Number of items when it is known beforehand.
        """
        ...


class SilentProgress:
    """Shows nothing."""

    def track(self, items: Iterable[T], *, description: str, total: int | None = None) -> Iterator[T]:
        """Yields every item of `items` in order."""
        yield from items


class LogProgress:
    """Writes a line at most every `LOG_INTERVAL_SECONDS` and one at the end."""

    def __init__(self, log: Callable[[str], None]) -> None:
        """Takes the function that a line is handed to, such as `context.log.info`."""
        self._log = log

    def track(self, items: Iterable[T], *, description: str, total: int | None = None) -> Iterator[T]:
        """Yields every item of `items` in order."""
        started = last = time.monotonic()
        done = 0
        of_total = f" of {total}" if total is not None else ""
        for item in items:
            yield item
            done += 1
            now = time.monotonic()
            if now - last >= LOG_INTERVAL_SECONDS:
                last = now
                self._log(f"{description}: {done}{of_total}, {done / (now - started):.2f} a second")
        self._log(f"{description}: {done}{of_total} done in {time.monotonic() - started:.1f} s")


class TerminalProgress:
    """Draws bars with rich, one below the other while one piece of work lies within another.

    It falls back to plain lines when the output is not a terminal, and to the log where that is JSON.
    """

    def __init__(self) -> None:
        """Opens nothing yet."""
        self._bars: RichProgress | None = None

    def track(self, items: Iterable[T], *, description: str, total: int | None = None) -> Iterator[T]:
        """Yields every item of `items` in order."""
        from rich.console import Console

        console = Console(stderr=True)
        if logs_json():
            yield from LogProgress(_LOG.info).track(items, description=description, total=total)
        elif not console.is_terminal:
            log = LogProgress(lambda line: console.print(line, highlight=False, soft_wrap=True))
            yield from log.track(items, description=description, total=total)
        elif self._bars is not None:
            yield from self._draw(self._bars, items, description, total)
        else:
            with _bars(console) as self._bars:
                try:
                    yield from self._draw(self._bars, items, description, total)
                finally:
                    self._bars = None

    def _draw(self, bars: "RichProgress", items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
        task = bars.add_task(description, total=total)
        try:
            for item in items:
                yield item
                bars.advance(task)
        finally:
            if len(bars.tasks) > 1:
                bars.remove_task(task)


class Together:
    """Shows the same work in two places."""

    def __init__(self, first: Progress, second: Progress) -> None:
        """Takes both."""
        self._first, self._second = first, second

    def track(self, items: Iterable[T], *, description: str, total: int | None = None) -> Iterator[T]:
        """Yields every item of `items` in order."""
        inner = self._first.track(items, description=description, total=total)
        yield from self._second.track(inner, description=description, total=total)


_WATCHER: ContextVar[Progress | None] = ContextVar("watcher", default=None)


@contextlib.contextmanager
def watched_by(progress: Progress) -> Iterator[None]:
    """While it is open, work that is told to somebody else, such as Dagster's log, is shown by `progress` too."""
    token = _WATCHER.set(progress)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def with_watcher(progress: Progress) -> Progress:
    """`progress`, together with the one that watches, if any."""
    watcher = _WATCHER.get()
    return progress if watcher is None else Together(progress, watcher)


def _bars(console: "Console") -> "RichProgress":
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
