"""Which images a round is about, where it is not to have all of them."""

import enum
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError, StudioError
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.embedded_images import shard_images
from sa_pipeline.studio.image_scores import prominences, uncertainties
from sa_pipeline.studio.rounds import holds_image
from sa_pipeline.studio.schema import tasks


class Choice(enum.StrEnum):
    """Which images come first."""

    RANDOM = "random"
    """Drawn by chance."""
    PROMINENCE = "prominence"
    """Those with large objects that the model is sure of."""
    UNCERTAINTY = "uncertainty"
    """Those that the model is unsure of, and where its three outputs disagree."""


@dataclass(frozen=True)
class ChosenImages:
    """Images of a round.

    Attributes:
        image_ids: Those chosen; None: all that no round has.
        passed_over: Shards whose images could not be compared, each with the reason.
    """

    image_ids: frozenset[int] | None
    passed_over: Mapping[str, str]


_SCORES: Mapping[Choice, tuple[Callable[[Dataset, str], dict[int, float]], float]] = {
    Choice.PROMINENCE: (prominences, 0.0),
    Choice.UNCERTAINTY: (uncertainties, 1.0),
}
"""The score of each choice, and that of an image without masks; high scores come first."""


def parse_choice(name: str) -> Choice:
    """The choice of that name.

    Raises:
        StudioError: There is none.
    """
    try:
        return Choice(name)
    except ValueError:
        raise StudioError(f"choose: expected {', '.join(Choice)}, got {name!r}.") from None


def choose_images(
    studio: Studio,
    round_name: str,
    choice: Choice,
    max_images: int | None,
    *,
    seed: int = 0,
    shards: Sequence[str] | None = None,
    images: Collection[int] | None = None,
    progress: Progress | None = None,
) -> ChosenImages:
    """Chooses images that no other round has; those that the round has already are among them.

    Called again, also after their tasks were made, it chooses the same ones, unless new images were added.

    Args:
        studio: Says which images rounds have.
        round_name: Of the round.
        choice: Which images come first; equals are in the order of chance.
        max_images: That the round has in the end; None: all, so that there is nothing to choose.
        seed: Of the chance.
        shards: To take images from; None: all of the ledger.
        images: To take of them, by image id; None: all.
        progress: Shows the shards.
    """
    if max_images is None:
        return ChosenImages(None if images is None else frozenset(images), {})
    own, others = _taken(studio, round_name)
    wanted = list_shards(studio.dataset.storage) if shards is None else shards
    shown = (progress or SilentProgress()).track(wanted, description=f"images of {round_name}", total=len(wanted))
    ranked: list[tuple[float, bytes, int]] = []
    passed_over: dict[str, str] = {}
    for shard in shown:
        try:
            found = [image.image_id for image in shard_images(studio.dataset, shard)]
            free = [each for each in found if each not in own | others and (images is None or each in images)]
            scores = _scores(studio.dataset, shard, choice, free)
        except ArtifactError as error:
            passed_over[shard] = (
                f"Its images cannot be compared by {choice}: {error} Run shard_masks for it, or choose at random."
            )
            continue
        ranked += [(-scores[each], _chance(seed, each), each) for each in free]
    left = max(0, max_images - len(own))
    chosen = (image_id for _, _, image_id in sorted(ranked)[:left])
    return ChosenImages(frozenset((*own, *chosen)), passed_over)


def _scores(dataset: Dataset, shard: str, choice: Choice, free: Sequence[int]) -> Mapping[int, float]:
    if choice is Choice.RANDOM or not free:
        return dict.fromkeys(free, 0.0)
    score, without_masks = _SCORES[choice]
    found = score(dataset, shard)
    return {image_id: found.get(image_id, without_masks) for image_id in free}


def _chance(seed: int, image_id: int) -> bytes:
    return hashlib.sha256(f"{seed} {image_id}".encode()).digest()


def _taken(studio: Studio, round_name: str) -> tuple[frozenset[int], frozenset[int]]:
    """Images of the round itself, and of others."""
    with studio.read() as connection:
        pairs = connection.execute(sa.select(tasks.c.image_id, tasks.c.round).where(holds_image()).distinct()).all()
    own = frozenset(image_id for image_id, name in pairs if name == round_name)
    return own, frozenset(image_id for image_id, name in pairs if name != round_name) - own
