"""Settings refuse what makes no sense, in a sentence that names the field."""

import pytest
from segment_anything import SamAutomaticMaskGenerator

from sa_pipeline.dataset import DatasetConfig, open_dataset, save_config
from sa_pipeline.errors import SettingsError
from sa_pipeline.sam.tiny import build_tiny
from sa_pipeline.settings import PRESETS, MaskSettings, parse_settings, preset


def test_defaults_are_the_official_generators() -> None:
    official = SamAutomaticMaskGenerator(build_tiny())
    settings = MaskSettings()
    for name in MaskSettings.model_fields.keys() & vars(official).keys():
        assert getattr(settings, name) == getattr(official, name), name


def test_the_sa1b_preset_holds_the_papers_numbers() -> None:
    masks = preset("sa1b").masks
    assert (masks.points_per_side, masks.pred_iou_thresh, masks.stability_score_thresh) == (32, 0.88, 0.95)
    assert (masks.crop_n_layers, masks.box_nms_thresh, masks.crop_nms_thresh) == (2, 0.7, 0.7)
    assert (masks.min_mask_region_area, masks.max_image_cover, masks.drop_small_masks) == (100, 0.95, True)
    assert masks.proposals_per_image == 3 * (32**2 + 4 * 16**2 + 16 * 8**2)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"masks": {"pred_iou_thres": 0.9}}, r"new\.yaml: masks\.pred_iou_thres: there is no such field, got 0\.9"),
        ({"masks": {"points_per_side": 0}}, r"masks\.points_per_side: .*greater than or equal to 1, got 0"),
        ({"masks": {"pred_iou_floor": 0.95}}, r"pred_iou_floor \(0\.95\) must not be above pred_iou_thresh \(0\.88\)"),
        ({"images": {"jpeg_quality": "high"}}, r"images\.jpeg_quality: .*integer.*'high'"),
        ({"rounds": {"next": [{"name": "1"}]}}, r"rounds\.next\.0\.name: .*pattern.*'1'"),
        ({"rounds": {"next": [{"name": "a"}, {"name": "a"}]}}, r"next must name each round once, got a twice"),
        ({"masks": {"points_per_side": 4, "crop_n_layers": 3, "crop_n_points_downscale_factor": 2}}, r"at least 1"),
    ],
)
def test_a_wrong_value_is_named(values, sentence) -> None:
    with pytest.raises(SettingsError, match=sentence):
        parse_settings(values, name="new.yaml")


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="choose one of: reference, sa1b, fast"):
        preset("slow")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_a_round_trip_through_plain_values(name) -> None:
    assert parse_settings(preset(name).model_dump(mode="json"), name=name) == preset(name)


def test_settings_in_the_storage_are_read_by_machines_without_a_home(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SA_PIPELINE_STORAGE", f"file://{tmp_path}/bucket")
    save_config(open_dataset(tmp_path / "head", DatasetConfig(source="s3://photos", settings=preset("fast"))))
    assert not (tmp_path / "head").exists()
    worker = open_dataset(tmp_path / "worker")
    assert (worker.config.source, worker.settings) == ("s3://photos", preset("fast"))
    assert worker.storage.exists("settings.yaml")


def test_settings_of_the_home_hold_until_the_storage_has_its_own(tmp_path, monkeypatch) -> None:
    save_config(open_dataset(tmp_path / "home", DatasetConfig(settings=preset("fast"))))
    monkeypatch.setenv("SA_PIPELINE_STORAGE", f"file://{tmp_path}/bucket")
    known = open_dataset(tmp_path / "home")
    assert known.settings == preset("fast")
    save_config(open_dataset(known.home, known.config.model_copy(update={"settings": preset("reference")})))
    assert open_dataset(tmp_path / "home").settings == preset("reference")
