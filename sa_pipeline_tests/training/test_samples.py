"""Samples: an annotated image becomes the model's input, and its masks stay where the image shows them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sa_pipeline.annotated.label_maps import LabelMapSource
from sa_pipeline.training.samples import PIXEL_MEAN, PIXEL_STD, AnnotatedScenes, prepare_sample
from sa_pipeline.training.scenes import Scene


@pytest.fixture
def disc() -> Scene:
    mask = np.zeros((90, 120), np.uint8)
    cv2.circle(mask, (70, 40), 25, 1, -1)
    image = np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)
    return Scene(image, mask.astype(np.bool_)[None], np.ones(1, np.float32))


@pytest.mark.parametrize("jitter", [None, (0.3, 0.3), (2.0, 2.0), (0.3, 2.0)])
def test_masks_follow_the_image_through_scaling_cropping_and_mirroring(disc: Scene, jitter: tuple[float, float] | None):
    shares = []
    for seed in range(8):
        sample = prepare_sample(disc, 128, np.random.default_rng(seed), augment=False, jitter=jitter)
        assert sample is not None
        assert sample.image.shape == (3, 128, 128)
        white = sample.image[0].numpy() * PIXEL_STD[0] + PIXEL_MEAN[0] > 127
        differing = (white != sample.masks[0].numpy()).sum()
        assert differing < 0.2 * white.sum()
        shares.append(float(white.mean()))
    plain = disc.masks.mean() * 0.75
    if jitter is not None and jitter[0] == jitter[1]:
        assert max(shares) == pytest.approx(plain * jitter[0] ** 2, rel=0.15)


def test_an_annotated_image_gives_one_persons_masks_without_those_that_fill_it(tmp_path: Path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    labels = np.ones((40, 50), np.uint8)
    labels[5:7, 10:20] = 2
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.full((40, 50, 3), 127, np.uint8))
    cv2.imwrite(str(tmp_path / "labels" / "a.png"), labels)
    source = LabelMapSource(tmp_path / "images", tmp_path / "labels")
    everything = AnnotatedScenes(source).sample((1, 2))
    assert [int(mask.sum()) for mask in everything.masks] == [1980, 20]
    assert everything.weights.tolist() == [1.0, 1.0]
    lightly_filtered = AnnotatedScenes(source, max_mask_share=0.9).sample((1, 2))
    np.testing.assert_array_equal(lightly_filtered.masks, [labels == 2])
