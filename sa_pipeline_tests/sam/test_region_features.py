"""What `tiny`'s encoder is told about regions."""

import numpy as np
import pytest
import skimage.data

from sa_pipeline.sam.region_features import CHANNELS, CODE_CHANNELS, CODE_LENGTHS, distinct_codes, region_features


def _patch() -> tuple[np.ndarray, np.ndarray]:
    """An image with a blue patch of 12 % on red, and the patch in cells."""
    image = np.full((256, 384, 3), (200, 60, 40), np.uint8)
    image[60:160, 120:240] = (30, 80, 200)
    return image, (image[2::4, 2::4] == (30, 80, 200)).all(axis=2)


def test_cells_of_one_region_have_one_code_and_others_do_not():
    image, patch = _patch()
    features = region_features(image, side=384)
    assert features.shape == (CHANNELS, 64, 96)
    largest = features[CODE_CHANNELS - CODE_LENGTHS[-1] : CODE_CHANNELS]
    likeness = np.einsum("chw,c->hw", largest, largest[:, 25, 45])
    assert (likeness[patch] > 0.99).mean() > 0.95
    assert (likeness[~patch] < 0.6).mean() > 0.95


def test_a_regions_description_is_its_colour_and_box():
    image, _ = _patch()
    largest = region_features(image, side=384)[-9:, 25, 45]
    np.testing.assert_allclose((largest[:3] + 1) * 127.5, (30, 80, 200), atol=12)
    np.testing.assert_allclose((largest[5:] + 1) / 2 * 384, (120, 60, 240, 160), atol=10)


def test_the_same_image_has_the_same_features():
    image = skimage.data.chelsea()
    np.testing.assert_array_equal(region_features(image, 512), region_features(image, 512))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (512, 3), (30, 50)])
def test_odd_shapes_have_features(shape: tuple[int, int]):
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    features = region_features(image, 512)
    assert features.shape == (CHANNELS, -(-shape[0] // 4), -(-shape[1] // 4))
    assert np.isfinite(features).all()


def test_codes_of_few_regions_are_nearly_at_right_angles_or_more():
    codes = distinct_codes(np.array([50.0, 20.0, 20.0, 10.0, 5.0]), 6)
    likeness = codes @ codes.T
    np.testing.assert_allclose(np.diag(likeness), 1.0, atol=1e-5)
    assert likeness[~np.eye(5, dtype=bool)].max() < 0.25
