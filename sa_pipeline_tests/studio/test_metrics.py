"""What the studio's server tells those who watch over it: metrics, health, and lines of the log."""

import contextlib
import json
import logging
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator

import httpx
import pytest

from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import SettingsError
from sa_pipeline.logs import LOG_FORMAT_VARIABLE, JsonFormatter
from sa_pipeline.metrics_server import Readiness, serving_metrics
from sa_pipeline.studio.decoder import decoder_name
from sa_pipeline.studio.models import Role
from sa_pipeline.studio.people import add_annotator
from sa_pipeline.studio.readiness import look
from sa_pipeline.studio.schema import tasks
from sa_pipeline.studio.workplace import make_workplace
from sa_pipeline_tests.exposition import Scrape, scrape, scrape_registry
from sa_pipeline_tests.studio.browser import free_port, wait_until
from sa_pipeline_tests.studio.desk import ROUND, Desk, event, good, lease, rectangle, send

METHODS = ("GET", "PROPFIND", "MKCOL", "SEARCH")
SECRET_NAME = "Mafalda Oyelaran"


@pytest.fixture
def metrics_url(desk: Desk) -> Iterator[str]:
    """Where the metrics of the desk's server are."""
    state = desk.app.state
    with serving_metrics(state.workplace.metrics.registry, state.readiness, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


def test_work_is_counted_and_nobody_is_named(desk: Desk, metrics_url: str) -> None:
    ada = desk.person(SECRET_NAME)
    task = lease(ada)
    image = task["task"]["image"]
    image_id = image["image_id"]
    changes = [event(rectangle(image), label="Oyelaran's cat"), event(None, deleted=True), event(rectangle(image, 50))]
    good(send(ada, task, *changes))
    good(send(ada, task, *changes))
    picture = ada.get(f"/images/{image_id}/picture")
    ada.get("/tasks", params={"annotator": SECRET_NAME})
    ada.get("/images/999/picture")
    ada.request("PROPFIND", "/labels")
    desk.client().get("/tasks")
    desk.client().get(f"/{SECRET_NAME}")
    seen = scrape(metrics_url)
    count = "sa_pipeline_studio_requests_total"
    assert seen.value(count, method="POST", route="/api/tasks/{task_id}/events", status="200") == 2
    assert seen.value(count, route="/api/images/{image_id}/picture", status="404") == 1
    assert seen.value(count, route="refused", status="401") == 2
    assert seen.value(count, method="other", status="405") == 1
    assert seen.value("sa_pipeline_studio_request_seconds_count", route="/api/tasks/{task_id}/events") == 2
    route = "/api/images/{image_id}/picture"
    assert seen.value("sa_pipeline_studio_response_bytes_total", route=route) >= len(picture.content)
    assert seen.value("sa_pipeline_studio_saves_total", result="new") == 1
    assert seen.value("sa_pipeline_studio_saves_total", result="repeated") == 1
    assert seen.value("sa_pipeline_studio_masks_saved_total") == 2
    assert seen.value("sa_pipeline_studio_tasks", round=ROUND, state="open") == 4
    assert seen.value("sa_pipeline_studio_leases", state="open") == 1
    assert seen.value("sa_pipeline_studio_active_annotators") == 1
    assert seen.value("sa_pipeline_studio_transaction_seconds_count", kind="write") >= 3
    assert seen.value("process_resident_memory_bytes") > 0
    assert "Oyelaran" not in seen.text
    assert str(uuid.UUID(changes[0]["op_id"])) not in seen.text
    desk.clock.pass_seconds(desk.studio.settings.lease_seconds + 301)
    later = scrape(metrics_url)
    assert later.value("sa_pipeline_studio_leases", state="expired") == 1
    assert later.value("sa_pipeline_studio_active_annotators") == 0


def test_strangers_cannot_make_the_metrics_grow(desk: Desk, metrics_url: str) -> None:
    stranger = desk.client()

    def rows() -> int:
        return sum(
            name.startswith("sa_pipeline_studio_request") for name in (s.name for s in scrape(metrics_url).samples)
        )

    def knock(words: range) -> None:
        for word in words:
            for address in (f"/images/{word}", f"/nothing/{word}", f"/../{word}", f"/../{word}.js"):
                stranger.request(METHODS[word % len(METHODS)], address)

    knock(range(4))
    before = rows()
    knock(range(4, 24))
    assert rows() == before


def test_metrics_are_not_on_the_port_of_the_page(desk: Desk) -> None:
    for address in ("/metrics", "/api/metrics"):
        answer = httpx.get(f"{desk.url}{address}")
        assert "sa_pipeline_studio" not in answer.text


def test_a_taken_port_of_the_metrics_is_said_in_one_sentence(desk: Desk, metrics_url: str) -> None:
    state = desk.app.state
    port = int(metrics_url.rsplit(":", 1)[1])
    with (
        pytest.raises(SettingsError, match=f"127.0.0.1:{port}.*choose another port"),
        serving_metrics(state.workplace.metrics.registry, state.readiness, "127.0.0.1", port),
    ):
        pass


def ready(url: str) -> tuple[int, dict]:
    answer = httpx.get(f"{url}/health/ready", timeout=60)
    return answer.status_code, answer.json()


def test_a_server_that_can_work_says_so(desk: Desk, metrics_url: str) -> None:
    assert httpx.get(f"{desk.url}/health/live").json() == {"status": "live"}
    assert ready(desk.url) == (200, {"status": "ready", "failing": []})
    checks = dict.fromkeys(("database", "storage", "checkpoint"))
    assert ready(metrics_url) == (200, {"status": "ready", "checks": checks})
    assert httpx.get(f"{metrics_url}/health/live").json() == {"status": "live"}
    assert httpx.get(f"{metrics_url}/elsewhere").status_code == 404
    assert httpx.post(f"{desk.url}/health/ready").status_code == 405


def test_readiness_names_what_fails_and_the_public_port_says_no_more(desk: Desk, metrics_url: str) -> None:
    digest = "0" * 64
    dataset = desk.studio.dataset
    desk.studio.write(lambda connection: connection.execute(tasks.update().values(checkpoint_digest=digest)))
    wait_until(lambda: ready(desk.url) == (503, {"status": "not_ready", "failing": ["checkpoint"]}), "not ready")
    status, told = ready(metrics_url)
    assert status == 503
    assert decoder_name(digest) in told["checks"]["checkpoint"]
    dataset.storage.write_bytes(decoder_name(digest), b"no graph")
    (dataset.home / "ledger").rename(dataset.home / "gone")
    wait_until(lambda: ready(desk.url)[1]["failing"] == ["storage", "checkpoint"], "storage to fail")
    assert "Is the dataset's disk mounted?" in ready(metrics_url)[1]["checks"]["storage"]
    assert scrape(metrics_url).value("sa_pipeline_studio_ready", check="storage") == 0
    assert scrape(metrics_url).value("sa_pipeline_studio_ready", check="database") == 1


def test_of_a_database_that_cannot_be_used_the_metrics_say_so(sqlite_desk: Desk) -> None:
    workplace = make_workplace(sqlite_desk.studio.dataset, sqlite_desk.studio)
    workplace.metrics.watch(workplace.studio, Readiness(lambda: look(workplace)))
    with sqlite3.connect(sqlite_desk.studio.folder / "studio.sqlite") as connection:
        connection.execute("DROP TABLE alembic_version")
        connection.execute("DROP TABLE tasks")
    assert "no such table" in str(look(workplace)["database"])
    seen = scrape_registry(workplace.metrics.registry)
    assert seen.value("sa_pipeline_studio_ready", check="database") == 0
    assert "process_cpu_seconds_total" in seen.names
    assert "sa_pipeline_studio_tasks" not in seen.names


def test_a_request_keeps_the_id_that_it_came_with(desk: Desk) -> None:
    for given in ("order-17.a_b", str(uuid.uuid4())):
        assert httpx.get(f"{desk.url}/api/health", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given
    for wrong in ("", "two words", "a" * 65, '{"level":"x"}'):
        answered = httpx.get(f"{desk.url}/api/tasks", headers={"X-Request-ID": wrong})
        assert answered.status_code == 401
        assert answered.headers["X-Request-ID"] not in ("", wrong)


@contextlib.contextmanager
def served_with_json(dataset: Dataset) -> Iterator[tuple[str, str, "subprocess.Popen[str]"]]:
    """The real command's server, with lines of JSON, and where its metrics are."""
    port, metrics_port = free_port(), free_port()
    program = (
        "import sys, pathlib; from sa_pipeline.dataset import open_dataset; "
        "from sa_pipeline.studio.serve import serve; "
        "from sa_pipeline.logs import configure_logging; configure_logging(); "
        "serve(open_dataset(pathlib.Path(sys.argv[1])), port=int(sys.argv[2]), metrics_port=int(sys.argv[3]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(dataset.home), str(port), str(metrics_port)],
        stderr=subprocess.PIPE,
        text=True,
    )
    url, metrics_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}"

    def answers() -> bool:
        assert process.poll() is None
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/health/live").is_success
        return False

    try:
        wait_until(answers, "the server's start", 600)
        yield url, metrics_url, process
    finally:
        process.terminate()
        process.wait()


def test_the_log_is_json_with_pseudonyms(sqlite_studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG_FORMAT_VARIABLE, "json")
    token = add_annotator(sqlite_studio, SECRET_NAME, Role.LEAD)
    with served_with_json(sqlite_studio.dataset) as (url, metrics_url, process):
        headers = {"Authorization": f"Bearer {token}", "X-Request-ID": "order-17"}
        httpx.get(f"{url}/api/images/1", headers=headers, params={"annotator": SECRET_NAME}).raise_for_status()
        assert isinstance(scrape(metrics_url), Scrape)
        # A damaged file: an error of ours, with its reason.
        (sqlite_studio.dataset.home / "raw_images" / "000001.parquet").write_bytes(b"damaged")
        assert httpx.get(f"{url}/api/images/3/picture", headers=headers).status_code == 500
    text = process.stderr.read() if process.stderr else ""
    lines = [json.loads(line) for line in text.splitlines()]
    asked = next(line for line in lines if line.get("image_id") == "1")
    assert asked["time"].endswith("+00:00")
    told = {name: asked[name] for name in ("level", "request_id", "method", "route", "status", "person", "message")}
    assert told == {
        "level": "INFO",
        "request_id": "order-17",
        "method": "GET",
        "route": "/api/images/{image_id}",
        "status": 200,
        "person": "person-1",
        "message": "GET /api/images/{image_id} 200",
    }
    assert any(line["level"] == "ERROR" and "is damaged" in line["message"] for line in lines)
    assert SECRET_NAME not in text
    assert "Mafalda" not in text
    assert token not in text


def test_an_exception_is_one_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        record = logging.LogRecord("a.b", logging.ERROR, "f.py", 1, "it %s", ("broke",), sys.exc_info())
    (line,) = JsonFormatter().format(record).splitlines()
    told = json.loads(line)
    assert (told["message"], told["logger"]) == ("it broke", "a.b")
    assert "ValueError: first\nsecond" in told["exception"]


def test_readiness_is_looked_at_once_in_a_while_however_many_ask() -> None:
    looks = []
    readiness = Readiness(lambda: looks.append(1) or {})
    for _ in range(100):
        readiness.checks()
    assert len(looks) <= 2
