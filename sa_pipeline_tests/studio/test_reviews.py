"""Review over HTTP: send back with a remark, mend, accept; and the numbers that come of it."""

import uuid

import pytest

from sa_pipeline.studio.models import Role
from sa_pipeline_tests.studio.desk import event, good, lease, rectangle, refused, send


def finish(client, task, version) -> dict:
    body = {"lease_token": task["lease"]["lease_token"], "version": version}
    return good(client.post(f"/tasks/{task['task']['task_id']}/finish", json=body))


def make_one(client, **place) -> dict:
    """A task with one rectangle, finished."""
    task = lease(client)
    good(send(client, task, event(rectangle(task["task"]["image"], **place), tool="click", label="box")))
    finish(client, task, 1)
    return task


def verdict(client, task, word, *pins, version=1, comment=""):
    body = {
        "lease_token": task["lease"]["lease_token"],
        "version": version,
        "verdict": word,
        "pins": list(pins),
        "comment": comment,
    }
    return client.post(f"/tasks/{task['task']['task_id']}/review", json=body)


def pin(x=5, y=6, comment="the edge is off", **more) -> dict:
    return {"x": x, "y": y, "comment": comment, **more}


def test_sent_back_mended_and_accepted(desk) -> None:
    ada, rob = desk.person("Ada"), desk.person("Rob", Role.REVIEWER)
    made = make_one(ada)
    number = made["task"]["task_id"]
    under_review = good(rob.post("/reviews/lease"))
    assert under_review["task"]["task_id"] == number
    refused(verdict(rob, under_review, "sent_back"), 422, "invalid")
    refused(verdict(rob, under_review, "sent_back", pin(x=10_000)), 422, "invalid")
    back = good(verdict(rob, under_review, "sent_back", pin(), comment="nearly"))
    assert (back["state"], back["open_pins"], back["review_comment"]) == ("sent_back", 1, "nearly")
    assert good(verdict(rob, under_review, "sent_back", pin(), comment="nearly")) == back

    feedback = good(ada.get("/me/feedback"))
    assert [task["task_id"] for task in feedback["sent_back"]] == [number]
    (remark,) = feedback["pins"]
    assert (remark["author"], remark["comment"], remark["x"], remark["y"]) == ("Rob", "the edge is off", 5, 6)
    again = lease(ada)
    assert again["task"]["task_id"] == number
    assert [found["pin_id"] for found in again["pins"]] == [remark["pin_id"]]
    good(ada.post(f"/pins/{remark['pin_id']}/resolve"))
    mended = event(rectangle(again["task"]["image"], width=31), object_id=again["objects"][0]["object_id"])
    good(send(ada, again, mended))
    finish(ada, again, 2)

    second = good(rob.post("/reviews/lease"))
    accepted = good(verdict(rob, second, "accepted", version=2))
    assert (accepted["state"], accepted["annotator"], accepted["open_pins"]) == ("accepted", "Ada", 0)
    feedback = good(ada.get("/me/feedback"))
    assert (feedback["sent_back"], feedback["pins"], feedback["accepted_today"]) == ([], [], 1)
    (statistics,) = good(rob.get("/statistics/annotators"))
    assert (statistics["annotator"], statistics["tasks"], statistics["masks"]) == ("Ada", 1, 1)
    assert (statistics["accepted"], statistics["sent_back"], statistics["acceptance"]) == (1, 1, 0.0)
    assert (statistics["seconds_per_mask"], statistics["clicks_per_mask"]) == (4.0, 1.0)
    refused(rob.post("/reviews/lease"), 404, "queue_empty")


def test_nobody_reviews_own_work_and_annotators_review_none(desk) -> None:
    rob, ada = desk.person("Rob", Role.REVIEWER), desk.person("Ada")
    made = make_one(rob)
    refused(rob.post("/reviews/lease"), 404, "queue_empty")
    refused(rob.post(f"/tasks/{made['task']['task_id']}/lease"), 409, "wrong_state")
    refused(ada.post("/reviews/lease"), 403, "role_needed")
    refused(ada.get("/statistics/annotators"), 403, "role_needed")
    refused(ada.get("/annotators"), 403, "role_needed")
    refused(ada.get("/guidelines/cases"), 403, "role_needed")
    other = good(desk.person("Eve", Role.REVIEWER).post("/reviews/lease"))
    assert other["task"]["task_id"] == made["task"]["task_id"]


def test_a_reviewer_mends_and_accepts_and_the_events_say_who(desk) -> None:
    ada, rob = desk.person("Ada"), desk.person("Rob", Role.REVIEWER)
    number = make_one(ada)["task"]["task_id"]
    task = good(rob.post(f"/tasks/{number}/lease"))
    name = task["objects"][0]["object_id"]
    good(send(rob, task, event(rectangle(task["task"]["image"], width=12), object_id=name, tool="eraser")))
    refused(verdict(rob, task, "accepted", version=1), 409, "stale_version")
    accepted = good(verdict(rob, task, "accepted", version=2))
    assert accepted["annotator"] == "Ada"
    events = good(rob.get(f"/tasks/{number}/events"))
    assert [found["annotator"] for found in events] == ["Ada", "Rob"]
    (mask,) = good(rob.get(f"/browse/images/{task['task']['image']['image_id']}/masks?source=human"))
    assert (mask["annotator"], mask["label"], mask["tools"]) == ("Rob", None, ["click", "eraser"])


def test_two_reviewers_get_different_tasks_and_a_begun_review_comes_first(desk) -> None:
    ada = desk.person("Ada")
    for _ in range(2):
        make_one(ada)
    rob, eve = desk.person("Rob", Role.REVIEWER), desk.person("Eve", Role.REVIEWER)
    first = good(rob.post("/reviews/lease"))["task"]["task_id"]
    assert good(eve.post("/reviews/lease"))["task"]["task_id"] != first
    assert good(rob.post("/reviews/lease"))["task"]["task_id"] == first


def test_an_accepted_pilot_opens_the_round(desk) -> None:
    desk.add_round("round-2", pilot=1)
    lead, rob, ada = desk.person("Lin", Role.LEAD), desk.person("Rob", Role.REVIEWER), desk.person("Ada")
    make_one(lead)
    assert good(ada.get("/me/progress"))["pilot_tasks_left"] == 1
    good(verdict(rob, good(rob.post("/reviews/lease")), "accepted"))
    assert good(ada.get("/me/progress"))["pilot_tasks_left"] == 0
    assert not lease(ada)["task"]["pilot"]


def test_agreement_is_the_mean_best_iou_with_the_other_person(desk) -> None:
    desk.add_round("round-2", replicas=2)
    ada, grace, rob = desk.person("Ada"), desk.person("Grace"), desk.person("Rob", Role.REVIEWER)
    one, other = make_one(ada, width=30), make_one(grace, width=20)
    assert one["task"]["image"]["image_id"] == other["task"]["image"]["image_id"]
    found = good(rob.get("/statistics/annotators", params={"round": "round-2"}))
    assert {row["annotator"]: row["agreement"] for row in found} == pytest.approx({"Ada": 2 / 3, "Grace": 2 / 3})
    assert good(rob.get("/statistics/annotators", params={"round": "round-1"})) == []


def test_progress_counts_the_day(desk) -> None:
    ada = desk.person("Ada")
    make_one(ada)
    day = good(ada.get("/me/progress"))
    assert (day["masks_today"], day["tasks_today"], day["active_seconds_today"]) == (1, 1, 2.0)
    assert (day["seconds_per_mask_today"], day["round"]) == (2.0, "round-1")
    assert day["round_tasks"] == {"open": 3, "finished": 1}
    desk.clock.pass_seconds(2 * 86_400)
    later = good(ada.get("/me/progress"))
    assert (later["masks_today"], later["tasks_today"], later["seconds_per_mask_today"]) == (0, 0, None)


def test_the_qa_list_draws_some_of_each_persons_day_and_the_same_again(desk) -> None:
    ada, rob = desk.person("Ada"), desk.person("Rob", Role.REVIEWER)
    made = {make_one(ada)["task"]["task_id"] for _ in range(3)}
    drawn = good(rob.get("/statistics/daily-qa", params={"per_annotator": 2}))
    assert len(drawn) == 2
    assert {task["task_id"] for task in drawn} < made
    assert good(rob.get("/statistics/daily-qa", params={"per_annotator": 2})) == drawn
    assert good(rob.get("/statistics/daily-qa", params={"day": "2001-01-01"})) == []


def test_an_unclear_case_gets_its_answer_into_the_guidelines(desk) -> None:
    ada, lead = desk.person("Ada"), desk.person("Lin", Role.LEAD)
    task = lease(ada)
    case = {"task_id": task["task"]["task_id"], "x": 3, "y": 4, "question": "One shoe or two?"}
    taken = good(ada.post("/guidelines/cases", json=case))
    refused(ada.post("/guidelines/cases", json=case | {"x": 9999}), 422, "invalid")
    refused(desk.person("Eve").post("/guidelines/cases", json=case), 403, "not_yours")
    assert good(ada.get("/guidelines"))["cases"] == []
    refused(ada.post(f"/guidelines/cases/{taken['case_id']}/answer", json={"answer": "Two."}), 403, "role_needed")
    good(lead.post(f"/guidelines/cases/{taken['case_id']}/answer", json={"answer": "Two."}))
    (found,) = good(ada.get("/guidelines"))["cases"]
    assert (found["question"], found["answer"], found["author"]) == ("One shoe or two?", "Two.", "Ada")
    assert found["image"]["image_id"] == task["task"]["image"]["image_id"]


def test_labels_are_offered_by_use(desk) -> None:
    ada = desk.person("Ada")
    task = lease(ada)
    mask = rectangle(task["task"]["image"])
    words = [("Dog", "thing"), ("dog house", "thing"), ("Dog", "thing"), ("grass", "stuff"), ("100%", "thing")]
    good(send(ada, task, *(event(mask, label=label, kind=kind) for label, kind in words)))
    assert good(ada.get("/labels", params={"prefix": "dO"})) == [
        {"label": "Dog", "kind": "thing", "uses": 2},
        {"label": "dog house", "kind": "thing", "uses": 1},
    ]
    assert good(ada.get("/labels", params={"prefix": "%"})) == []
    assert len(good(ada.get("/labels", params={"limit": 1}))) == 1


def test_resolving_a_remark_is_for_its_annotator_and_reviewers(desk) -> None:
    ada, rob = desk.person("Ada"), desk.person("Rob", Role.REVIEWER)
    make_one(ada)
    name = str(uuid.uuid4())
    good(verdict(rob, good(rob.post("/reviews/lease")), "sent_back", pin(object_id=name)))
    (remark,) = good(ada.get("/me/feedback"))["pins"]
    assert remark["object_id"] == name
    refused(desk.person("Eve").post(f"/pins/{remark['pin_id']}/resolve"), 403, "not_yours")
    refused(ada.post("/pins/999/resolve"), 404, "not_found")
    settled = good(ada.post(f"/pins/{remark['pin_id']}/resolve"))
    assert settled["resolved_at"] == desk.clock.now
    desk.clock.pass_seconds(60)
    assert good(rob.post(f"/pins/{remark['pin_id']}/resolve")) == settled
