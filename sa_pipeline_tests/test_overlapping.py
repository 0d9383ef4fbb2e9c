"""Steps that run beside each other: in order, never further ahead than allowed, and errors at their place."""

import threading
import time

import pytest

from sa_pipeline.overlapping import ahead, behind


@pytest.mark.parametrize("count", [0, 1, 3])
def test_all_items_come_in_order(count) -> None:
    assert list(ahead(iter(range(20)), count)) == list(range(20))
    assert list(behind(lambda n: n * n, range(20), count)) == [n * n for n in range(20)]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_no_more_items_are_made_ahead_than_allowed(count) -> None:
    made = []

    def make():
        for n in range(20):
            made.append(n)
            yield n

    for used, _ in enumerate(ahead(make(), count)):
        time.sleep(0.01)
        assert len(made) <= used + 1 + count


def two_items(second_is_made: threading.Event):
    yield 1
    second_is_made.set()
    yield 2


def test_the_next_item_is_made_while_one_is_used() -> None:
    second_is_made = threading.Event()
    items = ahead(two_items(second_is_made), 1)
    assert next(items) == 1
    assert second_is_made.wait(10)


def test_the_next_item_is_made_while_one_is_worked_on() -> None:
    second_is_made = threading.Event()
    assert list(behind(lambda _: second_is_made.wait(10), two_items(second_is_made), 1)) == [True, True]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_error_is_raised_at_its_place(count) -> None:
    def make():
        yield from range(3)
        raise ValueError("the fourth")

    used, worked = [], []
    with pytest.raises(ValueError, match="the fourth"):
        used.extend(ahead(make(), count))
    with pytest.raises(ValueError, match="the fourth"):
        list(behind(worked.append, make(), count))
    assert used == worked == [0, 1, 2]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_after_a_failure_nothing_more_is_worked_on(count) -> None:
    worked = []

    def work(n):
        worked.append(n)
        time.sleep(0.05)
        if n == 2:
            raise ValueError("the third")

    with pytest.raises(ValueError, match="the third"):
        list(behind(work, range(20), count))
    assert worked == [0, 1, 2]


def test_a_caller_that_stops_leaves_no_thread() -> None:
    before = threading.active_count()
    for items in (ahead(iter(range(20)), 3), behind(str, range(20), 3)):
        next(items)
        items.close()
    assert threading.active_count() == before
