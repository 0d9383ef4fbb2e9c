"""Nothing that a person did on the page is lost or doubled, whatever happens to server, network and browser."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from sa_pipeline.dataset import Dataset
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.people import add_annotator, renew_token
from sa_pipeline.studio.schema import annotators, events, objects, sessions, tasks
from sa_pipeline_tests.studio.browser import Person, ServerProcess, pixels, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    NewPerson = Callable[[str], Person]

STROKES = 12


@pytest.fixture
def new_person(chromium: "Browser", studio_dataset: Dataset, server: ServerProcess) -> "NewPerson":
    """Lets people in, each in a browser of their own, at a server with a task for each of four photographs."""
    with_tokens: dict[str, str] = {}
    studio = open_studio(studio_dataset)
    fill_queue(studio, "round-1")
    for name in ("ada", "grace"):
        with_tokens[name] = add_annotator(studio, name)
    studio.close()
    server.start()
    return lambda name: Person(chromium, server.url, with_tokens[name])


def rows(dataset: Dataset, query: sa.Select) -> list[sa.Row]:
    studio = open_studio(dataset)
    try:
        with studio.read() as connection:
            return list(connection.execute(query))
    finally:
        studio.close()


def check_all_is_there(
    dataset: Dataset, person: Person, strokes: list[tuple[tuple[int, int], tuple[int, int]]]
) -> None:
    """The page, the page after a reload, and the database agree, and every stroke is in them once."""
    person.wait_saved()
    shown = person.objects()
    person.page.reload()
    person.wait_ready()
    assert person.objects() == shown

    stored = rows(dataset, sa.select(events.c.op_id, events.c.version, events.c.tool).order_by(events.c.version))
    assert [row.version for row in stored] == list(range(1, len(stored) + 1))
    assert set(person.acknowledged) <= {str(row.op_id) for row in stored}
    assert sum(row.tool == "brush" for row in stored) == len(strokes)

    kept = rows(dataset, sa.select(objects.c.object_id, objects.c.counts))
    assert {str(row.object_id): row.counts for row in kept} == {
        object_id: state["mask"]["counts"] for object_id, state in shown.items()
    }
    for (x, y), (to_x, to_y) in strokes:
        masks = [pixels(state) for state in shown.values()]
        assert any(mask[y, x] and mask[to_y, to_x] for mask in masks), f"the stroke from {x}, {y} is not there"
    assert person.errors == []


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_servers_cut_networks_and_crashed_tabs_lose_and_double_nothing(
    seed: int, studio_dataset: Dataset, server: ServerProcess, new_person: "NewPerson"
):
    chance = random.Random(seed)
    ada = new_person("ada")
    ada.open_task()
    ada.page.keyboard.press("b")
    strokes = []
    faults = 0
    while len(strokes) < STROKES or faults < 3:
        fault = chance.choice(["none", "none", "kill", "cut"])
        break_it = {"none": None, "kill": server.kill, "cut": lambda: ada.context.set_offline(True)}[fault]
        faults += fault != "none"
        for _ in range(chance.randint(1, 3)):
            start = (chance.randint(60, 450), chance.randint(60, 450))
            end = (start[0] + chance.randint(-40, 40), start[1] + chance.randint(-40, 40))
            if chance.random() < 0.3:
                ada.page.keyboard.press("n")
            ada.stroke(start, end, between=break_it)
            strokes.append((start, end))
            break_it = None
            ada.page.wait_for_timeout(chance.choice([0, 150, 500]))
        crash = chance.random() < 0.5
        if crash:
            ada.crash()
        if server.process is None:
            server.start()
        ada.context.set_offline(False)
        if crash:
            ada.open_task()
            ada.page.keyboard.press("b")
            ada.page.keyboard.press("n")
    check_all_is_there(studio_dataset, ada, strokes)


def test_two_people_get_different_pictures(studio_dataset: Dataset, new_person: "NewPerson"):
    ada, grace = new_person("ada"), new_person("grace")
    for person in (ada, grace):
        person.open_task()
        person.page.keyboard.press("b")
        person.stroke((100, 100), (140, 120))
    for person in (ada, grace):
        person.wait_saved()
    made = rows(
        studio_dataset,
        sa.select(tasks.c.image_id, annotators.c.name, tasks.c.masks)
        .join(annotators, annotators.c.annotator_id == tasks.c.annotator_id)
        .order_by(annotators.c.name),
    )
    assert [(row.name, row.masks) for row in made] == [("ada", 1), ("grace", 1)]
    assert made[0].image_id != made[1].image_id


def test_an_ended_session_asks_to_sign_in_again_and_keeps_the_work(
    studio_dataset: Dataset, server: ServerProcess, new_person: "NewPerson"
):
    ada = new_person("ada")
    ada.open_task()
    studio = open_studio(studio_dataset)
    studio.write(lambda connection: connection.execute(sessions.delete()))
    studio.close()
    ada.page.keyboard.press("b")
    ada.stroke((100, 100), (140, 120))
    ada.page.get_by_test_id("sign-in-again").wait_for()
    assert ada.save_state()["state"] == "signed_out"
    assert rows(studio_dataset, sa.select(events)) == []

    studio = open_studio(studio_dataset)
    token = renew_token(studio, "ada")
    studio.close()
    ada.page.get_by_test_id("sign-in-token").fill(token)
    ada.page.get_by_test_id("sign-in-submit").click()
    ada.wait_saved()
    assert len(rows(studio_dataset, sa.select(events))) == 1


def test_a_task_opened_in_two_tabs_keeps_the_work_of_both(studio_dataset: Dataset, new_person: "NewPerson"):
    ada = new_person("ada")
    ada.open_task()
    first, second = ada.page, ada.new_page()
    ada.open_task(page=second)
    ada.page.keyboard.press("b")
    ada.stroke((100, 100), (140, 120))
    first.get_by_test_id("task-banner").wait_for()
    assert ada.save_state()["state"] == "lease_lost"

    ada.page = second
    second.keyboard.press("b")
    ada.stroke((300, 300), (340, 320))
    ada.wait_saved()

    ada.page = first
    first.get_by_test_id("task-lease-again").click()
    wait_until(lambda: len(first.evaluate("window.studio?.objects() ?? []")) == 2, "both strokes in the first tab")
    check_all_is_there(studio_dataset, ada, [((100, 100), (140, 120)), ((300, 300), (340, 320))])
