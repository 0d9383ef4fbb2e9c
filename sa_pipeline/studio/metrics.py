"""What the studio's server tells Prometheus. No label is a name, a number of a picture or anything a person typed."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sa_pipeline.errors import StudioUnavailableError
from sa_pipeline.metrics_server import Readiness
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.models import Event, Saved, TaskState
from sa_pipeline.studio.schema import annotators, events, tasks

ACTIVE_SECONDS = 300.0
"""A person who changed something so long ago at most counts as active."""

_PREFIX = "sa_pipeline_studio"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_REQUEST_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_TASKS = sa.select(tasks.c.round, tasks.c.state, sa.func.count()).group_by(tasks.c.round, tasks.c.state)
# One look into the index for each person, however many events there are.
_ACTIVE = (
    sa.select(sa.func.count())
    .select_from(annotators)
    .where(
        sa.exists().where(
            events.c.annotator_id == annotators.c.annotator_id, events.c.received_at > sa.bindparam("since")
        )
    )
)


class StudioMetrics:
    """Counts what the server does, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        by_route = ("method", "route")
        self._requests = Counter(
            f"{_PREFIX}_requests", "Requests answered.", (*by_route, "status"), registry=self.registry
        )
        self._seconds = Histogram(
            f"{_PREFIX}_request_seconds",
            "From a request's coming to the end of its answer.",
            by_route,
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )
        self._bytes = Counter(
            f"{_PREFIX}_response_bytes",
            "Bytes of answers' bodies: pictures, embeddings and decoders by their routes.",
            ("route",),
            registry=self.registry,
        )
        self._transactions = Histogram(
            f"{_PREFIX}_transaction_seconds",
            "From asking the database to the end of the transaction, waiting for other writers included.",
            ("kind",),
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )
        self._saves = Counter(
            f"{_PREFIX}_saves",
            "Saves answered, new or kept before.",
            ("result",),
            registry=self.registry,
        )
        self._masks = Counter(f"{_PREFIX}_masks_saved", "Changes kept that leave a mask.", registry=self.registry)

    def watch(self, studio: Studio, readiness: Readiness) -> None:
        """Adds what is asked of the database, and whether the server is ready, at each scrape."""
        self.registry.register(_Standing(studio, readiness))

    def answered(self, method: str, route: str, status: int, seconds: float, size: int) -> None:
        """Counts a request; `route` is a template such as `/api/images/{image_id}`, `size` bytes of the body."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)
        self._bytes.labels(route).inc(size)

    def transaction(self, kind: str, seconds: float) -> None:
        """Counts a transaction; `kind` is `read` or `write`."""
        self._transactions.labels(kind).observe(seconds)

    def saved(self, sent: Sequence[Event], answer: Saved) -> None:
        """Counts a save."""
        self._saves.labels("new" if answer.applied else "repeated").inc()
        applied = set(answer.applied)
        masks = (event for event in sent if event.object.mask is not None and not event.object.deleted)
        self._masks.inc(sum(event.op_id in applied for event in masks))


class _Standing(Collector):
    """What the database holds, counted when it is asked for."""

    def __init__(self, studio: Studio, readiness: Readiness) -> None:
        self._studio = studio
        self._readiness = readiness

    def describe(self) -> Iterator[Metric]:
        """Its names, without asking the database."""
        return iter(_families().values())

    def collect(self) -> Iterator[Metric]:
        """Asks the database; of one that does not answer nothing is told but that."""
        families = _families()
        for name, problem in self._readiness.checks().items():
            families["ready"].add_metric([name], problem is None)
        try:
            self._count(families)
        except StudioUnavailableError:
            yield families["ready"]
            return
        yield from families.values()

    def _count(self, families: dict[str, GaugeMetricFamily]) -> None:
        now = self._studio.clock()
        leases = {False: 0, True: 0}
        with self._studio.read() as connection:
            for round_name, state, count in connection.execute(_TASKS):
                families["tasks"].add_metric([round_name, TaskState(state).value], count)
            expired = tasks.c.lease_until < now
            query = sa.select(expired, sa.func.count()).where(tasks.c.holder_id.is_not(None)).group_by(expired)
            leases |= {bool(ended): count for ended, count in connection.execute(query)}
            families["active"].add_metric([], connection.scalar(_ACTIVE, {"since": now - ACTIVE_SECONDS}) or 0)
        families["leases"].add_metric(["open"], leases[False])
        families["leases"].add_metric(["expired"], leases[True])


def _families() -> dict[str, GaugeMetricFamily]:
    return {
        "ready": GaugeMetricFamily(
            f"{_PREFIX}_ready", "1 where database, storage or checkpoint is well.", labels=["check"]
        ),
        "tasks": GaugeMetricFamily(f"{_PREFIX}_tasks", "Tasks, by round and state.", labels=["round", "state"]),
        "leases": GaugeMetricFamily(
            f"{_PREFIX}_leases", "Tasks in somebody's hands: the lease open, or expired.", labels=["state"]
        ),
        "active": GaugeMetricFamily(
            f"{_PREFIX}_active_annotators", f"People who changed something in the last {ACTIVE_SECONDS / 60:.0f} min."
        ),
    }
