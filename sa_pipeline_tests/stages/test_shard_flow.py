"""A shard from photographs to SA-1B, by the plain functions alone."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from segment_anything import SamAutomaticMaskGenerator

from sa_pipeline.artifacts import (
    AssetName,
    artifact_name,
    export_tar_name,
    iterate_row_groups,
    read_header,
    read_table,
    writing_table,
)
from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.errors import ArtifactError, SettingsError
from sa_pipeline.images.ledger import append_new_images, list_shards
from sa_pipeline.progress import SilentProgress
from sa_pipeline.provenance import Freshness, shard_assets, shard_freshness
from sa_pipeline.retuning import retune, retuned_settings
from sa_pipeline.sa1b.reader import read_tar
from sa_pipeline.sa1b.validation import validate_tar
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.schemas import DEDUPLICATED_MASKS
from sa_pipeline.settings import Arithmetic, EmbeddingSettings, MaskSettings, PipelineSettings
from sa_pipeline.stages import candidate_masks as candidate_stage
from sa_pipeline.stages.candidate_masks import make_candidate_masks
from sa_pipeline.stages.deduplicated_masks import make_deduplicated_masks
from sa_pipeline.stages.filtered_masks import make_filtered_masks
from sa_pipeline.stages.image_embeddings import make_image_embeddings
from sa_pipeline.stages.raw_images import make_raw_images
from sa_pipeline.stages.result import StageResult
from sa_pipeline.stages.sa1b_export import make_sa1b_export
from sa_pipeline.stages.shard_images import iterate_images


def make_shard(dataset: Dataset, shard: str, model: LoadedModel) -> dict[str, StageResult]:
    return {
        "raw_images": make_raw_images(dataset, shard),
        "image_embeddings": make_image_embeddings(dataset, shard, model),
        "candidate_masks": make_candidate_masks(dataset, shard, model),
        "filtered_masks": make_filtered_masks(dataset, shard),
        "deduplicated_masks": make_deduplicated_masks(dataset, shard),
        "sa1b_export": make_sa1b_export(dataset, shard),
    }


def make_all_shards(dataset: Dataset, model: LoadedModel) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    for shard in list_shards(dataset.storage):
        make_shard(dataset, shard, model)


def file_digests(dataset: Dataset) -> dict[str, str]:
    assets = shard_assets(dataset.settings)
    names = [artifact_name(asset, shard) for asset in assets for shard in list_shards(dataset.storage)]
    names += [export_tar_name(shard) for shard in list_shards(dataset.storage)]
    return {name: dataset.storage.digest(name) for name in names}


@pytest.fixture
def made(dataset: Dataset, tiny: LoadedModel) -> Dataset:
    make_all_shards(dataset, tiny)
    return dataset


def rewrite_deduplicated_masks(
    dataset: Dataset, shard: str, change: Callable[[list[pa.Table]], list[pa.Table]]
) -> None:
    groups = list(iterate_row_groups(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard))
    header = read_header(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard)
    with writing_table(dataset.storage, DEDUPLICATED_MASKS, header) as writer:
        for group in change(groups):
            writer.write(group)


def test_an_image_without_masks_is_exported_and_the_next_keeps_its_own(made) -> None:
    shard = list_shards(made.storage)[0]
    before = {record.image.image_id: record for _, record in read_tar(made.home / export_tar_name(shard))}
    emptied = min(before)
    assert sum(len(record.annotations) > 0 for record in before.values()) == len(before) > 1
    rewrite_deduplicated_masks(made, shard, lambda groups: groups[1:])
    make_sa1b_export(made, shard)
    after = {record.image.image_id: record for _, record in read_tar(made.home / export_tar_name(shard))}
    assert after.pop(emptied).annotations == ()
    assert after == {image_id: record for image_id, record in before.items() if image_id != emptied}


@pytest.mark.parametrize("misplaced", ["out of order", "of no image"])
def test_masks_that_no_image_takes_are_not_left_out_silently(made, misplaced) -> None:
    shard = list_shards(made.storage)[0]
    before = (made.home / export_tar_name(shard)).read_bytes()

    def change(groups: list[pa.Table]) -> list[pa.Table]:
        if misplaced == "out of order":
            return groups[::-1]
        stray = pa.array([999] * groups[0].num_rows, pa.int64())
        return [*groups, groups[0].set_column(groups[0].schema.get_field_index("image_id"), "image_id", stray)]

    rewrite_deduplicated_masks(made, shard, change)
    named = "image 999" if misplaced == "of no image" else "image 1,"
    with pytest.raises(ArtifactError, match=rf"{shard}.*has masks of {named}.*materialize candidate_masks"):
        make_sa1b_export(made, shard)
    assert (made.home / export_tar_name(shard)).read_bytes() == before


def test_every_file_is_exported_or_rejected_and_every_candidate_accounted_for(dataset, tiny) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    assert list_shards(dataset.storage) == ["000000", "000001"]
    exported = rejected = 0
    for shard in list_shards(dataset.storage):
        counts = {name: result.header.counts for name, result in make_shard(dataset, shard, tiny).items()}
        exported += counts["sa1b_export"]["images"]
        rejected += counts["raw_images"].get("rejected", 0)
        proposed = counts["candidate_masks"]
        assert proposed["proposals"] == 3 * 36 * proposed["images"]
        assert proposed["proposals"] == (
            proposed["candidates"] + proposed["below_predicted_iou_floor"] + proposed["below_stability_floor"]
        )
        for name in ("filtered_masks", "deduplicated_masks"):
            dropped = sum(count for key, count in counts[name].items() if key.startswith("dropped_"))
            assert counts[name].get("candidates", counts[name].get("masks")) == counts[name]["kept"] + dropped
        assert counts["sa1b_export"]["masks"] == counts["deduplicated_masks"]["kept"]
    assert (exported, rejected) == (5, 1)


def test_exports_are_valid_sa1b(made) -> None:
    masks = 0
    for shard in list_shards(made.storage):
        with made.storage.local_copy(export_tar_name(shard)) as path:
            report = validate_tar(path)
            assert report.ok, report.problems
            masks += report.annotations
    assert masks > 0


def test_running_again_reuses_everything_and_changes_no_byte(made, tiny) -> None:
    before = file_digests(made)
    for shard in list_shards(made.storage):
        assert all(result.reused for result in make_shard(made, shard, tiny).values())
    assert file_digests(made) == before


def test_the_same_images_elsewhere_give_the_same_bytes(made, tiny, tmp_path) -> None:
    twin = open_dataset(tmp_path / "twin", made.config)
    make_all_shards(twin, tiny)
    assert file_digests(twin) == file_digests(made)


def test_a_new_threshold_makes_the_verdicts_stale_but_not_the_candidates(made, tiny) -> None:
    masks = made.settings.masks.model_copy(update={"pred_iou_thresh": 0.5})
    settings = made.settings.model_copy(update={"masks": masks})
    changed = open_dataset(made.home, made.config.model_copy(update={"settings": settings}))
    assert shard_freshness(changed, "000000", tiny.ref) == {
        AssetName.RAW_IMAGES: Freshness.FRESH,
        AssetName.IMAGE_EMBEDDINGS: Freshness.FRESH,
        AssetName.CANDIDATE_MASKS: Freshness.FRESH,
        AssetName.FILTERED_MASKS: Freshness.STALE,
        AssetName.DEDUPLICATED_MASKS: Freshness.STALE,
        AssetName.SA1B_EXPORT: Freshness.STALE,
    }


def test_another_arithmetic_makes_everything_from_the_embeddings_on_stale(made, tiny) -> None:
    settings = made.settings.model_copy(update={"arithmetic": Arithmetic.BFLOAT16})
    changed = open_dataset(made.home, made.config.model_copy(update={"settings": settings}))
    states = shard_freshness(changed, "000000", tiny.ref)
    assert states.pop(AssetName.RAW_IMAGES) is Freshness.FRESH
    assert set(states.values()) == {Freshness.STALE}


def test_other_weights_make_everything_from_the_embeddings_on_stale(made, tiny) -> None:
    other = tiny.ref.model_copy(update={"digest": "0" * 64})
    states = shard_freshness(made, "000000", other)
    assert states.pop(AssetName.RAW_IMAGES) is Freshness.FRESH
    assert set(states.values()) == {Freshness.STALE}


def test_a_damaged_file_is_stale_and_made_again(made, tiny) -> None:
    name = artifact_name(AssetName.FILTERED_MASKS, "000000")
    before = made.storage.digest(name)
    made.storage.write_bytes(name, made.storage.read_bytes(name)[:100])
    assert shard_freshness(made, "000000", tiny.ref)[AssetName.FILTERED_MASKS] is Freshness.STALE
    assert not make_filtered_masks(made, "000000").reused
    assert made.storage.digest(name) == before


def test_a_run_that_is_stopped_goes_on_with_the_next_image(dataset, tiny, monkeypatch) -> None:
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    make_raw_images(dataset, "000000")
    make_image_embeddings(dataset, "000000", tiny)
    proposed = []
    propose = candidate_stage.propose_masks

    def stop_at_the_second(*args, image_id, **kwargs):
        proposed.append(image_id)
        if len(proposed) == 2:
            raise KeyboardInterrupt
        return propose(*args, image_id=image_id, **kwargs)

    monkeypatch.setattr(candidate_stage, "propose_masks", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        make_candidate_masks(dataset, "000000", tiny)
    assert not dataset.storage.exists(artifact_name(AssetName.CANDIDATE_MASKS, "000000"))
    make_candidate_masks(dataset, "000000", tiny)
    first, second, *rest = proposed
    assert rest[0] == second
    assert first not in rest


def test_steps_beside_each_other_change_no_byte(made, tiny, tmp_path) -> None:
    settings = made.settings.model_copy(update={"images_ahead": 0})
    one_by_one = open_dataset(tmp_path / "one by one", made.config.model_copy(update={"settings": settings}))
    make_all_shards(one_by_one, tiny)
    assert file_digests(one_by_one) == file_digests(made)


def test_several_images_at_once_are_told_in_the_provenance(made, tiny) -> None:
    several = made.settings.embeddings.model_copy(update={"images_per_batch": 3})
    settings = made.settings.model_copy(update={"embeddings": several})
    batched = open_dataset(made.home, made.config.model_copy(update={"settings": settings}))
    assert shard_freshness(batched, "000000", tiny.ref)[AssetName.IMAGE_EMBEDDINGS] is Freshness.STALE
    before = candidate_ids(made)
    assert make_image_embeddings(batched, "000000", tiny).header.settings["images_per_batch"] == 3
    make_candidate_masks(batched, "000000", tiny)
    assert len(candidate_ids(batched) ^ before) <= 0.02 * len(before)  # but for rounding


def candidate_ids(dataset: Dataset) -> set[int]:
    return set(read_table(dataset.storage, AssetName.CANDIDATE_MASKS, "000000")["mask_id"].to_pylist())


def test_retuning_changes_the_exports_without_the_model(made) -> None:
    settings = retuned_settings(made.settings, pred_iou_thresh=0.1, stability_score_thresh=None)
    looser = open_dataset(made.home, made.config.model_copy(update={"settings": settings}))
    before = sum(len(record.annotations) for record in exported_records(made))
    totals = retune(looser, SilentProgress())
    assert totals["exported"] == sum(len(record.annotations) for record in exported_records(looser)) > before


def test_retuning_below_the_floor_is_refused(made) -> None:
    with pytest.raises(SettingsError, match=r"pred_iou_thresh: 0\.05 is below 0\.1, from which candidates were stored"):
        retuned_settings(made.settings, pred_iou_thresh=0.05, stability_score_thresh=None)


def test_suppressed_masks_name_a_suppressor_that_was_kept_at_the_time(made) -> None:
    masks = read_table(made.storage, AssetName.DEDUPLICATED_MASKS, "000000").to_pylist()
    ids = {mask["mask_id"] for mask in masks}
    suppressed = [mask for mask in masks if mask["dropped_by"] and mask["dropped_by"].endswith("duplicate")]
    assert suppressed
    assert all(mask["suppressed_by"] in ids for mask in suppressed)


def test_under_the_reference_preset_a_shards_masks_are_the_official_generators(photo_folder, tmp_path, tiny) -> None:
    masks = MaskSettings(points_per_side=6, pred_iou_thresh=0.2, stability_score_thresh=0.5, crop_n_layers=1)
    settings = PipelineSettings(
        embeddings=EmbeddingSettings(dtype="float32"), masks=masks, arithmetic=Arithmetic.REFERENCE
    )
    dataset = open_dataset(tmp_path / "exact", DatasetConfig(source=str(photo_folder), settings=settings))
    append_new_images(dataset.storage, dataset.config.source, dataset.settings.images)
    make_shard(dataset, "000000", tiny)
    arguments = {"points_per_side": 6, "pred_iou_thresh": 0.2, "stability_score_thresh": 0.5, "crop_n_layers": 1}
    generator = SamAutomaticMaskGenerator(tiny.sam, output_mode="coco_rle", **arguments)
    pixels = {image.image_id: image.pixels for image in iterate_images(dataset, "000000")}
    for record in exported_records(dataset):
        official = generator.generate(pixels[record.image.image_id])
        assert len(record.annotations) == len(official)
        for ours, theirs in zip(record.annotations, official, strict=True):
            assert ours.segmentation.counts == theirs["segmentation"]["counts"]
            np.testing.assert_array_equal(ours.bbox, theirs["bbox"])
            assert ours.predicted_iou == theirs["predicted_iou"]
            assert ours.stability_score == theirs["stability_score"]


def exported_records(dataset: Dataset):
    for shard in list_shards(dataset.storage):
        with dataset.storage.local_copy(export_tar_name(shard)) as path:
            for _, record in read_tar(path):
                yield record
