"""Pictures with their masks to look at: automatic ones from the pipeline's files, people's from the database."""

import uuid
from collections import defaultdict
from itertools import groupby
from typing import Any

import pyarrow.compute as pc
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from sa_pipeline.artifacts import ArtifactHeader, AssetName, read_header, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import MissingFileError
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.decoder import model_info
from sa_pipeline.studio.models import (
    BrowsedImage,
    BrowsedImages,
    BrowsedMask,
    Kind,
    MaskSource,
    Prompts,
    Rle,
    Role,
    SearchText,
    Source,
    Tool,
)
from sa_pipeline.studio.people import Person
from sa_pipeline.studio.pictures import Picture, Pictures
from sa_pipeline.studio.refusals import RefusedError
from sa_pipeline.studio.schema import annotators, events, objects, tasks

MAX_SHARDS = 50
"""Files that are looked through for one page; a filter that lets little through gives shorter pages."""

_COUNTED = ["image_id", "kept", "predicted_iou", "stability_score", "area"]
_SHOWN = [*_COUNTED, "mask_id", "bbox", "size", "counts", "point_coords"]


class MaskFilter(BaseModel):
    """Which masks are looked at; what is None lets all through."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: MaskSource = MaskSource.AUTOMATIC
    label: SearchText | None = Field(default=None, description="a part of it, whatever its case")
    min_predicted_iou: float | None = None
    min_stability_score: float | None = None
    min_area: int | None = Field(default=None, ge=0, lt=2**53, description="px")
    max_area: int | None = Field(default=None, ge=0, lt=2**53, description="px")
    annotator: SearchText | None = Field(default=None, description="who changed it last")
    round: SearchText | None = None

    @property
    def asks_for_people(self) -> bool:
        """Whether it lets through only what people do: no automatic mask has a label, an annotator or a round."""
        return any((self.label, self.annotator, self.round))


class PageFilter(MaskFilter):
    """A page of the pictures that have such masks."""

    cursor: int = Field(default=0, ge=0, lt=2**53, description="next_cursor of the page before")
    limit: int = Field(default=24, ge=1, le=100)


def browse_images(studio: Studio, pictures: Pictures, person: Person, page: PageFilter) -> BrowsedImages:
    """The pictures that have masks which pass the filter, in the order of their numbers.

    Annotators see of people's masks their own only, so that those who see a picture independently stay independent.
    """
    if page.source is MaskSource.AUTOMATIC:
        found, cursor = _images_with_automatic(studio.dataset, pictures, page)
    else:
        found, cursor = _images_with_human(studio, pictures, person, page)
    return BrowsedImages(
        images=[
            BrowsedImage(image=pictures.info_of(picture), source_uri=picture.source_uri, masks=masks)
            for picture, masks in found
        ],
        next_cursor=cursor,
    )


def browse_masks(
    studio: Studio, pictures: Pictures, person: Person, image_id: int, wanted: MaskFilter
) -> list[BrowsedMask]:
    """The masks of a picture that pass the filter, each with where it came from.

    Raises:
        RefusedError: not_found: there is no such picture.
    """
    picture = pictures.get(image_id)
    if wanted.source is MaskSource.AUTOMATIC:
        return _automatic_masks(studio.dataset, picture, wanted)
    return _human_masks(studio, person, image_id, wanted)


def _images_with_automatic(
    dataset: Dataset, pictures: Pictures, page: PageFilter
) -> tuple[list[tuple[Picture, int]], int | None]:
    if page.asks_for_people:
        return [], None
    found: list[tuple[Picture, int]] = []
    shards = pictures.shards_from(page.cursor + 1)
    for shard in shards[:MAX_SHARDS]:
        counts = _count_automatic(dataset, shard, page)
        for picture in pictures.of_shard(shard):
            if picture.image_id > page.cursor and counts[picture.image_id]:
                found.append((picture, counts[picture.image_id]))
                if len(found) == page.limit:
                    return found, picture.image_id
    if len(shards) <= MAX_SHARDS:
        return found, None
    return found, pictures.first_id(shards[MAX_SHARDS]) - 1


def _count_automatic(dataset: Dataset, shard: str, wanted: MaskFilter) -> dict[int, int]:
    counts: dict[int, int] = defaultdict(int)
    if _header(dataset, shard) is None:
        return counts
    table = read_table(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard, columns=_COUNTED)
    ids = table.filter(_passes(wanted)).column("image_id")
    counts.update({int(pair["values"]): int(pair["counts"]) for pair in pc.value_counts(ids).to_pylist()})
    return counts


def _automatic_masks(dataset: Dataset, picture: Picture, wanted: MaskFilter) -> list[BrowsedMask]:
    header = _header(dataset, picture.shard)
    if header is None or wanted.asks_for_people:
        return []
    table = read_table(
        dataset.storage, AssetName.DEDUPLICATED_MASKS, picture.shard, columns=_SHOWN, image_id=picture.image_id
    )
    checkpoint = f"{header.checkpoint.name} {header.checkpoint.digest}" if header.checkpoint else None
    return [
        BrowsedMask(
            source=MaskSource.AUTOMATIC,
            mask_id=row["mask_id"],
            object_id=None,
            mask=Rle(size=tuple(row["size"]), counts=row["counts"]),
            bbox=tuple(row["bbox"]),
            area=row["area"],
            label=None,
            kind=None,
            predicted_iou=row["predicted_iou"],
            stability_score=row["stability_score"],
            point_coords=[tuple(row["point_coords"])],
            annotator=None,
            round=None,
            checkpoint=checkpoint,
            tools=[],
        )
        for row in table.filter(_passes(wanted)).to_pylist()
    ]


def _header(dataset: Dataset, shard: str) -> ArtifactHeader | None:
    return read_header(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard)


def _passes(wanted: MaskFilter) -> pc.Expression:
    passes = pc.field("kept")
    for column, least in (
        ("predicted_iou", wanted.min_predicted_iou),
        ("stability_score", wanted.min_stability_score),
        ("area", wanted.min_area),
    ):
        if least is not None:
            passes &= pc.field(column) >= least
    return passes if wanted.max_area is None else passes & (pc.field("area") <= wanted.max_area)


def _images_with_human(
    studio: Studio, pictures: Pictures, person: Person, page: PageFilter
) -> tuple[list[tuple[Picture, int]], int | None]:
    query = (
        _of_people(sa.select(tasks.c.image_id, sa.func.count().label("masks")), person, page)
        .where(tasks.c.image_id > page.cursor)
        .group_by(tasks.c.image_id)
        .order_by(tasks.c.image_id)
        .limit(page.limit)
    )
    with studio.read() as connection:
        rows = connection.execute(query).all()
    found = []
    for row in rows:
        try:
            found.append((pictures.get(row.image_id), row.masks))
        except RefusedError:  # the picture's file is gone
            continue
    return found, rows[-1].image_id if len(rows) == page.limit else None


def _human_masks(studio: Studio, person: Person, image_id: int, wanted: MaskFilter) -> list[BrowsedMask]:
    columns = sa.select(
        objects,
        tasks.c.width,
        tasks.c.height,
        tasks.c.round,
        tasks.c.checkpoint_digest,
        annotators.c.name.label("annotator"),
    )
    query = _of_people(columns, person, wanted).where(tasks.c.image_id == image_id)
    with studio.read() as connection:
        rows = connection.execute(query.order_by(objects.c.task_id, objects.c.prominence, objects.c.made_version)).all()
        tools = _tools(connection, {row.task_id for row in rows})
    checkpoints = {digest: _checkpoint(studio.dataset, digest) for digest in {row.checkpoint_digest for row in rows}}
    return [
        BrowsedMask(
            source=wanted.source,
            mask_id=row.source_mask_id,
            object_id=row.object_id,
            mask=Rle(size=(row.height, row.width), counts=row.counts),
            bbox=row.bbox,
            area=row.area,
            label=row.label or None,
            kind=Kind(row.kind),
            predicted_iou=row.predicted_iou,
            stability_score=None,
            point_coords=Prompts.model_validate(row.prompts).point_coords,
            annotator=row.annotator,
            round=row.round,
            checkpoint=checkpoints[row.checkpoint_digest],
            tools=tools[row.task_id, row.object_id],
        )
        for row in rows
    ]


def _of_people(select: sa.Select[Any], person: Person, wanted: MaskFilter) -> sa.Select[Any]:
    query = (
        select.select_from(objects)
        .join(tasks, tasks.c.task_id == objects.c.task_id)
        .outerjoin(annotators, annotators.c.annotator_id == objects.c.changed_by)
        .where(~objects.c.deleted, objects.c.area > 0)
    )
    if wanted.source is MaskSource.PREFILLED:
        query = query.where(objects.c.source == Source.PREFILLED.value)
    else:
        query = query.where(objects.c.changed_by.is_not(None))
    if not person.may(Role.REVIEWER):
        query = query.where(tasks.c.annotator_id == person.annotator_id)
    if wanted.label is not None:
        query = query.where(sa.func.lower(objects.c.label).contains(wanted.label.lower(), autoescape=True))
    if wanted.min_predicted_iou is not None:
        query = query.where(objects.c.predicted_iou >= wanted.min_predicted_iou)
    if wanted.min_area is not None:
        query = query.where(objects.c.area >= wanted.min_area)
    if wanted.max_area is not None:
        query = query.where(objects.c.area <= wanted.max_area)
    if wanted.annotator is not None:
        query = query.where(annotators.c.name == wanted.annotator)
    if wanted.round is not None:
        query = query.where(tasks.c.round == wanted.round)
    # People's masks have no stability score, so none passes a threshold of it.
    return query if wanted.min_stability_score is None else query.where(sa.false())


def _tools(connection: sa.Connection, task_ids: set[int]) -> dict[tuple[int, uuid.UUID], list[Tool]]:
    """The tools that shaped each object, in the order of their first use."""
    first_use = sa.func.min(events.c.version)
    rows = connection.execute(
        sa.select(events.c.task_id, events.c.object_id, events.c.tool)
        .where(events.c.task_id.in_(task_ids))
        .group_by(events.c.task_id, events.c.object_id, events.c.tool)
        .order_by(events.c.task_id, events.c.object_id, first_use)
    )
    tools: dict[tuple[int, uuid.UUID], list[Tool]] = defaultdict(list)
    for key, group in groupby(rows, key=lambda row: (row.task_id, row.object_id)):
        tools[key] = [Tool(row.tool) for row in group]
    return tools


def _checkpoint(dataset: Dataset, digest: str | None) -> str | None:
    if digest is None:
        return None
    try:
        return f"{model_info(dataset, digest).name} {digest}"
    except MissingFileError:
        return digest
