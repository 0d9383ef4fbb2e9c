"""Tables in a terminal: rows of a query that fit its width, or one row below the other if they do not."""

import datetime
import decimal
import math
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

WHOLE_FROM = 10_000
"""Numbers from here on are shown without a fraction."""

MIN_CELL = 12
"""Characters below which a cell is folded so often that it cannot be read."""


def rows_table(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None
) -> RenderableType:
    """Rows as a table, or as one small table a row where the terminal is too narrow for all columns.

    Args:
        console: Where it will be printed.
        columns: Names.
        rows: Values in the order of the columns.
        title: Stands above.
    """
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        numbers = [row[index] for row in rows]
        right = bool(rows) and all(_is_number(value) or value is None for value in numbers)
        table.add_column(Text(column), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(cell, row))
    needed = Measurement.get(console, console.options, table)
    if needed.minimum <= console.width and _readable(console, columns, rows):
        return table
    return Group(*(_upright(columns, row, number, title) for number, row in enumerate(rows, start=1)))


def cell(value: object) -> Text:
    """A value as it is shown: four digits of a fraction, whole numbers whole, a dash for null, no markup."""
    return Text(_shown(value), overflow="fold")


def _readable(console: Console, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> bool:
    widths = [
        max(len(name), *(len(_shown(row[index])) for row in rows)) if rows else len(name)
        for index, name in enumerate(columns)
    ]
    return sum(min(width, MIN_CELL) for width in widths) + 3 * len(widths) + 1 <= console.width


def _upright(columns: Sequence[str], row: Sequence[object], number: int, title: str | None) -> Table:
    table = Table(title=f"{title or 'row'} {number}", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in zip(columns, row, strict=True):
        table.add_row(Text(name), cell(value))
    return table


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool)


def _shown(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case float() | decimal.Decimal() if math.isfinite(value):
            number = float(value)
            return f"{number:.0f}" if abs(number) >= WHOLE_FROM or number.is_integer() else f"{number:.4g}"
        case datetime.datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case list() | tuple():
            return ", ".join(_shown(item) for item in value)
        case _:
            return str(value)
