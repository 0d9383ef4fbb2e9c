"""What `tiny`'s encoder is told about regions."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import skimage.data

from sa_pipeline.sam.region_features import (
    CHANNELS,
    CHOICES,
    CORNERS,
    DESCRIPTION,
    DESCRIPTIONS,
    LEVELS,
    PIXELS,
    QUERIES,
    QUERY_LENGTH,
    SLOT_CODES,
    SLOTS,
    region_features,
)

LEFT, TOP, RIGHT, BOTTOM = BOX = (120, 60, 240, 160)
MIDDLE, OUTSIDE = (7, 11), (12, 4)
"""Cells in and beside the patch of `patched`, row and column."""


@pytest.fixture(scope="module")
def patched() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Features of a blue patch of 12 % on red, and the patch in 4x4 px."""
    image = np.full((256, 384, 3), (200, 60, 40), np.uint8)
    image[TOP:BOTTOM, LEFT:RIGHT] = (30, 80, 200)
    return region_features(image, side=384), (image[2::4, 2::4] == (30, 80, 200)).all(axis=2)


def region_of(features: npt.NDArray[np.float32], cell: tuple[int, int], level: int) -> npt.NDArray[np.bool_]:
    """The region that a cell proposes, (4 h, 4 w), as the decoder finds it."""
    height, width = features.shape[1:]
    query = features[QUERIES].reshape(LEVELS, QUERY_LENGTH, height, width)[level, :, *cell]
    codes = features[SLOT_CODES].reshape(SLOTS, QUERY_LENGTH - 1, height, width)
    found = np.einsum("schw,c->shw", codes, query[:-1]) + query[-1] > 0
    chosen = np.take_along_axis(found, np.rint(features[CHOICES]).astype(int) + 1, axis=0)
    assert chosen.shape[0] == PIXELS
    return chosen.reshape(4, 4, height, width).transpose(2, 0, 3, 1).reshape(4 * height, 4 * width)


def overlap(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def box_of(features: npt.NDArray[np.float32], cell: tuple[int, int], level: int) -> npt.NDArray[np.float32]:
    return features[CORNERS].reshape(LEVELS, 4, *features.shape[1:])[level, :, *cell]


def test_a_cell_in_a_patch_proposes_the_patch_and_one_beside_it_all_the_rest(patched):
    features, patch = patched
    assert features.shape == (CHANNELS, 16, 24)
    assert max(overlap(region_of(features, MIDDLE, level), patch) for level in range(LEVELS)) > 0.98
    assert max(overlap(region_of(features, OUTSIDE, level), ~patch) for level in range(LEVELS)) > 0.98


def test_no_cell_in_a_patch_proposes_anything_that_reaches_out_of_it(patched):
    features, patch = patched
    middles = patch[2::4, 2::4] & patch[3::4, 3::4]
    for cell in zip(*np.nonzero(middles), strict=True):
        for level in range(LEVELS):
            region = region_of(features, cell, level)
            assert (region & ~patch).sum() < 0.02 * patch.sum()


def test_a_regions_corners_are_its_boxs_as_parts_of_the_side(patched):
    features, patch = patched
    levels = [level for level in range(LEVELS) if overlap(region_of(features, MIDDLE, level), patch) > 0.95]
    assert levels
    for level in levels:
        np.testing.assert_allclose(box_of(features, MIDDLE, level) * 384, BOX, atol=2)


def test_a_clearer_region_is_said_to_last_longer_than_a_part_of_it(patched):
    features, patch = patched
    described = features[DESCRIPTIONS].reshape(LEVELS, DESCRIPTION, *features.shape[1:])[:, :, *MIDDLE]
    overlaps = [overlap(region_of(features, MIDDLE, level), patch) for level in range(LEVELS)]
    assert np.argmax(described[:, 1]) == np.argmax(overlaps)


@pytest.mark.parametrize("photograph", ["chelsea", "coffee", "astronaut"])
def test_the_regions_of_a_photographs_cell_are_ordered_by_area_and_lie_in_their_boxes(photograph: str):
    image = getattr(skimage.data, photograph)()
    side = max(image.shape[:2])
    features = region_features(image, side)
    within = total = 0
    for row in range(1, features.shape[1], 3):
        for column in range(1, features.shape[2], 3):
            regions = [region_of(features, (row, column), level) for level in range(LEVELS)]
            areas = [region.sum() for region in regions]
            assert areas == sorted(areas)
            for level, region in enumerate(regions):
                left, top, right, bottom = box_of(features, (row, column), level) * side / 4
                inside = np.zeros_like(region)
                inside[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = True
                within += (region & inside).sum()
                total += region.sum()
    assert within > 0.9 * total


def test_a_disc_in_a_photograph_is_proposed_by_the_cells_in_its_middle():
    image = skimage.data.coffee()
    cv2.circle(image, (450, 90), 70, (40, 200, 90), -1)
    disc = cv2.circle(np.zeros(image.shape[:2], np.uint8), (450, 90), 70, 1, -1)[2::4, 2::4] > 0
    features = region_features(image, max(image.shape[:2]))
    for cell in ((5, 28), (5, 27), (4, 28)):
        regions = [region_of(features, cell, level)[: disc.shape[0], : disc.shape[1]] for level in range(LEVELS)]
        assert max(overlap(region, disc) for region in regions) > 0.9


def test_the_same_image_has_the_same_features():
    image = skimage.data.chelsea()
    np.testing.assert_array_equal(region_features(image, 512), region_features(image, 512))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (512, 3), (30, 50), (17, 16)])
def test_odd_shapes_have_features(shape: tuple[int, int]):
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    features = region_features(image, 512)
    assert features.shape == (CHANNELS, -(-shape[0] // 16), -(-shape[1] // 16))
    assert np.isfinite(features).all()
    assert np.abs(features[CHOICES]).max() <= 1.0
    assert features[CORNERS].min() >= 0.0
    assert features[CORNERS].max() <= max(shape) / 512


@pytest.mark.parametrize("shape", [(64, 96), (1, 40)])
def test_an_image_of_one_colour_has_features(shape: tuple[int, int]):
    assert np.isfinite(region_features(np.full((*shape, 3), 90, np.uint8), 512)).all()
