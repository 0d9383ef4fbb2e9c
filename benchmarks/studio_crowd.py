"""People who work in the annotation studio, simulated: a part of `studio_load.py`, which starts this several times.

Reads a pickled `Crowd` from its input and writes the pickled `Diary` of each person to its output. Each person is a
thread with one connection, which does what the page does: tries again whatever was not answered, with the same ids.
"""

import http.client
import json
import pickle
import random
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

RETRY_SECONDS = 0.25
HEARTBEAT_SECONDS = 30.0


@dataclass(frozen=True)
class Crowd:
    """Several people and what they do.

    Attributes:
        port: Of the server, on this machine.
        tokens: Personal tokens by the person's number.
        begin: When to begin; seconds of the machine's monotonic clock.
        seconds: How long to go on; whoever is in a task then finishes it.
        changes: Saves before a task is finished.
        think_seconds: Mean pause before a save.
        masks: By height and width of a picture, px, run lengths of masks to choose from.
        seed: Of the pauses and choices.
    """

    port: int
    tokens: dict[int, str]
    begin: float
    seconds: float
    changes: int
    think_seconds: float
    masks: Mapping[tuple[int, int], Sequence[str]]
    seed: int


@dataclass
class Diary:
    """What one person did and was told.

    Attributes:
        person: Number of the person.
        answered: By kind of request, seconds from asking to the end of the answer, of requests that were answered.
        bytes_read: Of all answers.
        repeated: Requests that were not answered, or were told to come again, and so were repeated.
        longest_wait: Seconds that the person waited for one request, repetitions included.
        held: Task, when it came into the person's hands and when they let go of it, on the machine's monotonic clock.
        sent: Op id of every event, with its task and the run lengths in it.
        acknowledged: Op ids that the server said it has, with the version that it gave each.
        finished: Tasks that the server said are finished, with their version.
        trouble: What should not have happened, in a sentence.
    """

    person: int
    answered: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    bytes_read: int = 0
    repeated: int = 0
    longest_wait: float = 0.0
    held: list[tuple[int, float, float]] = field(default_factory=list)
    sent: dict[uuid.UUID, tuple[int, str | None]] = field(default_factory=dict)
    acknowledged: dict[uuid.UUID, int] = field(default_factory=dict)
    finished: dict[int, int] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"answered": dict(self.answered)}


class _TroubleError(Exception):
    """The server answered what it should not have."""


class _Person:
    def __init__(self, crowd: Crowd, number: int) -> None:
        self.diary = Diary(number)
        self._crowd = crowd
        self._chance = random.Random(f"{crowd.seed} {number}")
        self._connection = http.client.HTTPConnection("127.0.0.1", crowd.port, timeout=60)
        self._headers = {"Content-Type": "application/json"}
        self._last_sign = 0.0

    def work(self) -> Diary:
        time.sleep(max(0.0, self._crowd.begin - time.monotonic()))
        try:
            # People do not all come in the same moment, nor are they all at the same place of a task.
            time.sleep(self._chance.uniform(0, self._crowd.think_seconds * self._crowd.changes))
            self._sign_in()
            while time.monotonic() < self._crowd.begin + self._crowd.seconds:
                if not self._do_a_task():
                    break
        except _TroubleError as error:
            self.diary.trouble.append(str(error))
        finally:
            self._connection.close()
        return self.diary

    def _sign_in(self) -> None:
        session = self._ask("sign in", "POST", "/api/session", {"token": self._crowd.tokens[self.diary.person]})
        self._headers["X-CSRF-Token"] = session["csrf_token"]

    def _do_a_task(self) -> bool:
        detail = self._ask("lease", "POST", "/api/tasks/lease", or_else=404)
        if detail is None:
            return False
        since = time.monotonic()
        task_id, lease_token = detail["task"]["task_id"], detail["lease"]["lease_token"]
        image = detail["task"]["image"]
        self._ask("picture", "GET", image["picture_url"])
        self._ask("embedding", "GET", image["embedding_url"])
        version = detail["task"]["version"]
        object_id = uuid.uuid4()
        for change in range(self._crowd.changes):
            self._think(task_id, lease_token)
            # About three changes make an object: a click, a correction, a label.
            if change % 3 == 0:
                object_id = uuid.uuid4()
            events = [self._event(image, object_id, change) for _ in range(self._chance.choice((1, 1, 1, 2)))]
            version = self._save(task_id, lease_token, version, events)
        closed = {"lease_token": lease_token, "version": version}
        # From the moment of asking on, the server may give the task to a reviewer.
        self.diary.held.append((task_id, since, time.monotonic()))
        summary = self._ask("finish", "POST", f"/api/tasks/{task_id}/finish", closed)
        self.diary.finished[task_id] = summary["version"]
        return True

    def _think(self, task_id: int, lease_token: str) -> None:
        time.sleep(self._crowd.think_seconds * self._chance.uniform(0.5, 1.5))
        if time.monotonic() - self._last_sign > HEARTBEAT_SECONDS:
            self._last_sign = time.monotonic()
            self._ask("heartbeat", "POST", f"/api/tasks/{task_id}/heartbeat", {"lease_token": lease_token})

    def _save(self, task_id: int, lease_token: str, version: int, events: list[dict[str, Any]]) -> int:
        for event in events:
            self.diary.sent[uuid.UUID(event["op_id"])] = (task_id, event["object"]["mask"]["counts"])
        body = {"lease_token": lease_token, "base_version": version, "events": events}
        saved = self._ask("save", "POST", f"/api/tasks/{task_id}/events", body)
        for number, event in enumerate(events, start=version + 1):
            self.diary.acknowledged[uuid.UUID(event["op_id"])] = number
        if saved["version"] != version + len(events):
            raise _TroubleError(f"task {task_id}: a save on version {version} led to {saved['version']}")
        return int(saved["version"])

    def _event(self, image: dict[str, Any], object_id: uuid.UUID, change: int) -> dict[str, Any]:
        points = 1 + change % 3
        size = (image["height"], image["width"])
        return {
            "op_id": str(uuid.UUID(int=self._chance.getrandbits(128), version=4)),
            "tool": self._chance.choice(("click", "brush", "eraser", "label")),
            "object": {
                "object_id": str(object_id),
                "label": self._chance.choice(("", "tree", "window", "hat", "a cloud")),
                "prominence": change,
                "mask": {"size": size, "counts": self._chance.choice(self._crowd.masks[size])},
                "prompts": {
                    "point_coords": [[100.5 + point, 200.5] for point in range(points)],
                    "point_labels": [1] * points,
                    "output": 0 if points > 1 else 3,
                    "predicted_iou": 0.9,
                },
            },
            "at": time.time(),
            "active_seconds": self._crowd.think_seconds,
        }

    def _ask(self, kind: str, method: str, path: str, body: object = None, or_else: int | None = None) -> Any:
        """The answer's JSON; None for the status `or_else`. Repeats what is not answered."""
        first = time.monotonic()
        content = None if body is None else json.dumps(body)
        while True:
            begin = time.monotonic()
            try:
                self._connection.request(method, path, content, self._headers)
                response = self._connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException):
                self._connection.close()
                self.diary.repeated += 1
                time.sleep(RETRY_SECONDS * self._chance.uniform(0.5, 1.5))
                continue
            if response.status in (429, 503):
                self.diary.repeated += 1
                time.sleep(float(response.headers.get("Retry-After", "1")))
                continue
            break
        end = time.monotonic()
        self.diary.answered[kind].append(end - begin)
        self.diary.bytes_read += len(answer)
        self.diary.longest_wait = max(self.diary.longest_wait, end - first)
        if response.status == or_else:
            return None
        if response.status != 200:
            raise _TroubleError(f"{method} {path} was answered with {response.status}: {answer[:300].decode()}")
        if cookie := response.headers.get("Set-Cookie"):
            self._headers["Cookie"] = cookie.partition(";")[0]
        return json.loads(answer) if response.headers.get_content_type() == "application/json" else None


def work(crowd: Crowd) -> list[Diary]:
    """The diaries of all people of a crowd, when they are done."""
    threading.stack_size(1 << 19)
    with ThreadPoolExecutor(len(crowd.tokens)) as pool:
        return list(pool.map(lambda number: _Person(crowd, number).work(), crowd.tokens))


if __name__ == "__main__":
    # Under its own name, so that what is pickled can be read by whoever imports this module.
    import studio_crowd

    done = studio_crowd.work(pickle.load(sys.stdin.buffer))
    pickle.dump(done, sys.stdout.buffer)
