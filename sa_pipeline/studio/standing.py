"""Where a round stands: its tasks and people, how fast they are, and whether its masks have become weights."""

from dataclasses import dataclass

import sqlalchemy as sa

from sa_pipeline.artifacts import CheckpointRef, RoundAssetName, read_header
from sa_pipeline.checkpoint_history import read_promotions
from sa_pipeline.round_checkpoints import list_made_checkpoints, read_round_checkpoint
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.models import AnnotatorStatistics, Stage, TaskState
from sa_pipeline.studio.rounds import Round, read_round
from sa_pipeline.studio.schema import tasks
from sa_pipeline.studio.snapshot import ACCEPTED_TASKS, accepted_digest
from sa_pipeline.studio.statistics import annotator_statistics


@dataclass(frozen=True)
class Standing:
    """Where a round stands.

    Attributes:
        round: With its tasks by state.
        active: People who hold a task now.
        people: Of the round, each with masks, seconds a mask and acceptance.
        masks: That people made so far, pre-filled and imported ones not counted.
        seconds_per_mask: Worked on the round, over these; None without any.
        prepared_with: Digests of the weights that its tasks were prepared with.
        weights: What it made; None for nothing yet.
    """

    round: Round
    active: int
    people: list[AnnotatorStatistics]
    masks: int
    seconds_per_mask: float | None
    prepared_with: tuple[str, ...]
    weights: CheckpointRef | None


def standing(studio: Studio, round_name: str) -> Standing:
    """Where a round stands now.

    Raises:
        StudioError: There is no such round.
        ArtifactError: What it made is damaged.
    """
    of_round = tasks.c.round == round_name
    with studio.read() as connection:
        found = read_round(connection, round_name)
        active = connection.scalar(
            sa.select(sa.func.count(tasks.c.holder_id.distinct())).where(
                of_round, tasks.c.lease_until >= studio.clock()
            )
        )
        digests = connection.scalars(sa.select(tasks.c.checkpoint_digest).where(of_round).distinct()).all()
    people = annotator_statistics(studio, round_name)
    masks = sum(person.masks for person in people)
    seconds = sum(person.active_seconds for person in people)
    made = read_round_checkpoint(studio.dataset.storage, round_name)
    return Standing(
        round=found,
        active=active or 0,
        people=people,
        masks=masks,
        seconds_per_mask=seconds / masks if masks else None,
        prepared_with=tuple(sorted(digest for digest in digests if digest)),
        weights=made.checkpoint if made else None,
    )


def has_led_on(studio: Studio, found: Round) -> bool:
    """Whether all that a round's accepted work leads to is made: weights, put into use or refused; an audit's figures.

    A round without accepted work leads to nothing, so that nothing is missing.

    Raises:
        ArtifactError: What it made is damaged.
    """
    if not found.tasks.get(TaskState.ACCEPTED):
        return True
    storage = studio.dataset.storage
    snapshot = read_header(storage, RoundAssetName.HUMAN_MASKS, found.name)
    if snapshot is None or snapshot.inputs.get(ACCEPTED_TASKS) != accepted_digest(studio, found.name):
        return False
    asset = RoundAssetName.MASK_QUALITY_AUDIT if found.stage is Stage.AUDIT else RoundAssetName.TRAINING_SET
    taken = read_header(storage, asset, found.name)
    if taken is None or taken.inputs.get(RoundAssetName.HUMAN_MASKS) != snapshot.content_digest:
        return False
    if found.stage is Stage.AUDIT:
        return True
    made = [each for each in list_made_checkpoints(storage) if each.header.inputs[asset] == taken.content_digest]
    promoted = {change.checkpoint.digest for change in read_promotions(storage).changes}
    return any(not each.promoted or each.checkpoint.digest in promoted for each in made)
