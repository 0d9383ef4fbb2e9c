"""A real server of the studio on a port of its own, people who ask it, and masks to send."""

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import numpy as np
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI

from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.settings import StudioSettings
from sa_pipeline.studio.app import create_app
from sa_pipeline.studio.database import Studio, open_studio
from sa_pipeline.studio.models import Role
from sa_pipeline.studio.people import add_annotator
from sa_pipeline.studio.pictures import Pictures
from sa_pipeline.studio.schema import rounds, tasks

ROUND = "round-1"


class Clock:
    """Seconds since 1970 that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Desk:
    """The server and what a test needs around it."""

    studio: Studio
    app: FastAPI
    url: str
    clock: Clock
    clients: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def person(self, name: str, role: Role = Role.ANNOTATOR) -> httpx.Client:
        """A program with the personal token of a new person."""
        token = add_annotator(self.studio, name, role)
        return self.client(headers={"Authorization": f"Bearer {token}"})

    def client(self, **options) -> httpx.Client:
        """Somebody who asks the server."""
        return self.clients.enter_context(httpx.Client(base_url=f"{self.url}/api", timeout=30, **options))

    def add_round(self, name: str = ROUND, *, replicas: int = 1, pilot: int = 0) -> None:
        """A round with a task for each photograph, or for several people; the first `pilot` are pilot tasks."""
        self.clock.pass_seconds(1)
        add_round(self.studio, name, replicas=replicas, pilot=pilot)

    def rows(self, query: sa.Select) -> list[sa.Row]:
        """What the database holds."""
        with self.studio.read() as connection:
            return list(connection.execute(query))


@contextlib.contextmanager
def open_desk(dataset: Dataset, database_url: str | None = None, **settings) -> Iterator[Desk]:
    """Starts the server of a dataset, with a round of tasks."""
    changed = StudioSettings(database_url=database_url, **settings)
    config = DatasetConfig(settings=dataset.settings.model_copy(update={"studio": changed}))
    clock = Clock()
    studio = open_studio(open_dataset(dataset.home, config), clock)
    try:
        app = create_app(studio.dataset, studio)
        with serving(app) as url:
            desk = Desk(studio, app, url, clock)
            desk.add_round()
            with desk.clients:
                yield desk
    finally:
        studio.close()


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Runs the server in a thread; yields its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def add_round(studio: Studio, name: str, *, replicas: int = 1, pilot: int = 0) -> None:
    pictures = Pictures(studio.dataset)
    found = [picture for shard in pictures.shards() for picture in pictures.of_shard(shard)]

    def add(connection: sa.Connection) -> None:
        connection.execute(
            rounds.insert().values(
                name=name, stage="assisted_manual", state="open", created_at=studio.clock(), pilot_tasks=pilot
            )
        )
        for picture in found:
            for replica in range(replicas):
                connection.execute(
                    tasks.insert().values(
                        round=name,
                        stage="assisted_manual",
                        image_id=picture.image_id,
                        shard=picture.shard,
                        replica=replica,
                        priority=picture.image_id,
                        pilot=picture.image_id <= pilot,
                        width=picture.width,
                        height=picture.height,
                        file_name=picture.file_name,
                        created_at=studio.clock(),
                    )
                )

    studio.write(add)


def rectangle(image: dict, left: int = 10, top: int = 20, width: int = 30, height: int = 40) -> dict:
    """The mask of a rectangle on a picture, as it travels."""
    mask = np.zeros((image["height"], image["width"]), bool)
    mask[top : top + height, left : left + width] = True
    return {"size": [image["height"], image["width"]], "counts": mask_to_counts(mask)}


def event(mask: dict | None, *, object_id: str | None = None, tool: str = "brush", **state) -> dict:
    """A change of an object."""
    return {
        "op_id": str(uuid.uuid4()),
        "tool": tool,
        "object": {"object_id": object_id or str(uuid.uuid4()), "mask": mask, **state},
        "at": 1_800_000_000.0,
        "active_seconds": 2.0,
    }


def send(client: httpx.Client, task: dict, *events: dict, version: int | None = None) -> httpx.Response:
    """Saves events in a task that was handed out, as `lease` answered."""
    body = {
        "lease_token": task["lease"]["lease_token"],
        "base_version": task["task"]["version"] if version is None else version,
        "events": list(events),
    }
    return client.post(f"/tasks/{task['task']['task_id']}/events", json=body)


def lease(client: httpx.Client) -> dict:
    """The next task."""
    return good(client.post("/tasks/lease"))


def good(response: httpx.Response) -> dict:
    """The content of an answer that must be good."""
    assert response.is_success, response.text
    return response.json()


def refused(response: httpx.Response, status: int, code: str) -> dict:
    """The content of an answer that must refuse, with a sentence."""
    assert response.status_code == status, response.text
    problem = response.json()
    assert problem["code"] == code
    assert problem["detail"].endswith(".")
    return problem
