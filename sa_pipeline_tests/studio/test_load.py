"""Several people at once on a server that is killed."""

import pytest

from sa_pipeline.dataset import Dataset
from sa_pipeline.studio.database import DATABASE_VARIABLE
from sa_pipeline_tests.studio.browser import ServerProcess
from sa_pipeline_tests.studio.crowd import work_through


def test_eight_people_lose_and_double_nothing_when_the_server_is_killed(
    studio_dataset: Dataset, database_url: str | None, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database_url is not None:
        monkeypatch.setenv(DATABASE_VARIABLE, database_url)

    def kill() -> None:
        server.kill()
        server.start()

    work_through(kill, studio_dataset, server, monkeypatch)
