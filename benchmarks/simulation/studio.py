"""The studio's HTTP API as a program sees it; what is asked again after a lost answer is done once."""

import io
import threading
import time
import uuid
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from PIL import Image

from sa_pipeline.studio.models import (
    Event,
    ImageInfo,
    Lease,
    ModelInfo,
    NewPin,
    Role,
    Saved,
    Session,
    StoredEvent,
    TaskDetail,
    Verdict,
)
from simulation.sight import Decoder, Sight

_AGAIN = (429, 502, 503)
_PATIENCE_SECONDS = 600.0
"""How long a server may be gone, as when it was killed and is started again."""
_AT_ONCE = 100
"""Events in one request; an object has fewer, so that it is kept as a whole or not at all."""


class RefusalError(Exception):
    """The server does not grant a request; `code` is its word for why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Decoders:
    """The mask decoders by the digest of their weights; used by several people at once."""

    def __init__(self) -> None:
        self._made: dict[str, Decoder] = {}
        self._lock = threading.Lock()

    def get(self, client: "Client", digest: str) -> Decoder:
        """The decoder of a checkpoint, fetched when it is first asked for."""
        with self._lock:
            if digest not in self._made:
                info = ModelInfo.model_validate_json(client.get(f"/api/models/{digest}"))
                self._made[digest] = Decoder(client.get(info.decoder_url), info)
            return self._made[digest]


class Client:
    """One person's connection."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        self.session = Session.model_validate_json(self.get("/api/session"))

    @property
    def name(self) -> str:
        """Who this is."""
        return self.session.annotator.name

    @property
    def reviews(self) -> bool:
        """Whether this is a reviewer."""
        return self.session.annotator.role is not Role.ANNOTATOR

    def get(self, path: str) -> bytes:
        """The content at an address."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        """The answer to a request that changes something."""
        return self._ask("POST", path, body)

    def next_task(self) -> "Desk | None":
        """A task to make or mend; None when the queue is empty."""
        return self._lease("/api/tasks/lease")

    def next_review(self) -> "Desk | None":
        """A task to review; None when none waits."""
        return self._lease("/api/reviews/lease")

    def _lease(self, path: str) -> "Desk | None":
        try:
            return Desk(self, TaskDetail.model_validate_json(self.post(path)))
        except RefusalError as refusal:
            if refusal.code == "queue_empty":
                return None
            raise

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> bytes:
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                answer = self._http.request(method, path, json=body)
            except httpx.TransportError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)
                continue
            if answer.is_success:
                return answer.content
            if answer.status_code not in _AGAIN or time.monotonic() > end:
                problem = answer.json()
                raise RefusalError(problem["code"], problem["detail"])
            time.sleep(float(answer.headers.get("Retry-After", 0.5)))


class Desk:
    """A task in the hands of a person."""

    def __init__(self, client: Client, detail: TaskDetail) -> None:
        assert detail.lease is not None
        self.client, self.detail, self.lease = client, detail, detail.lease
        self.version = detail.task.version
        self._place = f"/api/tasks/{detail.task.task_id}"
        self._heard = time.monotonic()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture, px."""
        image = self.detail.task.image
        return image.height, image.width

    def pixels(self) -> npt.NDArray[np.uint8]:
        """The picture, (H, W, 3) uint8 RGB."""
        with Image.open(io.BytesIO(self.client.get(self.detail.task.image.picture_url))) as image:
            return np.asarray(image.convert("RGB"))

    def sight(self, decoders: Decoders) -> Sight:
        """The picture with SAM's help."""
        image: ImageInfo = self.detail.task.image
        assert image.embedding_url is not None
        assert image.checkpoint_digest is not None
        decoder = decoders.get(self.client, image.checkpoint_digest)
        return Sight(decoder, self.client.get(image.embedding_url), self.size)

    def history(self) -> list[StoredEvent]:
        """All that was ever done to the task."""
        return [StoredEvent.model_validate(each) for each in httpx.Response(200, content=self._get("/events")).json()]

    def save(self, events: Sequence[Event]) -> None:
        """Keeps changes."""
        for start in range(0, len(events), _AT_ONCE):
            sent = events[start : start + _AT_ONCE]
            body = {"base_version": self.version, "events": [event.model_dump(mode="json") for event in sent]}
            self.version = Saved.model_validate_json(self._post("/events", body)).version

    def stay(self) -> None:
        """Gives a sign of life if it is time for one."""
        if time.monotonic() - self._heard >= self.client.session.heartbeat_seconds:
            self.lease = Lease.model_validate_json(self._post("/heartbeat", {}))

    def settle(self, pin_id: int) -> None:
        """Says that a remark was heeded."""
        self.client.post(f"/api/pins/{pin_id}/resolve")

    def finish(self) -> None:
        """Hands the task on to review."""
        self._post("/finish", {"version": self.version})

    def skip(self, reason: str) -> None:
        """Leaves the task to nobody."""
        self._post("/skip", {"reason": reason})

    def decide(self, verdict: Verdict, pins: Sequence[NewPin]) -> None:
        """Accepts the task or sends it back."""
        sent = [pin.model_dump(mode="json") for pin in pins]
        self._post("/review", {"version": self.version, "verdict": verdict.value, "pins": sent})

    def _get(self, what: str) -> bytes:
        return self.client.get(self._place + what)

    def _post(self, what: str, body: dict[str, Any]) -> bytes:
        answer = self.client.post(self._place + what, {"lease_token": self.lease.lease_token, **body})
        self._heard = time.monotonic()
        return answer


def operation(*what: object) -> uuid.UUID:
    """An id that is the same whenever the same thing is done, so that a person who begins again repeats nothing."""
    return uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, what)))
