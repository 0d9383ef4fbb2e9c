"""Tiles and scales of a large photograph."""

import numpy as np
import pytest

from sa_pipeline.privacy.views import find_in_views, plan_views


def find_bright(pixels: np.ndarray) -> np.ndarray:
    """A detector of the one bright rectangle of a view."""
    rows, columns = np.nonzero(pixels[..., 0] > 127)
    if not len(rows):
        return np.zeros((0, 5), np.float32)
    x, y = columns.min(), rows.min()
    return np.array([[x, y, columns.max() + 1 - x, rows.max() + 1 - y, 0.9]], np.float32)


@pytest.mark.parametrize(("height", "width"), [(100, 80), (641, 480), (1500, 2250)])
@pytest.mark.parametrize("finest", [0.5, 1.0, 2.0])
def test_the_finest_views_see_every_pixel_and_no_view_is_larger_than_a_tile(height, width, finest) -> None:
    seen = np.zeros((height, width), bool)
    for view in plan_views(height, width, 256, finest):
        assert (view.x1 - view.x0) * view.scale <= 256
        assert (view.y1 - view.y0) * view.scale <= 256
        if view.scale == finest:
            seen[view.y0 : view.y1, view.x0 : view.x1] = True
    assert seen.all()


@pytest.mark.parametrize(
    "box",
    [(3, 5, 20, 30), (190, 200, 40, 40), (250, 130, 12, 12), (100, 60, 300, 350), (0, 0, 600, 500), (590, 480, 10, 20)],
)
def test_a_thing_of_any_size_is_found_once_where_it_is_also_across_the_edges_of_tiles(box) -> None:
    x, y, w, h = box
    image = np.zeros((500, 600, 3), np.uint8)
    image[y : y + h, x : x + w] = 255
    found = find_in_views(image, find_bright, 256, 1.0)
    assert len(found) == 1
    np.testing.assert_allclose(found[0, :4], box, atol=8)
    assert found[0, 4] == pytest.approx(0.9)


def test_nothing_is_found_in_nothing() -> None:
    assert find_in_views(np.zeros((300, 300, 3), np.uint8), find_bright, 256, 1.0).shape == (0, 5)
