"""Progress of long work: a bar in a terminal, log lines elsewhere, nothing where nobody looks."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")

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
    """Draws a bar with rich; falls back to plain lines when the output is not a terminal."""

    def track(self, items: Iterable[T], *, description: str, total: int | None = None) -> Iterator[T]:
        """Yields every item of `items` in order."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress

        console = Console(stderr=True)
        if not console.is_terminal:
            log = LogProgress(lambda line: console.print(line, highlight=False, soft_wrap=True))
            yield from log.track(items, description=description, total=total)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with RichProgress(*columns, console=console) as bar:
            task = bar.add_task(description, total=total)
            for item in items:
                yield item
                bar.advance(task)
