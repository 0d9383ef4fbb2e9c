"""Steps of a long job that run beside each other, each in order: the next item is made while this one is used."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_END = object()


def ahead(items: Iterable[T], count: int) -> Iterator[T]:
    """Yields items that a thread of its own makes before they are asked for.

    What `items` raises is raised here, at its place. When the caller stops early, the item that is being made is
    waited for and no other is begun.

    Args:
        items: What is made; it is only touched by that thread.
        count: Items that are made or wait at one time; 0: each is made when it is asked for.

    Example:
        >>> list(ahead((n * n for n in range(4)), 2))
        [0, 1, 4, 9]
    """
    if count == 0:
        yield from items
        return
    iterator = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        waiting = deque(thread.submit(next, iterator, _END) for _ in range(count))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(thread.submit(next, iterator, _END))
                yield item  # type: ignore[misc]  # not the end
        finally:
            thread.shutdown(cancel_futures=True)


def behind(function: Callable[[T], R], items: Iterable[T], count: int) -> Iterator[R]:
    """Applies a function in a thread of its own, while the caller's thread makes the next items.

    What the function raises is raised here, at the latest when `count` more items were made; items after it are left.
    When the caller stops early, or making an item fails, the items that were made are still worked on.

    Args:
        function: What is done with each item, one after another.
        items: Made in the caller's thread.
        count: Items that are worked on or wait at one time; 0: each is worked on before the next is made.

    Example:
        >>> list(behind(str, range(3), 1))
        ['0', '1', '2']
    """
    if count == 0:
        yield from map(function, items)
        return
    failed = threading.Event()

    def call(item: T) -> R:
        if failed.is_set():
            raise CancelledError
        try:
            return function(item)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(1, thread_name_prefix="behind") as thread:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(thread.submit(call, item))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
