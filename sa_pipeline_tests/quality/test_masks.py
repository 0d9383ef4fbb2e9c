"""Duplicates that were kept and sizes that cannot be are found."""

import pytest

from sa_pipeline.dataset import Dataset, DatasetConfig, open_dataset
from sa_pipeline.quality.duplicates import no_duplicates_kept
from sa_pipeline.quality.masks import masks_plausible
from sa_pipeline.settings import MaskSettings, PipelineSettings
from sa_pipeline_tests.quality.samples import SIDE, write_kept_masks


def opened(tmp_path, masks: MaskSettings) -> Dataset:
    return open_dataset(tmp_path, DatasetConfig(settings=PipelineSettings(masks=masks)))


APART = (0, 0, 10, 10)
NEAR = (0, 0, 10, 9)  # box IoU 0.9 with APART, mask IoU 110 / 121


@pytest.mark.parametrize("masks", [MaskSettings(), MaskSettings(mask_nms_thresh=0.8)])
def test_two_kept_masks_above_the_threshold_are_found_and_named(tmp_path, masks) -> None:
    dataset = opened(tmp_path, masks)
    write_kept_masks(dataset, [APART, (20, 20, 30, 30), NEAR])
    outcome = no_duplicates_kept(dataset, "000000")
    assert (outcome.passed, outcome.severity) == (False, "error")
    assert "masks 1000000 and 1000002" in outcome.summary


@pytest.mark.parametrize("masks", [MaskSettings(box_nms_thresh=0.95), MaskSettings(mask_nms_thresh=0.95)])
def test_masks_within_the_threshold_pass(tmp_path, masks) -> None:
    dataset = opened(tmp_path, masks)
    write_kept_masks(dataset, [APART, NEAR])
    assert no_duplicates_kept(dataset, "000000").passed


def test_masks_as_large_as_the_image_or_of_a_pixel_are_a_warning(tmp_path) -> None:
    dataset = opened(tmp_path, MaskSettings())
    write_kept_masks(dataset, [(0, 0, 12, 12)])
    assert masks_plausible(dataset, "000000").passed
    for box in ((0, 0, SIDE - 1, SIDE - 1), (5, 5, 4, 4)):
        write_kept_masks(dataset, [box])
        outcome = masks_plausible(dataset, "000000")
        assert (outcome.passed, outcome.severity) == (False, "warning")
        assert "median mask's size" in outcome.summary
