"""What a query looks like in a terminal."""

import datetime
import io

import pytest
from rich.console import Console

from sa_pipeline.shell_tables import cell, rows_table


def printed(width: int, columns: list[str], rows: list[tuple[object, ...]]) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(rows_table(console, columns, rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "true"),
        (9_007_199_254_740_991, "9007199254740991"),
        (3.0, "3"),
        (0.123456, "0.1235"),
        (123456.7, "123457"),
        (float("nan"), "nan"),
        ([10, 20.25], "10, 20.25"),
        (datetime.datetime(2026, 3, 1, 12, 30, 15, 999, datetime.UTC), "2026-03-01 12:30:15+00:00"),
        ("/photos/[bold]/a.jpg", "/photos/[bold]/a.jpg"),
    ],
)
def test_values_are_shown_as_a_person_reads_them(value, text) -> None:
    assert cell(value).plain == text


def test_few_columns_are_a_table_and_many_stand_below_each_other() -> None:
    assert len(printed(80, ["image_id", "masks"], [(1, 20), (2, 7)]).splitlines()) == 6
    columns = [f"column_{number}" for number in range(14)]
    text = printed(80, columns, [tuple(range(14)), tuple(range(14))])
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("column_13") == 2


def test_a_long_value_is_folded_and_none_of_it_is_lost() -> None:
    digest = "0123456789abcdef" * 8
    lines = printed(80, ["name", "digest"], [("tiny", digest)]).splitlines()
    assert "".join(line.split("│")[2].strip() for line in lines if line.startswith("│")) == digest
