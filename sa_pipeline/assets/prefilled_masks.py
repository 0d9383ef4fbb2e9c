"""`prefilled_masks`: confident masks that the annotators of a coming round begin with."""

from typing import Any

import dagster as dg
from pydantic import Field

from sa_pipeline.artifacts import RoundAssetName, read_header
from sa_pipeline.assets.common import MODEL_POOL, PASSED_OVER, fail_at_once, log_progress, report
from sa_pipeline.assets.current_detector import current_detector
from sa_pipeline.assets.image_embeddings import image_embeddings
from sa_pipeline.assets.rounds import ROUND_FLOW, opened_studio
from sa_pipeline.detection.record import DetectorRecord, list_detectors, newest_detector, read_detector_record
from sa_pipeline.errors import ArtifactError
from sa_pipeline.report.human_masks import round_overlays
from sa_pipeline.report.png import markdown_image
from sa_pipeline.resources import DatasetResource
from sa_pipeline.studio.choosing import Choice, choose_images, parse_choice
from sa_pipeline.studio.database import Studio
from sa_pipeline.studio.prefill_choice import images_to_prefill
from sa_pipeline.studio.rounds import find_round


class PrefilledMasksConfig(dg.Config):
    """Which images masks are found on, and by which detector."""

    shards: list[str] | None = Field(default=None, description="to take images from; null: all")
    image_ids: list[int] | None = Field(default=None, description="to take of them; null: all that no other round has")
    max_images: int | None = Field(default=None, ge=1, description="that the round has in the end; null: all")
    choose: str = Field(
        default=Choice.RANDOM.value,
        description=f"which images come first where max_images is less than all: {', '.join(Choice)}",
    )
    seed: int = Field(default=0, ge=0, description="of the choice at random")
    detector: str | None = Field(default=None, description="round of the object detector; null: the newest")


@dg.asset(
    **ROUND_FLOW,
    # A round may take images of any shard.
    deps=[dg.AssetDep(image_embeddings, partition_mapping=dg.AllPartitionMapping()), current_detector],
    pool=MODEL_POOL,
    kinds={"pytorch"},
    description="SAM's masks for the detector's boxes: the confident and stable ones, without duplicates (paper §4).",
)
@fail_at_once
def prefilled_masks(
    context: dg.AssetExecutionContext, data: DatasetResource, config: PrefilledMasksConfig
) -> dg.MaterializeResult[Any]:
    """Finds the masks that a round begins with."""
    from sa_pipeline.stages.prefilled_masks import make_prefilled_masks

    dataset, round_name, model = data.open(), context.partition_key, data.model()
    with opened_studio(dataset) as studio:
        record = _detector(studio, round_name, config.detector)
        ranked = choose_images(
            studio,
            round_name,
            parse_choice(config.choose),
            config.max_images,
            seed=config.seed,
            shards=config.shards,
            images=None if config.image_ids is None else set(config.image_ids),
            progress=log_progress(context),
        )
        chosen = images_to_prefill(studio, round_name, model.ref, shards=config.shards, images=ranked.image_ids)
    result = make_prefilled_masks(dataset, round_name, chosen.images, record, model, log_progress(context))
    overlays = markdown_image(round_overlays(dataset, round_name, asset=RoundAssetName.PREFILLED_MASKS))
    images = max(1, result.header.counts["images"])
    made = report(
        dataset,
        result,
        "images",
        {"overlays": overlays},
        values={"masks_per_image": round(result.header.counts["masks"] / images, 2)},
    )
    passed_over = {**ranked.passed_over, **chosen.passed_over}
    told = {"detector": f"{record.header.partition} {record.digest[:16]}"}
    return made._replace(metadata={**(made.metadata or {}), **told, PASSED_OVER: dg.MetadataValue.json(passed_over)})


def _detector(studio: Studio, round_name: str, asked_for: str | None) -> DetectorRecord:
    """The detector that was asked for, else the one whose masks the round's tasks began with, else the newest.

    Raises:
        ArtifactError: There is none.
    """
    storage = studio.dataset.storage
    if asked_for is not None:
        record = read_detector_record(storage, asked_for)
    else:
        record = _detector_of_tasks(studio, round_name) or newest_detector(storage)
    if record is None:
        which = "" if asked_for is None else f" of round {asked_for}"
        raise ArtifactError(f"There is no object detector{which} yet; materialize object_detector first.")
    return record


def _detector_of_tasks(studio: Studio, round_name: str) -> DetectorRecord | None:
    """So that masks that people are at work on are still the ones that they are told to be."""
    storage = studio.dataset.storage
    header = read_header(storage, RoundAssetName.PREFILLED_MASKS, round_name)
    with studio.read() as connection:
        begun = find_round(connection, round_name)
    if header is None or begun is None or not begun.images:
        return None
    digest = header.inputs[RoundAssetName.OBJECT_DETECTOR.value]
    return next((record for record in list_detectors(storage) if record.digest == digest), None)
