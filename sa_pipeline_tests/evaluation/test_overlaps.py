"""IoU from run lengths, against arrays."""

import numpy as np
import pytest

from sa_pipeline.evaluation.overlaps import areas_of, best_ious, encode_masks, pairwise_ious
from sa_pipeline.masks.rle import mask_to_counts


@pytest.fixture
def masks() -> np.ndarray:
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[:37, :53]
    discs = [(rows - y) ** 2 + (columns - x) ** 2 < r**2 for x, y, r in rng.uniform(1, 37, (8, 3))]
    return np.stack([*discs, np.zeros((37, 53), bool), np.ones((37, 53), bool)])


def test_run_lengths_are_those_of_every_other_writer(masks) -> None:
    assert encode_masks(masks) == [mask_to_counts(mask) for mask in masks]
    assert areas_of(encode_masks(masks)).tolist() == masks.sum(axis=(1, 2)).tolist()
    assert encode_masks(masks[:0]) == []


def test_ious_equal_those_of_the_arrays(masks) -> None:
    counts = encode_masks(masks)
    found = pairwise_ious(counts, counts[2:], (37, 53))
    for i, first in enumerate(masks):
        for j, second in enumerate(masks[2:]):
            union = (first | second).sum()
            assert found[i, j] == pytest.approx((first & second).sum() / union if union else 0.0)


def test_without_masks_nothing_is_found(masks) -> None:
    counts = encode_masks(masks)
    assert best_ious(counts, [], (37, 53)).tolist() == [0.0] * len(counts)
    assert best_ious([], counts, (37, 53)).shape == (0,)
    assert best_ious(counts, counts, (37, 53))[-1] == 1.0
