"""Filling the queue of a round with the images of shards whose embeddings exist."""

import functools
import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from sa_pipeline.artifacts import CheckpointRef
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError, CheckpointError, MissingFileError
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.promotion import find_weights, ref_in_use
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.decoder import ensure_decoder, has_decoder
from sa_pipeline.studio.doubting import expected_wrong
from sa_pipeline.studio.embedded_images import TaskImage, embedded_shard
from sa_pipeline.studio.models import Source, Stage
from sa_pipeline.studio.new_tasks import GivenMask, NewTask, add_task, give_masks, lock_queue
from sa_pipeline.studio.prefilling import Prefill
from sa_pipeline.studio.rounds import ensure_round, holds_image
from sa_pipeline.studio.schema import rounds, tasks

IMAGES_PER_WRITE = 50
"""In one transaction, so that saves of annotators at work are not kept waiting."""


@dataclass(frozen=True)
class FillReport:
    """What filling a round's queue did.

    Attributes:
        counts: `images` that were given tasks, `tasks` that were added, `masks` that they begin with, and images passed
            over: `in_round` since the round has their tasks, `in_other_round` since another has.
        passed_over: Shards that cannot be annotated yet, each with the reason.
    """

    counts: Mapping[str, int]
    passed_over: Mapping[str, str]


@dataclass(frozen=True)
class _Plan:
    round: str
    stage: Stage
    replicas: int
    max_images: int | None


def fill_queue(
    studio: Studio,
    round_name: str,
    *,
    stage: Stage = Stage.ASSISTED_MANUAL,
    shards: Sequence[str] | None = None,
    images: Collection[int] | None = None,
    max_images: int | None = None,
    annotators_per_image: int | None = None,
    pilot_tasks: int | None = None,
    prefill: Prefill | None = None,
    progress: Progress | None = None,
) -> FillReport:
    """Makes the tasks of a round (paper §4), for images that no round has yet, and the decoders that they need.

    A round of the stage `audit` also takes images that other rounds have.

    Called again, after a crash or with more shards, it adds what is missing and nothing twice.

    Args:
        studio: Where the tasks go.
        round_name: Of the round; it is opened if need be.
        stage: Of the round.
        shards: To take images from; None: all of the ledger.
        images: To take of them, by image id; None: all.
        max_images: That the round has in the end; None: all.
        annotators_per_image: People who work on an image on their own; None: the setting.
        pilot_tasks: The first tasks of a new round, done by the team itself (paper, Appendix F); None: the setting.
        prefill: Masks that the tasks begin with; None: none.
        progress: Shows the shards.

    Raises:
        StudioError: The round's name cannot be one, or it is closed or of another stage.
        RleError: A mask to begin with does not have its image's size.
    """
    settings, dataset = studio.settings, studio.dataset
    plan = _Plan(round_name, stage, annotators_per_image or settings.annotators_per_image, max_images)
    pilots = settings.pilot_tasks if pilot_tasks is None else pilot_tasks
    studio.write(lambda connection: ensure_round(connection, round_name, stage, pilots, studio.clock()))
    wanted = list_shards(dataset.storage) if shards is None else shards
    counts = Counter(images=0, tasks=0, masks=0, in_round=0, in_other_round=0)
    passed_over: dict[str, str] = {}
    for shard in (progress or SilentProgress()).track(wanted, description=f"tasks of {round_name}", total=len(wanted)):
        try:
            embedded = embedded_shard(dataset, shard)
            if stage is not Stage.AUDIT:
                _require_in_use(dataset, shard, embedded.checkpoint)
            require_decoder(dataset, embedded.checkpoint)
            masks = prefill(shard) if prefill else {}
        except (ArtifactError, MissingFileError, CheckpointError) as error:
            passed_over[shard] = str(error)
            continue
        chosen = (image for image in embedded.images if images is None or image.image_id in images)
        while chunk := list(itertools.islice(chosen, IMAGES_PER_WRITE)):
            fill = functools.partial(_fill, plan=plan, chunk=chunk, masks=masks, now=studio.clock())
            counts.update(studio.write(fill))
    return FillReport(counts, passed_over)


def _require_in_use(dataset: Dataset, shard: str, made_by: CheckpointRef) -> None:
    """People work with the weights in use: those that their masks up to now have made better (paper §4)."""
    in_use = ref_in_use(dataset)
    if in_use.digest != made_by.digest:
        raise ArtifactError(
            f"The embeddings were made by {made_by.name} (sha256 {made_by.digest[:16]}), and {in_use.name} (sha256 "
            f"{in_use.digest[:16]}) is in use; materialize image_embeddings for {shard} again."
        )


def require_decoder(dataset: Dataset, made_by: CheckpointRef) -> None:
    """Sees that there is a decoder for the browser that belongs to the weights that made a shard's embeddings.

    Raises:
        CheckpointError: Those weights are not on this machine.
    """
    if has_decoder(dataset, made_by.digest):
        return
    try:
        name = find_weights(dataset, made_by)
    except CheckpointError:
        raise CheckpointError(
            f"The embeddings were made by {made_by.name} (sha256 {made_by.digest[:16]}), which is not on this "
            "machine; add that checkpoint, or materialize image_embeddings again."
        ) from None
    ensure_decoder(dataset, name)


def _fill(
    connection: sa.Connection,
    plan: _Plan,
    chunk: Sequence[TaskImage],
    masks: Mapping[int, Sequence[GivenMask]],
    now: float,
) -> Counter[str]:
    lock_queue(connection)
    ids = [image.image_id for image in chunk]
    query = sa.select(tasks.c.image_id, tasks.c.round, tasks.c.replica).where(
        tasks.c.image_id.in_(ids), sa.or_(holds_image(), tasks.c.round == plan.round)
    )
    taken = defaultdict(set)
    for image_id, name, replica in connection.execute(query):
        taken[image_id].add((name, replica))
    in_round, pilots_left = _standing(connection, plan.round)
    counts: Counter[str] = Counter()
    for image in chunk:
        own = {replica for name, replica in taken[image.image_id] if name == plan.round}
        missing = [replica for replica in range(plan.replicas) if replica not in own]
        # An audit looks at the export as it is, also at images that people have worked on.
        if taken[image.image_id] and not own and plan.stage is not Stage.AUDIT:
            counts["in_other_round"] += 1
        elif not missing:
            counts["in_round"] += 1
        elif own or plan.max_images is None or in_round < plan.max_images:
            in_round += not own
            for replica in missing:
                given = masks.get(image.image_id, ())
                urgency = round(1000 * expected_wrong(given))
                task = NewTask(plan.round, plan.stage, image, replica, pilot=pilots_left > 0, priority=-urgency)
                pilots_left -= 1
                task_id = add_task(connection, task, now)
                if given:
                    give_masks(connection, task_id, image, given, Source.PREFILLED, now)
                counts.update(tasks=1, masks=len(given))
            counts["images"] += 1
    return counts


def _standing(connection: sa.Connection, name: str) -> tuple[int, int]:
    """Images of the round, and how many of its pilot tasks have not been made."""
    images, pilots = connection.execute(
        sa.select(sa.func.count(tasks.c.image_id.distinct()), sa.func.count().filter(tasks.c.pilot)).where(
            tasks.c.round == name
        )
    ).one()
    wanted = connection.execute(sa.select(rounds.c.pilot_tasks).where(rounds.c.name == name)).scalar_one()
    return images, wanted - pilots
