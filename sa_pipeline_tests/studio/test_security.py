"""What people must not do, and what broken or hostile programs send: each gets one sentence, and nothing is changed."""

import json
import logging
import socket
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa

from sa_pipeline.dataset import Dataset
from sa_pipeline.studio.app import create_api
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.guidelines import PICTURES
from sa_pipeline.studio.models import MAX_COUNTS_LENGTH, Role, Tool
from sa_pipeline.studio.people import add_annotator, disable_annotator, person_of_token
from sa_pipeline.studio.schema import events, guideline_cases, objects, sessions, tasks
from sa_pipeline.studio.security import COOKIE, CSRF_HEADER
from sa_pipeline_tests.studio.browser import Person as Browsing
from sa_pipeline_tests.studio.browser import ServerProcess, wait_until
from sa_pipeline_tests.studio.conftest import CopyHome
from sa_pipeline_tests.studio.desk import Desk, event, good, lease, open_desk, rectangle, refused, send
from sa_pipeline_tests.studio.work import begin, thing

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SCRIPT = '<img src=x onerror="window.broken = 1"> \'; DROP TABLE tasks; --'


@pytest.fixture(scope="module")
def office(annotated_home: CopyHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One server for all tests that leave it as it was, but for new people and tasks."""
    with open_desk(annotated_home(tmp_path_factory.mktemp("office") / "home")) as desk:
        yield desk


@pytest.fixture
def ada(office: Desk, request: pytest.FixtureRequest) -> httpx.Client:
    """An annotator, and a round of tasks that nobody has begun."""
    office.add_round(f"round of {request.node.name}"[:200])
    return office.person(f"Ada of {request.node.name}"[:100])


def everything(desk: Desk) -> list[list[sa.Row]]:
    """What the database holds of people's work."""
    return [
        desk.rows(sa.select(table).order_by(*table.primary_key)) for table in (tasks, objects, events, guideline_cases)
    ]


def send_text(client: httpx.Client, task: dict, *changes: dict) -> httpx.Response:
    """As `send`, also what is no JSON by the book, such as NaN."""
    body = {"lease_token": task["lease"]["lease_token"], "base_version": 0, "events": changes}
    address = f"/tasks/{task['task']['task_id']}/events"
    return client.post(address, content=json.dumps(body), headers={"Content-Type": "application/json"})


def raw(url: str, request: bytes) -> bytes:
    """The answer to bytes that no HTTP library would send."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(request)
        answer = b""
        while more := connection.recv(65_536):
            answer += more
    return answer


# People and sessions


def signed_in(desk: Desk, name: str, role: Role = Role.ANNOTATOR) -> tuple[httpx.Client, str, str]:
    """A browser in which somebody is signed in, without the CSRF token in its headers; that token; their own token."""
    token = add_annotator(desk.studio, name, role)
    browser = desk.client()
    return browser, good(browser.post("/session", json={"token": token}))["csrf_token"], token


def test_a_sessions_cookie_is_kept_from_scripts_and_from_other_sites(office: Desk) -> None:
    token = add_annotator(office.studio, "Cora")
    answer = office.client().post("/session", json={"token": token})
    name, _, rest = answer.headers["set-cookie"].partition("=")
    assert name == COOKIE
    attributes = {part.strip().lower() for part in rest.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", "max-age=43200"} <= attributes
    assert "secure" not in attributes
    behind_https = {"X-Forwarded-Proto": "https"}
    assert "Secure" in office.client(headers=behind_https).post("/session", json={"token": token}).headers["set-cookie"]


def test_a_browser_changes_nothing_without_its_csrf_token_or_from_another_site(office: Desk) -> None:
    office.add_round("csrf")
    browser, csrf, _ = signed_in(office, "Bruno")
    other_csrf = signed_in(office, "Berta")[1]
    before = everything(office)
    for headers in ({}, {CSRF_HEADER: ""}, {CSRF_HEADER: "x"}, {CSRF_HEADER: other_csrf}, {CSRF_HEADER: "é".encode()}):
        refused(browser.post("/tasks/lease", headers=headers), 403, "csrf")
        refused(browser.delete("/session", headers=headers), 403, "csrf")
    for origin in ("https://evil.example", "null", office.url.replace("127.0.0.1", "localhost"), office.url + ".evil"):
        refused(browser.post("/tasks/lease", headers={CSRF_HEADER: csrf, "Origin": origin}), 403, "other_origin")
        refused(
            office.client().post("/session", json={"token": "x" * 20}, headers={"Origin": origin}), 403, "other_origin"
        )
    assert everything(office) == before
    good(browser.get("/me/progress"))
    good(browser.post("/tasks/lease", headers={CSRF_HEADER: csrf, "Origin": office.url}))


def test_an_ended_session_and_a_disabled_persons_token_open_nothing(office: Desk) -> None:
    browser, csrf, token = signed_in(office, "Dora")
    stolen = dict(browser.cookies)
    browser.delete("/session", headers={CSRF_HEADER: csrf}).raise_for_status()
    refused(office.client(cookies=stolen).get("/me/progress"), 401, "not_signed_in")
    kept = dict(signed_in(office, "Dirk")[0].cookies)
    disable_annotator(office.studio, "Dirk")
    refused(office.client(cookies=kept).get("/me/progress"), 401, "not_signed_in")
    disable_annotator(office.studio, "Dora")
    refused(office.client(headers={"Authorization": f"Bearer {token}"}).get("/me/progress"), 401, "not_signed_in")
    refused(office.client().post("/session", json={"token": token}), 401, "wrong_token")
    for value in ("Bearer", "Basic YTpi", "Bearer " + "x" * 5000, b"Bearer \xff\xfe"):
        refused(office.client(headers={"Authorization": value}).get("/me/progress"), 401, "not_signed_in")


def test_who_tries_tokens_is_stopped_and_those_who_work_are_not(annotated_home: CopyHome, tmp_path) -> None:
    with open_desk(annotated_home(tmp_path / "home"), sign_ins_per_minute=3) as desk:
        ada = desk.person("Ada")
        for guess in range(3):
            refused(desk.client().post("/session", json={"token": f"guess number {guess}"}), 401, "wrong_token")
        answer = desk.client().post("/session", json={"token": "another guess"})
        refused(answer, 429, "too_often")
        assert 1 <= int(answer.headers["retry-after"]) <= 20
        lease(ada)


def test_no_secret_lies_in_the_database_in_clear_or_gets_into_a_log(
    annotated_home: CopyHome, tmp_path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_desk(annotated_home(tmp_path / "home")) as desk, caplog.at_level(logging.DEBUG):
        browser, csrf, token = signed_in(desk, "Ada")
        lease_token = good(browser.post("/tasks/lease", headers={CSRF_HEADER: csrf}))["lease"]["lease_token"]
        secret = browser.cookies[COOKIE]
        desk.client().post("/session", json={"token": token + "x"})
        row = {"session_hash": "h", "csrf_token": csrf, "annotator_id": 10**6, "expires_at": 0.0}
        with pytest.raises(sa.exc.IntegrityError) as error:
            desk.studio.write(lambda connection: connection.execute(sessions.insert().values(row)))
        stored = b"".join(path.read_bytes() for path in desk.studio.folder.glob("studio.sqlite*"))
    assert lease_token.encode() in stored
    log = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("http"))
    for each in (token, secret):
        assert each.encode() not in stored
    for each in (token, secret, csrf, lease_token):
        assert each not in log
        assert each not in str(error.value)


# Roles, and other people's tasks


def test_an_annotator_reaches_no_address_of_reviewers_and_leads(office: Desk, ada: httpx.Client) -> None:
    task = lease(ada)
    number = task["task"]["task_id"]
    verdict = {"lease_token": task["lease"]["lease_token"], "version": 0, "verdict": "accepted"}
    before = everything(office)
    refused(ada.post("/reviews/lease"), 403, "role_needed")
    refused(ada.post(f"/tasks/{number}/review", json=verdict), 403, "role_needed")
    for address in ("/guidelines/cases", "/annotators", "/statistics/annotators", "/statistics/daily-qa"):
        refused(ada.get(address), 403, "role_needed")
    reviewer = office.person("Rob", Role.REVIEWER)
    for person in (ada, reviewer):
        refused(person.post("/guidelines/cases/1/answer", json={"answer": "Yes."}), 403, "role_needed")
    assert everything(office) == before


def test_nobody_who_is_not_signed_in_reaches_anything(office: Desk) -> None:
    stranger = office.client()
    numbers = {"task_id": 1, "image_id": 1, "pin_id": 1, "case_id": 1, "name": "dog.png", "digest": "0" * 64}
    for path, methods in create_api().openapi()["paths"].items():
        for method in methods:
            if path == "/api/health" or (path == "/api/session" and method != "delete"):
                continue
            address = path.removeprefix("/api").format(**numbers)
            refused(stranger.request(method, address, json={}), 401, "not_signed_in")
    for address in ("/nothing", "/", "//tasks", "/tasks/../tasks", "/%74asks"):
        assert stranger.get(address).status_code in (401, 404)


def test_another_persons_task_can_be_neither_read_nor_changed_even_with_its_lease(
    office: Desk, ada: httpx.Client
) -> None:
    task = lease(ada)
    number, token = task["task"]["task_id"], task["lease"]["lease_token"]
    good(send(ada, task, event(rectangle(task["task"]["image"]))))
    eve = office.person("Eve")
    before = everything(office)
    refused(eve.get(f"/tasks/{number}"), 403, "not_yours")
    refused(eve.get(f"/tasks/{number}/events"), 403, "not_yours")
    refused(send(eve, task, event(rectangle(task["task"]["image"])), version=1), 409, "lease_lost")
    for action, body in (
        ("heartbeat", {}),
        ("finish", {"version": 1}),
        ("skip", {"reason": "mine now"}),
        ("release", {}),
    ):
        refused(eve.post(f"/tasks/{number}/{action}", json={"lease_token": token} | body), 409, "lease_lost")
    question = {"task_id": number, "x": 1, "y": 1, "question": "What is it?"}
    refused(eve.post("/guidelines/cases", json=question), 403, "not_yours")
    assert everything(office) == before


def test_a_lease_that_ran_out_and_was_taken_by_another_opens_nothing_any_more(office: Desk, ada: httpx.Client) -> None:
    old = lease(ada)
    number = old["task"]["task_id"]
    office.clock.pass_seconds(121)
    grace = office.person("Grace")
    new = lease(grace)
    assert new["task"]["task_id"] == number
    mask = rectangle(old["task"]["image"])
    before = everything(office)
    refused(send(ada, old, event(mask)), 409, "lease_lost")
    body = {"lease_token": old["lease"]["lease_token"]}
    for action, more in (("heartbeat", {}), ("finish", {"version": 0}), ("skip", {"reason": "no"}), ("release", {})):
        refused(ada.post(f"/tasks/{number}/{action}", json=body | more), 409, "lease_lost")
    assert everything(office) == before
    assert good(send(grace, new, event(mask)))["version"] == 1


# Saves that come again or too late


def test_a_repeated_save_is_answered_alike_and_cannot_change_what_is_kept(office: Desk, ada: httpx.Client) -> None:
    task = lease(ada)
    image = task["task"]["image"]
    first = event(None, label="a cat")
    good(send(ada, task, first))
    good(
        ada.post(
            f"/tasks/{task['task']['task_id']}/finish", json={"lease_token": task["lease"]["lease_token"], "version": 1}
        )
    )
    before = everything(office)
    changed = first | {"object": first["object"] | {"label": "a dog"}}
    for again in (first, changed):
        answer = good(send(ada, task, again))
        assert (answer["version"], answer["applied"], answer["duplicates"]) == (1, [], [first["op_id"]])
    # What is new in it is refused as a whole, and the answer says where the task stands.
    assert refused(send(ada, task, first, event(rectangle(image)), version=1), 409, "lease_lost")["version"] == 1
    other = lease(ada)
    refused(send(ada, other, first), 409, "op_id_taken")
    refused(send(ada, other, event(rectangle(other["task"]["image"])), version=7), 409, "stale_version")
    assert everything(office)[1:] == before[1:]


# Content


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda mask: mask | {"counts": "0" * (MAX_COUNTS_LENGTH + 1)}, "at most 4000000 characters"),
        (lambda mask: mask | {"counts": "0" * MAX_COUNTS_LENGTH}, "add up to 0"),
        (lambda mask: mask | {"counts": "o" * 1_000_000 + "0"}, "at most 7"),
        (lambda mask: mask | {"counts": "ooooon" * 3}, "cut off"),
        (lambda mask: mask | {"counts": "ooooo7" * 4}, ""),
        (lambda mask: mask | {"counts": "\0"}, "null character"),
        (lambda mask: mask | {"counts": "\ud800"}, "string"),
        (lambda mask: mask | {"counts": 5}, "valid string"),
        (lambda mask: mask | {"size": [-5, 5]}, "height -5"),
        (lambda mask: mask | {"size": [10**30, 10**30]}, "height 1000"),
        (lambda mask: mask | {"size": [1.5, 2]}, "valid integer"),
        (lambda mask: mask | {"size": [True, True]}, "valid integer"),
        (lambda mask: mask | {"size": [1]}, "Field required"),
        (lambda mask: mask | {"more": 1}, "not permitted"),
    ],
)
def test_a_mask_that_is_none_is_refused_whole_and_named(office: Desk, ada: httpx.Client, change, said: str) -> None:
    task = lease(ada)
    mask = rectangle(task["task"]["image"])
    before = everything(office)
    problem = refused(send_text(ada, task, event(mask), event(change(mask))), 422, "invalid")
    assert "events.1.object.mask" in problem["detail"]
    assert said in problem["detail"]
    assert len(problem["detail"]) < 400
    assert everything(office) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("at", float("nan")),
        ("at", float("inf")),
        ("at", -1),
        ("at", 1e300),
        ("at", "2026-01-01"),
        ("active_seconds", -0.1),
        ("active_seconds", 1e9),
        ("active_seconds", True),
        ("op_id", "not an id"),
        ("tool", "hammer"),
        ("object", None),
        ("object", {"object_id": str(uuid.uuid4()), "prominence": 10**20}),
        ("object", {"object_id": str(uuid.uuid4()), "prominence": float("nan")}),
        ("object", {"object_id": str(uuid.uuid4()), "source_mask_id": -1}),
        ("object", {"object_id": str(uuid.uuid4()), "label": "x" * 201}),
        ("object", {"object_id": str(uuid.uuid4()), "label": "nul\0"}),
        ("object", {"object_id": str(uuid.uuid4()), "label": "\udfff"}),
        ("object", {"object_id": str(uuid.uuid4()), "prompts": {"point_coords": [[float("nan"), 0]]}}),
        ("object", {"object_id": str(uuid.uuid4()), "prompts": {"predicted_iou": float("inf")}}),
        ("object", {"object_id": str(uuid.uuid4()), "prompts": {"point_coords": [[0, 0]] * 201}}),
    ],
)
def test_numbers_and_texts_that_cannot_be_are_refused(office: Desk, ada: httpx.Client, field: str, value) -> None:
    task = lease(ada)
    before = everything(office)
    wrong = event(None) | {field: value}
    answer = send_text(ada, task, event(None), wrong)
    assert f"events.1.{field}" in refused(answer, 422, "invalid")["detail"]
    assert everything(office) == before


def test_bodies_that_are_too_large_or_no_json_are_refused(office: Desk, ada: httpx.Client) -> None:
    url = f"/tasks/{lease(ada)['task']['task_id']}/events"
    before = everything(office)
    limit = office.studio.settings.max_body_bytes
    token = ada.headers["Authorization"].encode()
    head = b"POST /api%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n" % (url.encode(), token)
    # Not one byte of it is sent: the announcement is enough.
    announced = raw(office.url, head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % (limit + 1))
    assert b" 413 " in announced
    assert b"more than 16000000 bytes" in announced
    pieces = (b"[" + b" " * 1_000_000 for _ in range(20))
    as_json = {"Content-Type": "application/json"}
    refused(ada.post(url, content=pieces, headers=as_json), 413, "too_large")
    for body in (b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"base_version": ' + b"9" * 5000 + b"}", b"\x00"):
        answer = ada.post(url, content=body, headers=as_json)
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["detail"].endswith(".")
    for body in (b"[]", b"null", b'"text"', b"5"):
        refused(ada.post(url, content=body, headers=as_json), 422, "invalid")
    too_many = {"lease_token": "x", "base_version": 0, "events": [event(None)] * 201}
    refused(ada.post(url, json=too_many), 422, "invalid")
    assert everything(office) == before


def test_numbers_beyond_the_databases_are_refused_or_not_found(office: Desk, ada: httpx.Client) -> None:
    for number in ("0", "-1", "2147483648", str(10**30), "1e3", "0x1", "\u0661"):
        assert ada.get(f"/tasks/{number}").status_code in (404, 422)
        assert ada.get(f"/images/{number}/picture").status_code in (404, 422)
        assert ada.post(f"/pins/{number}/resolve").status_code in (404, 422)
    case = {"task_id": 10**30, "x": 1, "y": 1, "question": "What is it?"}
    refused(ada.post("/guidelines/cases", json=case), 422, "invalid")
    refused(ada.get("/tasks", params={"cursor": 10**30}), 422, "invalid")
    refused(ada.get("/browse/images", params={"min_area": 10**30}), 422, "invalid")
    refused(ada.get("/browse/images", params={"min_predicted_iou": "nan"}), 422, "invalid")


# Texts that are code elsewhere


def test_a_script_or_sql_in_a_text_is_kept_as_the_text_it_is(desk: Desk) -> None:
    ada, lead = desk.person(SCRIPT[:100]), desk.person("Lin", Role.LEAD)
    task = lease(ada)
    good(send(ada, task, event(rectangle(task["task"]["image"]), label=SCRIPT)))
    answer = ada.get(f"/tasks/{task['task']['task_id']}")
    assert answer.json()["objects"][0]["label"] == SCRIPT
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert [use["label"] for use in good(ada.get("/labels", params={"prefix": SCRIPT[:9]}))] == [SCRIPT]
    case = {"task_id": task["task"]["task_id"], "x": 1, "y": 1, "question": SCRIPT}
    assert good(ada.post("/guidelines/cases", json=case))["question"] == SCRIPT
    human = {"source": "human"}
    assert len(good(lead.get("/browse/images", params=human | {"label": "x onerror"}))["images"]) == 1
    # Neither LIKE's signs nor quotes mean anything.
    for text in ("%", "_", "' OR 1=1 --", "\\", "');", '"'):
        found = good(lead.get("/browse/images", params=human | {"label": text}))["images"]
        assert len(found) == (text.casefold() in SCRIPT.casefold())
        assert good(lead.get("/tasks", params={"annotator": text, "round": text})) == []
        assert good(lead.get("/statistics/annotators", params={"round": text})) == []
    assert len(good(lead.get("/tasks"))) == 4


def test_the_null_character_is_refused_in_every_text(desk: Desk) -> None:
    lead = desk.person("Lin", Role.LEAD)
    for address in (
        "/tasks?round=a%00b",
        "/tasks?annotator=%00",
        "/browse/images?source=human&label=%00",
        "/browse/images?source=human&round=%00",
        "/statistics/annotators?round=%00",
    ):
        assert "null character" in refused(lead.get(address), 422, "invalid")["detail"]
    assert good(lead.get("/labels?prefix=%00")) == []
    refused(lead.get("/guidelines/pictures/%00.png"), 404, "not_found")
    refused(lead.post("/session", json={"token": "\0" * 20}), 422, "invalid")


# Addresses


@pytest.mark.parametrize(
    "name",
    [
        "../guidelines.md",
        "..%2Fguidelines.md",
        "..%2F..%2Fsettings.yaml",
        "%2e%2e%2fstudio.sqlite",
        "..%5Cstudio.sqlite",
        "%2Fetc%2Fpasswd",
        "%2Fetc%2Fpasswd%00.png",
        "dog.png%00",
        "dog.png%2F",
        ".hidden.png",
        "..png",
        "C:dog.png",
        "notes.txt",
        "a" * 100 + ".png",
        "link%2F..%2Fdog.png",
    ],
)
def test_guideline_pictures_come_from_their_folder_only(office: Desk, ada: httpx.Client, name: str) -> None:
    folder = office.studio.folder / PICTURES
    folder.mkdir(exist_ok=True)
    for file in ("dog.png", ".hidden.png", "notes.txt"):
        (folder / file).write_bytes(b"content")
    (office.studio.folder / "guidelines.md").write_text("# Ours")
    assert ada.get("/guidelines/pictures/dog.png").content == b"content"
    head = f"GET /api/guidelines/pictures/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    answer = raw(office.url, f"{head}Authorization: {ada.headers['Authorization']}\r\n\r\n".encode())
    assert answer.split(b" ")[1] in (b"404", b"422"), answer
    assert b"content" not in answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "path",
    [
        "/../app.py",
        "/..%2Fapp.py",
        "/%2e%2e/%2e%2e/settings.py",
        "/assets/../../app.py",
        "/assets/..%2F..%2F..%2F..%2F..%2Fetc/passwd",
        "//etc/passwd.txt",
        "/%2Fetc%2Fpasswd.txt",
        "/..%5Capp.py",
        "/index.html%00.js",
        "/%00",
        "/" + "a" * 5000 + ".js",
        "/" + "a/" * 3000 + "b.js",
    ],
)
def test_the_page_comes_from_its_folder_only(office: Desk, path: str) -> None:
    answer = raw(office.url, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    # Not found, or the page itself where the address might be one of its own; 503 where it was not built.
    assert answer.split(b" ")[1] in (b"200", b"404", b"503"), answer[:300]
    for secret in (b"root:", b"import ", b"FastAPI"):
        assert secret not in answer.partition(b"\r\n\r\n")[2]


def test_every_answer_tells_the_browser_what_it_may_do(office: Desk, ada: httpx.Client) -> None:
    answers = (
        ada.get("/me/progress"),
        ada.get("/images/1/picture"),
        ada.get("/nothing"),
        office.client().get("/me/progress"),
        httpx.get(office.url + "/"),
        httpx.get(office.url + "/no/such/file.js"),
    )
    for answer in answers:
        policy = {part.split()[0]: part.split()[1:] for part in answer.headers["content-security-policy"].split(";")}
        assert policy["default-src"] == policy["connect-src"] == ["'self'"]
        assert policy["script-src"] == ["'self'", "'wasm-unsafe-eval'"]
        assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers
    assert answers[0].headers["cache-control"] == "no-store"


def test_a_script_in_a_label_is_shown_as_text(
    chromium: "Browser", studio_dataset: Dataset, server: ServerProcess
) -> None:
    studio = open_studio(studio_dataset)
    fill_queue(studio, "round-1")
    token = add_annotator(studio, "Ada")
    person = person_of_token(studio, token)
    assert person is not None
    work = begin(studio, person)
    work.do((Tool.BRUSH, thing(work.rectangle(10, 10, 50, 50), label=SCRIPT)))
    studio.close()
    server.start()
    ada = Browsing(chromium, server.url, token)
    ada.open_task()
    (shown,) = ada.objects().values()
    assert shown["label"] == SCRIPT
    wait_until(lambda: SCRIPT in ada.page.evaluate(_TEXTS), "the label on the page")
    assert ada.page.locator("img[src=x]").count() == 0
    assert ada.page.evaluate("window.broken") is None
    assert ada.errors == []


_TEXTS = (
    """() => [document.body.innerText, ...[...document.querySelectorAll("input")].map(each => each.value)].join()"""
)
