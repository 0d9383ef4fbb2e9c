"""Masks measured from low-resolution logits are those that torch makes at full size, bit for bit."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import ndimage
from segment_anything.utils.amg import batched_mask_to_box, calculate_stability_score, mask_to_rle_pytorch
from torch.nn import functional

from sa_pipeline.generation.stable_masks import torchs_rounding
from sa_pipeline.masks.enlargement import Enlargement
from sa_pipeline.masks.measurement import Measurements, Placement, enlarge, measure_masks, transitions_to_runs

SIZES = [
    Enlargement((64, 64), 256, (256, 171), (375, 251)),
    Enlargement((64, 64), 256, (192, 256), (90, 120)),
    Enlargement((32, 32), 128, (128, 86), (40, 27)),
    Enlargement((128, 128), 512, (341, 512), (341, 512)),
    Enlargement((16, 16), 64, (64, 1), (300, 3)),
]


@pytest.fixture(params=[1, 2], ids=["one_thread", "two_threads"], autouse=True)
def _threads(request) -> Iterator[None]:
    """With one thread, torch rounds three channels in another way than with more."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def measure(logits: np.ndarray, sizes: Enlargement, place: Placement, **arguments) -> Measurements:
    rounding = torchs_rounding(sizes)
    assert rounding is not None
    return measure_masks(logits, sizes, place, rounding=rounding, offset=1.0, **arguments)


def smooth_logits(enlargement: Enlargement, smoothness: float) -> np.ndarray:
    random = np.random.default_rng(3).standard_normal((3, *enlargement.logits_size))
    blurred = ndimage.gaussian_filter(random, (0, smoothness, smoothness)) if smoothness else random
    return (4 * blurred / blurred.std()).astype(np.float32)


def full_size(logits: np.ndarray, enlargement: Enlargement) -> torch.Tensor:
    """As `Sam.postprocess_masks`, with the three channels that the official generator has."""
    side = (enlargement.model_size, enlargement.model_size)
    square = functional.interpolate(torch.from_numpy(logits)[None], side, mode="bilinear", align_corners=False)
    covered = square[..., : enlargement.input_size[0], : enlargement.input_size[1]]
    return functional.interpolate(covered, enlargement.image_size, mode="bilinear", align_corners=False)[0]


@pytest.mark.parametrize("smoothness", [0, 1, 6])
@pytest.mark.parametrize("enlargement", SIZES)
def test_measurements_are_those_of_the_full_size_masks(enlargement: Enlargement, smoothness: float) -> None:
    logits = smooth_logits(enlargement, smoothness)
    full = full_size(logits, enlargement)
    height, width = enlargement.image_size
    measured = measure(logits, enlargement, Placement(0, 0, height), threshold=0.5)
    masks = full > 0.5
    np.testing.assert_array_equal(measured.boxes, batched_mask_to_box(masks))
    np.testing.assert_array_equal(measured.areas, masks.sum((1, 2)))
    stability = np.divide(measured.areas_raised, measured.areas_lowered, dtype=np.float32)
    np.testing.assert_array_equal(stability, calculate_stability_score(full, 0.5, 1.0))
    for transitions, rle in zip(measured.transitions, mask_to_rle_pytorch(masks), strict=True):
        assert transitions_to_runs(transitions, height * width).tolist() == rle["counts"]


@pytest.mark.parametrize("enlargement", SIZES)
def test_every_enlarged_value_is_torchs(enlargement: Enlargement) -> None:
    logits = smooth_logits(enlargement, 0)
    for mask, expected in zip(logits, full_size(logits, enlargement), strict=True):
        np.testing.assert_array_equal(enlarge(mask, enlargement, torchs_rounding(enlargement)), expected)


@pytest.mark.parametrize("place", [Placement(0, 0, 375), Placement(7, 0, 375), Placement(9, 20, 400)])
def test_runs_are_placed_on_the_full_image(place: Placement) -> None:
    enlargement, width = SIZES[0], 300
    logits = smooth_logits(enlargement, 5)
    measured = measure(logits, enlargement, place, threshold=0.0)
    height, crop_width = enlargement.image_size
    for transitions, crop_mask in zip(measured.transitions, full_size(logits, enlargement) > 0, strict=True):
        placed = torch.zeros(1, place.image_height, width, dtype=torch.bool)
        placed[0, place.y : place.y + height, place.x : place.x + crop_width] = crop_mask
        runs = transitions_to_runs(transitions, place.image_height * width)
        assert runs.tolist() == mask_to_rle_pytorch(placed)[0]["counts"]


@pytest.mark.parametrize(("value", "area"), [(5.0, 375 * 251), (-5.0, 0)])
def test_masks_that_cover_everything_or_nothing(value: float, area: int) -> None:
    enlargement = SIZES[0]
    logits = np.full((1, *enlargement.logits_size), value, np.float32)
    measured = measure(logits, enlargement, Placement(0, 0, 375), threshold=0.0)
    assert measured.areas.tolist() == [area]
    assert measured.boxes.tolist() == [[0, 0, 250, 374] if area else [0, 0, 0, 0]]
    runs = transitions_to_runs(measured.transitions[0], 375 * 251)
    assert runs.tolist() == ([0, 375 * 251] if area else [375 * 251])


def test_the_number_of_threads_changes_nothing() -> None:
    enlargement = SIZES[0]
    logits = np.concatenate([smooth_logits(enlargement, smoothness) for smoothness in range(1, 8)])
    one, three = (
        measure(logits, enlargement, Placement(0, 0, 375), threshold=0.0, threads=threads) for threads in (1, 3)
    )
    np.testing.assert_equal(vars(three), vars(one))
