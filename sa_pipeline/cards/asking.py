"""Asking the catalogue about the exported part of a dataset; sums are made there, so that any number of masks fits."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from sa_pipeline.catalog.query import open_catalog
from sa_pipeline.dataset import Dataset

# A shard counts when its tar holds the masks that the catalogue knows; one that is half made anew does not.
_VIEWS = """
CREATE TEMP VIEW exported AS
    SELECT e.shard
    FROM artifacts e JOIN artifacts d USING (shard)
    WHERE e.asset = 'sa1b_export' AND d.asset = 'deduplicated_masks'
          AND e.inputs->>'deduplicated_masks' = d.content_digest;
CREATE TEMP VIEW exported_files AS SELECT * FROM images WHERE shard IN (SELECT shard FROM exported);
CREATE TEMP VIEW exported_images AS SELECT * FROM exported_files WHERE status = 'ok';
CREATE TEMP VIEW exported_masks AS SELECT * FROM masks WHERE shard IN (SELECT shard FROM exported);
"""


@dataclass(frozen=True)
class Spread:
    """A number over all images or all masks; NaN where there are none."""

    smallest: float
    median: float
    mean: float
    largest: float


class Questions:
    """Questions to an open catalogue, in which `exported`, `exported_files`, `_images` and `_masks` are views."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Takes a connection with the views; use `asking`."""
        self._connection = connection

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._connection.execute(sql).fetchall()

    def number(self, sql: str) -> int:
        """The one number that a query yields."""
        return int(self.rows(sql)[0][0])

    def spread(self, value: str, table: str) -> Spread:
        """How an expression is spread over the rows of a table."""
        columns = ", ".join(f"{how}({value})::DOUBLE" for how in ("min", "median", "avg", "max"))
        (row,) = self.rows(f"SELECT {columns} FROM {table}")  # noqa: S608  # expressions of this package
        return Spread(*(float("nan") if number is None else number for number in row))

    def histogram(self, bin_number: str, table: str, bins: int) -> npt.NDArray[np.int64]:
        """Rows of a table by the number of their bin, an expression from 0 to `bins` - 1; shape (bins,)."""
        counts = np.zeros(bins, np.int64)
        sql = f"SELECT ({bin_number})::INTEGER, count(*) FROM {table} GROUP BY 1"  # noqa: S608  # as above
        for index, count in self.rows(sql):
            counts[index] = count
        return counts


def bin_of(share: str, bins: int) -> str:
    """The expression for the bin of a share from 0 to 1; what lies beyond is in the first or last bin."""
    return f"greatest(least(floor({share} * {bins}), {bins - 1}), 0)"


@contextlib.contextmanager
def asking(dataset: Dataset) -> Iterator[Questions]:
    """Opens the catalogue for questions.

    Raises:
        CatalogError: There is no catalogue, or it is damaged.
    """
    with open_catalog(dataset) as connection:
        connection.execute(_VIEWS)
        yield Questions(connection)
