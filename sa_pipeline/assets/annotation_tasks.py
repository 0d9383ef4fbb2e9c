"""`annotation_tasks`: what people are given to do in a round."""

from dataclasses import replace
from typing import Any

import dagster as dg
from pydantic import Field

from sa_pipeline.assets.common import PASSED_OVER, fail_at_once, log_progress
from sa_pipeline.assets.deduplicated_masks import deduplicated_masks
from sa_pipeline.assets.image_embeddings import image_embeddings
from sa_pipeline.assets.prefilled_masks import PrefilledMasksConfig, prefilled_masks
from sa_pipeline.assets.rounds import ROUND_FLOW, opened_studio
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import StudioError
from sa_pipeline.progress import Progress
from sa_pipeline.resources import DatasetResource
from sa_pipeline.stages.prefilled_images import prefilled_images
from sa_pipeline.studio.auditing import fill_audit
from sa_pipeline.studio.choosing import Choice, choose_images, parse_choice
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.doubting import with_doubts
from sa_pipeline.studio.filling import FillReport, fill_queue
from sa_pipeline.studio.models import Stage
from sa_pipeline.studio.prefilling import Prefill, PrefillFrom, automatic_masks, masks_of_detector, parse_prefill
from sa_pipeline.studio.rounds import parse_stage


class AnnotationTasksConfig(dg.Config):
    """Which images a round is about, and how they are handed out."""

    # A string, since Dagster would ask for the names of an enumeration's members and not for their values.
    stage: str = Field(default=Stage.ASSISTED_MANUAL.value, description=f"of the round (paper §4): {', '.join(Stage)}")
    shards: list[str] | None = Field(default=None, description="to take images from; null: all")
    image_ids: list[int] | None = Field(default=None, description="to take of them; null: all")
    max_images: int | None = Field(
        default=None, ge=1, description="that the round has in the end; null: all, or the setting of an audit"
    )
    choose: str = Field(
        default=Choice.RANDOM.value,
        description=f"which images come first where max_images is less than all, not for audits: {', '.join(Choice)}",
    )
    seed: int = Field(default=0, ge=0, description="of the choice at random")
    annotators_per_image: int | None = Field(
        default=None, ge=1, description="of an audit: on each shared image; null: the dataset's setting"
    )
    pilot_tasks: int | None = Field(default=None, ge=0, description="of a new round; null: the dataset's setting")
    prefill: str = Field(
        default=PrefillFrom.NONE.value,
        description=f"what tasks begin with (paper §4), but for audits: {', '.join(PrefillFrom)}; the latter are the "
        "round's prefilled_masks, and the round then has their images",
    )

    def for_prefilled_masks(self) -> PrefilledMasksConfig:
        """What `prefilled_masks` is to be materialized with before, for the same images."""
        same = {name: getattr(self, name) for name in ("shards", "image_ids", "max_images", "choose", "seed")}
        return PrefilledMasksConfig(**same)


@dg.asset(
    **ROUND_FLOW,
    # A round may take images of any shard.
    deps=[
        dg.AssetDep(image_embeddings, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(deduplicated_masks, partition_mapping=dg.AllPartitionMapping()),
        prefilled_masks,
    ],
    kinds={"sqlite"},
    description="Tasks of a round, for images with an embedding that no round has; empty or with masks to begin with.",
)
@fail_at_once
def annotation_tasks(
    context: dg.AssetExecutionContext, data: DatasetResource, config: AnnotationTasksConfig
) -> dg.MaterializeResult[Any]:
    """Fills a round's queue."""
    dataset = data.open()
    with opened_studio(dataset) as studio:
        fill = _fill_audit if parse_stage(config.stage) is Stage.AUDIT else _fill
        filled = fill(studio, context.partition_key, config, log_progress(context))
    return dg.MaterializeResult(metadata=_describe(filled))


def _fill(studio: Studio, round_name: str, config: AnnotationTasksConfig, progress: Progress) -> FillReport:
    prefill, images = _prefill(studio.dataset, round_name, config)
    chosen = choose_images(
        studio,
        round_name,
        parse_choice(config.choose),
        config.max_images,
        seed=config.seed,
        shards=config.shards,
        images=images,
        progress=progress,
    )
    filled = fill_queue(
        studio,
        round_name,
        stage=parse_stage(config.stage),
        shards=config.shards,
        images=chosen.image_ids,
        max_images=config.max_images,
        annotators_per_image=config.annotators_per_image,
        pilot_tasks=config.pilot_tasks,
        prefill=with_doubts(studio.dataset, round_name, prefill) if prefill else None,
        progress=progress,
    )
    return replace(filled, passed_over={**filled.passed_over, **chosen.passed_over})


def _prefill(
    dataset: Dataset, round_name: str, config: AnnotationTasksConfig
) -> tuple[Prefill | None, set[int] | None]:
    """What the tasks begin with, and the images that they are for; None for all."""
    wanted = None if config.image_ids is None else set(config.image_ids)
    match parse_prefill(config.prefill):
        case PrefillFrom.NONE:
            return None, wanted
        case PrefillFrom.AUTOMATIC:
            return automatic_masks(dataset), wanted
        case PrefillFrom.DETECTOR:
            looked_at = set(prefilled_images(dataset, round_name))
            return masks_of_detector(dataset, round_name), looked_at if wanted is None else wanted & looked_at


def _fill_audit(studio: Studio, round_name: str, config: AnnotationTasksConfig, progress: Progress) -> FillReport:
    if config.shards is not None or config.image_ids is not None:
        raise StudioError("shards and image_ids: an audit draws its images from the whole export; leave both out.")
    return fill_audit(
        studio,
        round_name,
        max_images=config.max_images,
        annotators_of_shared=config.annotators_per_image,
        pilot_tasks=config.pilot_tasks,
        progress=progress,
    )


def _describe(filled: FillReport) -> dict[str, Any]:
    metadata: dict[str, Any] = {f"new_{name}": filled.counts[name] for name in ("images", "tasks", "masks")}
    metadata |= {f"images_{name}": filled.counts[name] for name in ("in_round", "in_other_round")}
    metadata[PASSED_OVER] = dg.MetadataValue.json(dict(filled.passed_over))
    return metadata
