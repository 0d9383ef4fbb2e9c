"""What a file is made from: the header that it must have to be fresh, and which files are missing or stale."""

import enum
import functools
from collections.abc import Callable, Mapping

from sa_pipeline.artifacts import (
    SCHEMA_VERSIONS,
    ArtifactHeader,
    AssetName,
    CheckpointRef,
    input_digest,
    read_header,
)
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.images.ledger import ledger_name, read_ledger_shard
from sa_pipeline.privacy.extra_boxes import digest_of_boxes, read_extra_boxes
from sa_pipeline.privacy.loading import load_detectors
from sa_pipeline.settings import PipelineSettings

INPUTS: Mapping[AssetName, tuple[AssetName, ...]] = {
    AssetName.RAW_IMAGES: (),
    AssetName.DEIDENTIFIED_IMAGES: (AssetName.RAW_IMAGES,),
    AssetName.IMAGE_EMBEDDINGS: (AssetName.RAW_IMAGES, AssetName.DEIDENTIFIED_IMAGES),
    AssetName.CANDIDATE_MASKS: (AssetName.RAW_IMAGES, AssetName.DEIDENTIFIED_IMAGES, AssetName.IMAGE_EMBEDDINGS),
    AssetName.FILTERED_MASKS: (AssetName.CANDIDATE_MASKS,),
    AssetName.DEDUPLICATED_MASKS: (AssetName.CANDIDATE_MASKS, AssetName.FILTERED_MASKS),
    AssetName.SA1B_EXPORT: (AssetName.RAW_IMAGES, AssetName.DEIDENTIFIED_IMAGES, AssetName.DEDUPLICATED_MASKS),
}
"""Which assets each one reads; `raw_images` reads the ledger and the source. Those of `shard_assets` are files."""

MODEL_ASSETS = (AssetName.IMAGE_EMBEDDINGS, AssetName.CANDIDATE_MASKS)
"""Assets that run the model; those after them inherit the checkpoint of the candidates."""


class Freshness(enum.StrEnum):
    """State of an asset's file."""

    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"


def shard_assets(settings: PipelineSettings) -> tuple[AssetName, ...]:
    """The assets of a shard that are files: all of them, or all but `deidentified_images` where it is switched off."""
    left_out = set() if settings.deidentification.enabled else {AssetName.DEIDENTIFIED_IMAGES}
    return tuple(asset for asset in AssetName if asset not in left_out)


def input_assets(asset: AssetName, settings: PipelineSettings) -> tuple[AssetName, ...]:
    """The assets whose files an asset reads."""
    made = shard_assets(settings)
    return tuple(name for name in INPUTS[asset] if name in made)


def relevant_settings(asset: AssetName, settings: PipelineSettings) -> dict[str, object]:
    """The settings that change an asset's content; only these make its file stale."""
    masks = settings.masks
    match asset:
        case AssetName.RAW_IMAGES:
            return settings.images.model_dump(mode="json", exclude={"images_per_shard"})
        case AssetName.DEIDENTIFIED_IMAGES:
            detectors = load_detectors(settings.deidentification)
            left_out = {"enabled", "faces", "license_plates", "extra_boxes"}
            return {
                "detectors": [{"name": detector.name, "digest": detector.digest} for detector in detectors],
                "jpeg_quality": settings.images.jpeg_quality,
                **settings.deidentification.model_dump(mode="json", exclude=left_out),
            }
        case AssetName.IMAGE_EMBEDDINGS:
            return settings.embeddings.model_dump(mode="json", exclude={"images_per_batch"}) | _summing_order(settings)
        case AssetName.CANDIDATE_MASKS:
            names = {
                "points_per_side",
                "points_per_batch",
                "stability_score_offset",
                "crop_n_layers",
                "crop_overlap_ratio",
                "crop_n_points_downscale_factor",
            }
            return masks.model_dump(mode="json", include=names) | {
                "pred_iou_floor": masks.candidate_pred_iou_floor,
                "stability_score_floor": masks.candidate_stability_score_floor,
                **_summing_order(settings),
            }
        case AssetName.FILTERED_MASKS:
            names = {"pred_iou_thresh", "stability_score_thresh", "max_image_cover", "min_area"}
            return masks.model_dump(mode="json", include=names)
        case AssetName.DEDUPLICATED_MASKS:
            names = {
                "box_nms_thresh",
                "crop_nms_thresh",
                "min_mask_region_area",
                "drop_small_masks",
                "mask_nms_thresh",
                "mask_containment_thresh",
            }
            return masks.model_dump(mode="json", include=names)
        case AssetName.SA1B_EXPORT:
            return {}


def _summing_order(settings: PipelineSettings) -> dict[str, object]:
    """What the last bits of the model's outcome depend on. One image at a time is not named: it needs no setting."""
    several = settings.embeddings.images_per_batch
    return {"arithmetic": settings.arithmetic.value} | ({"images_per_batch": several} if several > 1 else {})


def settings_of_file(dataset: Dataset, asset: AssetName, shard: str) -> dict[str, object]:
    """The settings that the header of an asset's file must have, with what people found in the shard's images.

    Raises:
        SettingsError: A detector, or the file of what people found, is not there.
    """
    settings = relevant_settings(asset, dataset.settings)
    if asset is AssetName.DEIDENTIFIED_IMAGES:
        boxes = read_extra_boxes(dataset.settings.deidentification.extra_boxes)
        image_ids = [entry.image_id for entry in read_ledger_shard(dataset.storage, shard)]
        settings["extra_boxes"] = digest_of_boxes(boxes, image_ids)
    return settings


def expected_header(
    dataset: Dataset, asset: AssetName, shard: str, checkpoint: CheckpointRef | None = None
) -> ArtifactHeader:
    """The header that an asset's file must have to be fresh, but for counts and content digest.

    Args:
        dataset: The dataset.
        asset: The asset.
        shard: The partition.
        checkpoint: The weights in use; needed for the assets that run the model.

    Raises:
        ArtifactError: An input does not exist yet or is damaged.
    """
    return _expected_header(dataset, asset, shard, checkpoint, _reader(dataset, shard))


def shard_freshness(dataset: Dataset, shard: str, checkpoint: CheckpointRef) -> dict[AssetName, Freshness]:
    """State of a shard's files; a file whose input is missing or stale is itself stale.

    Each header is read once.
    """
    read = _reader(dataset, shard)
    states: dict[AssetName, Freshness] = {}
    for asset in shard_assets(dataset.settings):
        states[asset] = _freshness(dataset, asset, shard, checkpoint, states, read)
    return states


def embeddings_fresh(dataset: Dataset, shard: str, checkpoint: CheckpointRef) -> bool:
    """Whether what annotating a shard needs is there: its images, and their embeddings by these weights."""
    states = shard_freshness(dataset, shard, checkpoint)
    needed = (*input_assets(AssetName.IMAGE_EMBEDDINGS, dataset.settings), AssetName.IMAGE_EMBEDDINGS)
    return all(states[asset] is Freshness.FRESH for asset in needed)


_Reader = Callable[[AssetName], ArtifactHeader | None]


def _reader(dataset: Dataset, shard: str) -> _Reader:
    """Reads the headers of a shard's files, each once."""

    @functools.cache
    def read(asset: AssetName) -> ArtifactHeader | None:
        return read_header(dataset.storage, asset, shard)

    return read


def _expected_header(
    dataset: Dataset, asset: AssetName, shard: str, checkpoint: CheckpointRef | None, read: _Reader
) -> ArtifactHeader:
    used = None
    if asset is AssetName.RAW_IMAGES:
        inputs = {"ledger": dataset.storage.digest(ledger_name(shard))}
    else:
        inputs = {}
        for name in input_assets(asset, dataset.settings):
            header = read(name)
            # Without a header, it says what is missing.
            inputs[name.value] = header.content_digest if header else input_digest(dataset.storage, name, shard)
        if asset in MODEL_ASSETS:
            used = checkpoint
        elif asset is not AssetName.DEIDENTIFIED_IMAGES:
            candidates = read(AssetName.CANDIDATE_MASKS)
            used = candidates.checkpoint if candidates else None
        if used is None and asset is not AssetName.DEIDENTIFIED_IMAGES:
            raise ArtifactError(f"{asset} of shard {shard} needs a checkpoint; say which one made it.")
    return ArtifactHeader(
        asset=asset,
        partition=shard,
        schema_version=SCHEMA_VERSIONS[asset],
        settings=settings_of_file(dataset, asset, shard),
        inputs=inputs,
        checkpoint=used,
    )


def _freshness(
    dataset: Dataset,
    asset: AssetName,
    shard: str,
    checkpoint: CheckpointRef,
    states: Mapping[AssetName, Freshness],
    read: _Reader,
) -> Freshness:
    try:
        header = read(asset)
    except ArtifactError:
        return Freshness.STALE
    if header is None:
        return Freshness.MISSING
    if any(states[name] is not Freshness.FRESH for name in input_assets(asset, dataset.settings)):
        return Freshness.STALE
    expected = _expected_header(dataset, asset, shard, checkpoint, read)
    return Freshness.FRESH if header.provenance == expected.provenance else Freshness.STALE
