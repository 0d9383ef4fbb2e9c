"""Crops and point grids are those of the official generator, and cover the image."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from segment_anything.utils.amg import build_all_layer_point_grids, generate_crop_boxes

from sa_pipeline.masks.crops import generate_crops
from sa_pipeline.masks.point_grids import build_point_grid, points_per_side_of_layer


@given(st.integers(8, 3000), st.integers(8, 3000), st.integers(0, 3), st.floats(0, 0.9))
def test_crops_equal_the_official_ones(height, width, layers, overlap) -> None:
    crops = generate_crops((height, width), layers, overlap)
    boxes, layer_of = generate_crop_boxes((height, width), layers, overlap)
    assert [list(crop.box) for crop in crops] == boxes
    assert [crop.layer for crop in crops] == layer_of
    assert [crop.index for crop in crops] == list(range(len(crops)))


def test_the_paper_has_twenty_crops_besides_the_full_image() -> None:
    assert len(generate_crops((1500, 2250), 2, 512 / 1500)) == 21


@given(st.integers(8, 64), st.integers(0, 2), st.integers(1, 2))
def test_grids_equal_the_official_ones(points, layers, factor) -> None:
    official = build_all_layer_point_grids(points, layers, factor)
    for layer, grid in enumerate(official):
        np.testing.assert_array_equal(build_point_grid(points_per_side_of_layer(points, layer, factor)), grid)
