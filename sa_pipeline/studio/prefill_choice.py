"""Which images are given pre-filled masks: those that a coming round may have."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from sa_pipeline.artifacts import CheckpointRef
from sa_pipeline.errors import ArtifactError, MissingFileError
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.embedded_images import embedded_shard
from sa_pipeline.studio.rounds import holds_image
from sa_pipeline.studio.schema import tasks


@dataclass(frozen=True)
class PrefillChoice:
    """The ids of chosen images by shard, and shards that were passed over, each with the reason."""

    images: Mapping[str, Sequence[int]]
    passed_over: Mapping[str, str]


def images_to_prefill(
    studio: Studio,
    round_name: str,
    checkpoint: CheckpointRef,
    *,
    shards: Sequence[str] | None = None,
    images: Collection[int] | None = None,
) -> PrefillChoice:
    """Lists images with an embedding that no other round has, as `fill_queue` takes them.

    Called again for the same round it lists the same images, also after their tasks were made.

    Args:
        studio: Says which images rounds have.
        round_name: The coming round.
        checkpoint: The weights that must have made the embeddings.
        shards: To take images from; None: all of the ledger.
        images: To take of them, by image id; None: all.
    """
    owners: dict[int, set[str]] = defaultdict(set)
    with studio.read() as connection:
        for image_id, name in connection.execute(
            sa.select(tasks.c.image_id, tasks.c.round).where(holds_image()).distinct()
        ):
            owners[image_id].add(name)
    by_shard: dict[str, list[int]] = {}
    passed_over: dict[str, str] = {}
    for shard in list_shards(studio.dataset.storage) if shards is None else shards:
        try:
            embedded = embedded_shard(studio.dataset, shard)
        except (ArtifactError, MissingFileError) as error:
            passed_over[shard] = str(error)
            continue
        if embedded.checkpoint.digest != checkpoint.digest:
            passed_over[shard] = (
                f"Its embeddings were made by {embedded.checkpoint.name} (sha256 {embedded.checkpoint.digest[:16]}), "
                f"not by the weights in use; materialize image_embeddings for {shard} again."
            )
            continue
        wanted = [image.image_id for image in embedded.images if images is None or image.image_id in images]
        free = [image_id for image_id in wanted if not owners[image_id] or round_name in owners[image_id]]
        if free:
            by_shard[shard] = free
    return PrefillChoice(by_shard, passed_over)
