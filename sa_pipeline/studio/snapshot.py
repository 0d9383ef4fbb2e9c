"""The accepted work of a round as two immutable files: its masks, and every change that led to them.

They hold no names. A person is `person-N`, the same in every round of a dataset; the studio's database alone says who.
"""

import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import sqlalchemy as sa

from sa_pipeline.artifacts import SCHEMA_VERSIONS, ArtifactHeader, RoundAssetName, writing_table
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.schemas import HUMAN_MASK_EVENTS, HUMAN_MASKS
from sa_pipeline.stages.result import StageResult, make_unless_fresh
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.models import Source, TaskState
from sa_pipeline.studio.rounds import read_round
from sa_pipeline.studio.schema import tasks
from sa_pipeline.studio.snapshot_rows import Row, TaskWork, event_rows, mask_rows, read_work

ACCEPTED_TASKS = "accepted_tasks"
"""Input of a snapshot."""
TASKS_PER_GROUP = 100
"""In one row group, which is what is in memory at once."""


@dataclass(frozen=True)
class Snapshot:
    """The two files of a round; each says whether it was fresh already."""

    masks: StageResult
    events: StageResult


def accepted_masks(studio: Studio, round_name: str) -> dict[int, int]:
    """Number of masks of every accepted task of a round, by task id.

    Raises:
        StudioError: There is no such round.
    """
    return {task.task_id: task.masks for task in _accepted(studio, round_name)}


def accepted_digest(studio: Studio, round_name: str) -> str:
    """Stands for a round's accepted work: a snapshot of it names the same among its inputs.

    Raises:
        StudioError: There is no such round.
    """
    return _digest(_accepted(studio, round_name))


def snapshot_round(studio: Studio, round_name: str, progress: Progress | None = None) -> Snapshot:
    """Writes the accepted tasks of a round to `human_masks` and `human_mask_events`, unless they are there already.

    Counts of the masks: tasks, images, masks, and those of each source; of the events: tasks, images, events.

    Raises:
        StudioError: There is no such round, or a task has too many objects.
        StorageError: A file cannot be written.
    """
    accepted = _accepted(studio, round_name)
    make = functools.partial(_make, studio, round_name, accepted, progress or SilentProgress())
    return Snapshot(
        masks=make(RoundAssetName.HUMAN_MASKS, HUMAN_MASKS, mask_rows, _count_masks),
        events=make(RoundAssetName.HUMAN_MASK_EVENTS, HUMAN_MASK_EVENTS, event_rows, _count_events),
    )


def _accepted(studio: Studio, round_name: str) -> Sequence[Row]:
    in_order = (tasks.c.image_id, tasks.c.replica)
    query = sa.select(tasks).where(tasks.c.round == round_name, tasks.c.state == TaskState.ACCEPTED.value)
    with studio.read() as connection:
        read_round(connection, round_name)
        return connection.execute(query.order_by(*in_order)).all()


def _make(
    studio: Studio,
    round_name: str,
    accepted: Sequence[Row],
    progress: Progress,
    asset: RoundAssetName,
    schema: pa.Schema,
    rows_of: Callable[[TaskWork], list[dict[str, object]]],
    count: Callable[[Sequence[dict[str, object]]], Counter[str]],
) -> StageResult:
    groups = [accepted[start : start + TASKS_PER_GROUP] for start in range(0, len(accepted), TASKS_PER_GROUP)]

    def make(header: ArtifactHeader) -> None:
        with writing_table(studio.dataset.storage, schema, header) as writer:
            writer.counts.update(tasks=len(accepted), images=len({task.image_id for task in accepted}))
            writer.counts.update(count([]))
            for group in progress.track(groups, description=f"{asset} {round_name}", total=len(groups)):
                # An accepted task changes no more, so that each group may be read in its own time.
                with studio.read() as connection:
                    rows = [row for work in read_work(connection, group) for row in rows_of(work)]
                writer.write(pa.Table.from_pylist(rows, schema=schema))
                writer.counts.update(count(rows))

    return make_unless_fresh(studio.dataset.storage, _expected(asset, round_name, accepted), make)


def _expected(asset: RoundAssetName, round_name: str, accepted: Sequence[Row]) -> ArtifactHeader:
    return ArtifactHeader(
        asset=asset,
        partition=round_name,
        schema_version=SCHEMA_VERSIONS[asset],
        settings={},
        inputs={ACCEPTED_TASKS: _digest(accepted)},
    )


def _digest(accepted: Sequence[Row]) -> str:
    digest = hashlib.sha256()
    for task in accepted:
        decided = (task.task_id, task.version, task.annotator_id, task.reviewer_id, task.reviewed_at)
        digest.update(f"{decided!r}\n".encode())
    return digest.hexdigest()


def _count_masks(rows: Sequence[dict[str, object]]) -> Counter[str]:
    counts = Counter({source.value: 0 for source in Source})
    counts.update(str(row["source"]) for row in rows)
    counts.update(masks=len(rows))
    return counts


def _count_events(rows: Sequence[dict[str, object]]) -> Counter[str]:
    return Counter(events=len(rows))
