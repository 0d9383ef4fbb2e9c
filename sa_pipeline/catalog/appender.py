"""Rows on their way into DuckDB: put in by large parts, however small the files are that they come from."""

from collections import Counter, defaultdict

import duckdb
import pyarrow as pa

ROWS_AT_ONCE = 100_000
TABLES_AT_ONCE = 1_000


class Appender:
    """Gathers Arrow tables for tables of the same columns, and inserts them together.

    DuckDB's time to commit grows faster than linearly with the number of inserts: with the 100,000 of 10,000 shards it
    takes more than ten minutes, with a hundred less than a second.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Inserts over that connection."""
        self._connection = connection
        self._waiting: defaultdict[str, list[pa.Table]] = defaultdict(list)
        self._rows: Counter[str] = Counter()

    def append(self, table: str, rows: pa.Table) -> None:
        """Takes rows for a table, in the order of its columns."""
        waiting = self._waiting[table]
        rows = rows.replace_schema_metadata(None)
        if waiting and waiting[0].schema != rows.schema:
            self._insert(table)
        waiting.append(rows)
        self._rows[table] += rows.num_rows
        if len(waiting) >= TABLES_AT_ONCE or self._rows[table] >= ROWS_AT_ONCE:
            self._insert(table)

    def insert_all(self) -> None:
        """Inserts what waits."""
        for table in self._waiting:
            self._insert(table)

    def _insert(self, table: str) -> None:
        waiting = self._waiting[table]
        if waiting:
            self._connection.register("appended", pa.concat_tables(waiting))
            self._connection.execute(f'INSERT INTO "{table}" SELECT * FROM appended')  # noqa: S608
            self._connection.unregister("appended")
            waiting.clear()
            self._rows[table] = 0
