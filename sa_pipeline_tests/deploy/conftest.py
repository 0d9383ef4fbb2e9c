"""A PostgreSQL database that Dagster and the studio share."""

from collections.abc import Iterator

import pytest

from sa_pipeline.dataset import SHARED_DATABASE_VARIABLE
from sa_pipeline_tests.studio.postgresql import dagster_url, postgresql_programs, running_postgresql


@pytest.fixture
def shared_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a new server's database, which `SA_PIPELINE_DATABASE` names; skips where there is no PostgreSQL."""
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (initdb is neither on PATH nor in /usr/lib/postgresql)")
    with running_postgresql(programs, "fsync=off") as url:
        named = dagster_url(url)
        monkeypatch.setenv(SHARED_DATABASE_VARIABLE, named)
        yield named
