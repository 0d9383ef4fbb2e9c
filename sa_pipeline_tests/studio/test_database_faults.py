"""What the studio's people notice, and lose, when its database, its disk or its clock fails."""

import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import StudioUnavailableError
from sa_pipeline.studio.database import DATABASE_VARIABLE, open_studio
from sa_pipeline.studio.models import Role
from sa_pipeline.studio.people import add_annotator
from sa_pipeline.studio.schema import annotators, events
from sa_pipeline_tests.disks import full, read_only
from sa_pipeline_tests.studio.browser import ServerProcess
from sa_pipeline_tests.studio.crowd import work_through
from sa_pipeline_tests.studio.desk import event, good, lease, rectangle, send
from sa_pipeline_tests.studio.postgresql import PostgreSQL, postgresql_programs


def test_a_killed_postgresql_loses_no_change_that_was_acknowledged(
    studio_dataset: Dataset, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (initdb is neither on PATH nor in /usr/lib/postgresql)")
    with PostgreSQL(programs) as database:
        monkeypatch.setenv(DATABASE_VARIABLE, database.url)

        def kill() -> None:
            database.kill()
            time.sleep(1)  # of work that finds no database
            database.start()

        work_through(kill, studio_dataset, server, monkeypatch)


def test_a_full_disk_loses_no_change_that_was_acknowledged(
    studio_dataset: Dataset, server: ServerProcess, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, f"sqlite:///{small_disk}/studio.sqlite")

    def fill() -> None:
        with full(small_disk):
            time.sleep(2)  # of work that finds no room

    work_through(fill, studio_dataset, server, monkeypatch)


def test_a_read_only_disk_is_told_in_a_sentence_and_keeps_what_it_holds(
    studio_dataset: Dataset, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, f"sqlite:///{small_disk}/studio.sqlite")
    studio = open_studio(studio_dataset)
    add_annotator(studio, "Ada")
    studio.close()
    with read_only(small_disk), pytest.raises(StudioUnavailableError, match="has room and may be written"):
        open_studio(studio_dataset)
    studio = open_studio(studio_dataset)
    with studio.read() as connection:
        assert connection.scalars(sa.select(annotators.c.name)).all() == ["Ada"]
    studio.close()


def test_a_clock_set_back_loses_nothing_and_a_lead_frees_what_it_holds_up(sqlite_desk) -> None:
    ada, alan, grace = (sqlite_desk.person(name) for name in ("Ada", "Alan", "Grace"))
    task, left_behind = lease(ada), lease(alan)["task"]["task_id"]
    mask = rectangle(task["task"]["image"])
    good(send(ada, task, event(mask)))
    sqlite_desk.clock.pass_seconds(-86_400)
    assert good(send(ada, task, event(mask), version=1))["version"] == 2
    finished = {"lease_token": task["lease"]["lease_token"], "version": 2}
    good(ada.post(f"/tasks/{task['task']['task_id']}/finish", json=finished))
    assert [row.version for row in sqlite_desk.rows(sa.select(events).order_by(events.c.version))] == [1, 2]
    # Alan went home before the clock was set back: his task would be free only after a day.
    sqlite_desk.clock.pass_seconds(3600)
    given = lease(grace)["task"]["task_id"]
    assert given not in (left_behind, task["task"]["task_id"])
    released = sqlite_desk.person("Lou", Role.LEAD).post(f"/tasks/{left_behind}/release", json={"lease_token": "none"})
    assert released.is_success, released.text
    people = [sqlite_desk.person(name) for name in ("Joan", "Hedy")]
    assert left_behind in {lease(person)["task"]["task_id"] for person in people}
