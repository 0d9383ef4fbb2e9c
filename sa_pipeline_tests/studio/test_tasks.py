"""Tasks over HTTP: handed out to one person only, saved once, handed on."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sqlalchemy as sa

from sa_pipeline.masks.rle import counts_to_mask
from sa_pipeline.studio.models import Role
from sa_pipeline.studio.schema import events, objects
from sa_pipeline_tests.studio.desk import event, good, lease, rectangle, refused, send


def finish(client, task, version):
    body = {"lease_token": task["lease"]["lease_token"], "version": version}
    return client.post(f"/tasks/{task['task']['task_id']}/finish", json=body)


def test_many_who_ask_at_once_get_different_tasks(desk) -> None:
    desk.add_round("round-2", replicas=4)
    people = [desk.person(f"person {number}") for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        given = list(pool.map(lease, people))
    assert len({task["task"]["task_id"] for task in given}) == 16
    refused(desk.person("late").post("/tasks/lease"), 404, "queue_empty")


def test_one_person_gets_the_same_task_in_two_windows_and_only_the_newer_may_write(desk) -> None:
    ada = desk.person("Ada")
    first, second = lease(ada), lease(ada)
    assert first["task"]["task_id"] == second["task"]["task_id"]
    mask = rectangle(first["task"]["image"])
    refused(send(ada, first, event(mask)), 409, "lease_lost")
    assert good(send(ada, second, event(mask)))["version"] == 1


def test_what_was_saved_is_there_pixel_for_pixel_and_measured_by_the_server(desk) -> None:
    ada = desk.person("Ada")
    task = lease(ada)
    image = task["task"]["image"]
    mask = rectangle(image)
    change = event(mask, label="  a cat ", kind="thing", prominence=3)
    saved = good(send(ada, task, change))
    assert saved["applied"] == [change["op_id"]]
    detail = good(ada.get(f"/tasks/{task['task']['task_id']}"))
    assert (detail["task"]["masks"], detail["task"]["annotator"], detail["task"]["version"]) == (1, "Ada", 1)
    assert detail["task"]["active_seconds"] == 2.0
    (found,) = detail["objects"]
    assert found["label"] == "a cat"
    stored = counts_to_mask(found["mask"]["counts"], (image["height"], image["width"]))
    expected = np.zeros((image["height"], image["width"]), bool)
    expected[20:60, 10:40] = True
    assert np.array_equal(stored, expected)
    (row,) = desk.rows(sa.select(objects))
    assert (row.area, row.bbox) == (1200, [10, 20, 29, 39])
    (stored_event,) = good(ada.get(f"/tasks/{task['task']['task_id']}/events"))
    assert (stored_event["annotator"], stored_event["tool"]) == ("Ada", "brush")
    assert stored_event["received_at"] == desk.clock.now


def test_a_save_that_is_sent_again_is_applied_once(desk) -> None:
    ada = desk.person("Ada")
    task = lease(ada)
    mask = rectangle(task["task"]["image"])
    first, second = event(mask), event(mask)
    good(send(ada, task, first))
    again = good(send(ada, task, first))
    assert (again["version"], again["applied"], again["duplicates"]) == (1, [], [first["op_id"]])
    # The answer to the first was lost, so the client sends it together with what came after.
    both = good(send(ada, task, first, second, version=1))
    assert (both["version"], both["applied"], both["duplicates"]) == (2, [second["op_id"]], [first["op_id"]])
    twice = event(mask)
    assert good(send(ada, task, twice, twice, version=2))["version"] == 3
    assert len(desk.rows(sa.select(events))) == 3


def test_a_save_on_a_state_left_behind_is_refused(desk) -> None:
    ada = desk.person("Ada")
    task = lease(ada)
    mask = rectangle(task["task"]["image"])
    good(send(ada, task, event(mask)))
    assert refused(send(ada, task, event(mask), version=0), 409, "stale_version")["version"] == 1
    refused(send(ada, task, event(mask), version=5), 409, "stale_version")
    assert len(desk.rows(sa.select(events))) == 1


def test_changes_of_one_object_end_in_the_last_state(desk) -> None:
    ada = desk.person("Ada")
    task = lease(ada)
    image = task["task"]["image"]
    name = str(uuid.uuid4())
    good(
        send(
            ada,
            task,
            event(rectangle(image), object_id=name, label="dog"),
            event(rectangle(image, width=5), object_id=name, label="wolf", tool="eraser"),
            event(rectangle(image), label="grass", kind="stuff", prominence=1),
        )
    )
    task_id = task["task"]["task_id"]
    wolf, grass = good(ada.get(f"/tasks/{task_id}"))["objects"]
    assert (wolf["label"], grass["label"], grass["kind"]) == ("wolf", "grass", "stuff")
    gone = event(None, object_id=name, tool="delete", deleted=True)
    good(send(ada, task, gone, version=3))
    assert [found["label"] for found in good(ada.get(f"/tasks/{task_id}"))["objects"]] == ["grass"]
    assert good(ada.get(f"/tasks/{task_id}"))["task"]["masks"] == 1


def test_a_task_with_nothing_saved_returns_when_its_lease_runs_out(desk) -> None:
    ada, grace = desk.person("Ada"), desk.person("Grace")
    task = lease(ada)
    number = task["task"]["task_id"]
    desk.clock.pass_seconds(119)
    assert lease(grace)["task"]["task_id"] != number
    desk.clock.pass_seconds(2)
    alan = desk.person("Alan")
    assert lease(alan)["task"]["task_id"] == number
    refused(send(ada, task, event(rectangle(task["task"]["image"]))), 409, "lease_lost")
    refused(ada.post(f"/tasks/{number}/lease"), 409, "held_by_other")


def test_a_lease_that_nobody_took_is_renewed_by_the_next_write(desk) -> None:
    ada = desk.person("Ada")
    task = lease(ada)
    desk.clock.pass_seconds(3600)
    saved = good(send(ada, task, event(rectangle(task["task"]["image"]))))
    assert saved["lease_until"] == desk.clock.now + 120


def test_a_heartbeat_keeps_a_task(desk) -> None:
    ada, grace = desk.person("Ada"), desk.person("Grace")
    task = lease(ada)
    for _ in range(5):
        desk.clock.pass_seconds(100)
        body = {"lease_token": task["lease"]["lease_token"]}
        kept = good(ada.post(f"/tasks/{task['task']['task_id']}/heartbeat", json=body))
        assert kept["lease_until"] == desk.clock.now + 120
    assert lease(grace)["task"]["task_id"] != task["task"]["task_id"]


def test_a_begun_task_stays_its_annotators_and_comes_first(desk) -> None:
    ada = desk.person("Ada")
    task = lease(ada)
    good(send(ada, task, event(rectangle(task["task"]["image"]))))
    desk.clock.pass_seconds(100_000)
    others = {lease(desk.person(f"person {number}"))["task"]["task_id"] for number in range(3)}
    assert task["task"]["task_id"] not in others
    assert lease(ada)["task"]["task_id"] == task["task"]["task_id"]


def test_a_released_task_with_nothing_saved_goes_to_the_next_who_asks(desk) -> None:
    ada, grace = desk.person("Ada"), desk.person("Grace")
    task = lease(ada)
    body = {"lease_token": task["lease"]["lease_token"]}
    for _ in range(2):
        good(ada.post(f"/tasks/{task['task']['task_id']}/release", json=body))
    assert lease(grace)["task"]["task_id"] == task["task"]["task_id"]


def test_a_lead_takes_a_task_out_of_a_persons_hands(desk) -> None:
    ada, grace, lead = desk.person("Ada"), desk.person("Grace"), desk.person("Lin", Role.LEAD)
    task = lease(ada)
    good(send(ada, task, event(rectangle(task["task"]["image"]), label="kept")))
    url = f"/tasks/{task['task']['task_id']}/release"
    refused(grace.post(url, json={"lease_token": "x"}), 409, "lease_lost")
    good(lead.post(url, json={"lease_token": "x"}))
    # Ada is not given it again; Grace goes on with what was saved.
    assert lease(ada)["task"]["task_id"] != task["task"]["task_id"]
    handed_on = lease(grace)
    assert handed_on["task"]["task_id"] == task["task"]["task_id"]
    assert [found["label"] for found in handed_on["objects"]] == ["kept"]
    refused(send(ada, task, event(rectangle(task["task"]["image"]))), 409, "lease_lost")


def test_pictures_that_several_people_do_go_to_different_people(desk) -> None:
    desk.add_round("round-2", replicas=2)
    ada = desk.person("Ada")
    seen = []
    for _ in range(4):
        task = lease(ada)
        seen.append(task["task"]["image"]["image_id"])
        good(finish(ada, task, 0))
    assert sorted(seen) == [1, 2, 3, 4]
    refused(ada.post("/tasks/lease"), 404, "queue_empty")
    assert lease(desk.person("Grace"))["task"]["image"]["image_id"] == 1


def test_finishing_twice_gives_the_same_answer_and_needs_the_version(desk) -> None:
    ada = desk.person("Ada")
    task = lease(ada)
    good(send(ada, task, event(rectangle(task["task"]["image"]))))
    assert refused(finish(ada, task, 0), 409, "stale_version")["version"] == 1
    first = good(finish(ada, task, 1))
    assert (first["state"], first["finished_at"]) == ("finished", desk.clock.now)
    assert good(finish(ada, task, 1)) == first
    refused(send(ada, task, event(rectangle(task["task"]["image"])), version=1), 409, "lease_lost")


def test_a_skipped_task_keeps_its_reason_and_goes_to_nobody(desk) -> None:
    ada = desk.person("Ada")
    task = lease(ada)
    body = {"lease_token": task["lease"]["lease_token"], "reason": "nothing to see"}
    for _ in range(2):
        skipped = good(ada.post(f"/tasks/{task['task']['task_id']}/skip", json=body))
        assert (skipped["state"], skipped["skip_reason"]) == ("skipped", "nothing to see")
    given = {lease(desk.person(f"person {number}"))["task"]["task_id"] for number in range(3)}
    assert task["task"]["task_id"] not in given


def test_annotators_see_their_own_tasks_and_reviewers_all(desk) -> None:
    ada, grace, reviewer = desk.person("Ada"), desk.person("Grace"), desk.person("Rob", Role.REVIEWER)
    task = lease(ada)
    number = task["task"]["task_id"]
    good(send(ada, task, event(rectangle(task["task"]["image"]))))
    refused(grace.get(f"/tasks/{number}"), 403, "not_yours")
    refused(grace.get(f"/tasks/{number}/events"), 403, "not_yours")
    refused(grace.post(f"/tasks/{number}/lease"), 409, "held_by_other")
    desk.clock.pass_seconds(1000)
    refused(grace.post(f"/tasks/{number}/lease"), 403, "not_yours")
    assert good(grace.get("/tasks")) == []
    assert [found["task_id"] for found in good(ada.get("/tasks"))] == [number]
    assert len(good(reviewer.get("/tasks"))) == 4
    assert [found["task_id"] for found in good(reviewer.get("/tasks", params={"annotator": "Ada"}))] == [number]
    assert good(reviewer.get("/tasks", params={"cursor": number, "limit": 1}))[0]["task_id"] == number + 1
    assert good(reviewer.get("/tasks", params={"state": "finished"})) == []


def test_a_pilot_keeps_annotators_waiting_until_it_is_accepted(desk) -> None:
    desk.add_round("round-2", pilot=1)
    refused(desk.person("Ada").post("/tasks/lease"), 409, "pilot_running")
    lead = desk.person("Lin", Role.LEAD)
    task = lease(lead)
    assert task["task"]["pilot"]
    good(finish(lead, task, 0))
    refused(desk.person("Grace").post("/tasks/lease"), 409, "pilot_running")


def test_the_next_pictures_are_told_beforehand(desk) -> None:
    ada = desk.person("Ada")
    first = lease(ada)
    told = [image["image_id"] for image in first["upcoming"]]
    good(finish(ada, first, 0))
    assert lease(ada)["task"]["image"]["image_id"] == told[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda mask: mask | {"size": [5, 5]}, "height 5"),
        (lambda mask: mask | {"counts": mask["counts"][:-1]}, "cut off"),
        (lambda mask: mask | {"counts": "é"}, "alphabet"),
        (lambda mask: mask | {"counts": "0"}, "add up to 0"),
        (lambda mask: mask | {"counts": "oooooooooooo0"}, "at most 7"),
        (lambda mask: mask | {"counts": mask["counts"] * 2}, "add up"),
    ],
    ids=["another size", "cut off", "no characters of COCO's", "too short", "a number without end", "too long"],
)
def test_a_mask_that_describes_nothing_is_refused_and_named(sqlite_desk, change, said) -> None:
    ada = sqlite_desk.person("Ada")
    task = lease(ada)
    mask = rectangle(task["task"]["image"])
    problem = refused(send(ada, task, event(mask), event(change(mask))), 422, "invalid")
    assert "events.1.object.mask" in problem["detail"]
    assert said in problem["detail"]
    assert sqlite_desk.rows(sa.select(events)) == []
