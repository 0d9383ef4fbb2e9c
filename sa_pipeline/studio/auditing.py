"""Filling an audit round: images of the export, drawn by chance, whose automatic masks people perfect (paper §5)."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from sa_pipeline.artifacts import AssetName, read_header, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import StudioError
from sa_pipeline.images.ledger import list_shards
from sa_pipeline.progress import Progress
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.doubting import with_doubts
from sa_pipeline.studio.filling import FillReport, fill_queue
from sa_pipeline.studio.models import Stage
from sa_pipeline.studio.prefilling import automatic_masks
from sa_pipeline.studio.schema import tasks


@dataclass(frozen=True)
class ExportedImage:
    """An image with exported masks, and the number that is drawn for it: hexadecimal, the lowest come first."""

    image_id: int
    shard: str
    chance: str


def fill_audit(
    studio: Studio,
    round_name: str,
    *,
    max_images: int | None = None,
    annotators_of_shared: int | None = None,
    pilot_tasks: int | None = None,
    progress: Progress | None = None,
) -> FillReport:
    """Makes the tasks of an audit round: each begins with the exported masks of its image.

    The images are drawn by chance from all that are exported and have a mask, also from those that other rounds have,
    so that they stand for the export. The dataset and `settings.audit` decide which: another audit with the same seed
    draws the same ones. Called again, it adds what is missing, or more images where more are asked for. Where there is
    a verifier, images with many doubtful masks come first, and on them the doubtful masks.

    Args:
        studio: Where the tasks go.
        round_name: Of the round; it is opened if need be.
        max_images: That the round has in the end; None: the setting.
        annotators_of_shared: People who work on each of the shared images; None: the setting.
        pilot_tasks: The first tasks of a new round, done by the team itself; None: the studio's setting.
        progress: Shows the shards.

    Raises:
        StudioError: Nothing is exported yet, the round's name cannot be one, or it is closed or of another stage.
    """
    dataset, settings = studio.dataset, studio.dataset.settings.audit
    known = _images_of(studio, round_name)
    exported = exported_images(dataset)
    if not exported:
        raise StudioError(
            "No mask is exported yet that could be audited; run `sa-pipeline run` or materialize sa1b_export first."
        )
    drawn = sorted(exported, key=lambda image: (image.image_id not in known, image.chance))
    drawn = drawn[: max(max_images or settings.images, len(known))]
    shared = drawn[: math.ceil(settings.shared_images * len(drawn))]

    def fill(images: Sequence[ExportedImage], people: int) -> FillReport:
        return fill_queue(
            studio,
            round_name,
            stage=Stage.AUDIT,
            shards=sorted({image.shard for image in images}),
            images={image.image_id for image in images},
            annotators_per_image=people,
            pilot_tasks=pilot_tasks,
            prefill=with_doubts(dataset, round_name, automatic_masks(dataset), doubtful_first=True),
            progress=progress,
        )

    one = fill(drawn, 1)
    several = fill(shared, annotators_of_shared or settings.annotators_of_shared)
    more = {name: one.counts[name] + several.counts[name] for name in ("tasks", "masks")}
    return FillReport({**one.counts, **more}, one.passed_over)


def exported_images(dataset: Dataset) -> list[ExportedImage]:
    """The images with at least one mask, of the shards whose tar holds the masks that `deduplicated_masks` has now.

    Raises:
        ArtifactError: A file of such a shard is damaged.
    """
    found = []
    for shard in list_shards(dataset.storage):
        export = read_header(dataset.storage, AssetName.SA1B_EXPORT, shard)
        masks = read_header(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard)
        if export is None or masks is None or export.inputs[masks.asset] != masks.content_digest:
            continue
        rows = read_table(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard, columns=["image_id", "kept"])
        with_mask = set(rows.filter(rows["kept"])["image_id"].to_pylist())
        for row in read_table(dataset.storage, AssetName.RAW_IMAGES, shard, columns=["image_id", "sha256"]).to_pylist():
            if row["image_id"] in with_mask:
                chance = hashlib.sha256(f"{dataset.settings.audit.seed} {row['sha256']}".encode()).hexdigest()
                found.append(ExportedImage(row["image_id"], shard, chance))
    return found


def _images_of(studio: Studio, round_name: str) -> set[int]:
    with studio.read() as connection:
        return set(connection.scalars(sa.select(tasks.c.image_id).where(tasks.c.round == round_name)))
