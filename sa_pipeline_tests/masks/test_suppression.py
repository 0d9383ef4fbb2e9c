"""Suppression equals torchvision's index for index, names the suppressor, and is idempotent."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import batched_nms, nms

from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.masks.suppression import NOT_SUPPRESSED, as_torchvision_orders, suppress_by_box, suppress_by_mask
from sa_pipeline.sam.official_sort import sort_as_torch

coordinates = st.integers(0, 60)
boxes_and_scores = st.lists(
    st.tuples(coordinates, coordinates, coordinates, coordinates, st.sampled_from([0.1, 0.5, 0.9, 0.95])), max_size=40
)


def split(rows: list[tuple[int, int, int, int, float]]) -> tuple[np.ndarray, np.ndarray]:
    values = np.array(rows, float).reshape(-1, 5)
    boxes = np.concatenate([np.minimum(values[:, :2], values[:, 2:4]), np.maximum(values[:, :2], values[:, 2:4])], 1)
    return boxes.astype(np.int64), values[:, 4].astype(np.float32)


@given(boxes_and_scores, st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_keeps_what_torchvision_keeps_in_its_order(rows, threshold) -> None:
    boxes, scores = split(rows)
    expected = nms(torch.tensor(boxes).float(), torch.tensor(scores), threshold).numpy()
    np.testing.assert_array_equal(suppress_by_box(boxes, scores, threshold).kept, expected)


@pytest.mark.parametrize("count", [900, 1200, 5000])
@pytest.mark.parametrize("distinct", [1, 3, 100])
def test_equal_scores_come_in_the_order_of_torchvision(count: int, distinct: int) -> None:
    random = np.random.default_rng(count + distinct)
    corners = random.integers(0, 2000, (count, 2))
    boxes = np.concatenate([corners, corners + random.integers(1, 60, (count, 2))], axis=1)
    scores = random.integers(1, distinct + 1, count).astype(np.float32) / 7
    one_category = torch.zeros(count)
    expected = batched_nms(torch.tensor(boxes).float(), torch.tensor(scores), one_category, 0.7).numpy()
    ours = as_torchvision_orders(suppress_by_box(boxes, scores, 0.7), scores, sort_as_torch)
    np.testing.assert_array_equal(ours.kept, expected)


@given(boxes_and_scores)
def test_what_is_kept_is_kept_again(rows) -> None:
    boxes, scores = split(rows)
    kept = suppress_by_box(boxes, scores, 0.5).kept
    again = suppress_by_box(boxes[kept], scores[kept], 0.5)
    np.testing.assert_array_equal(again.kept, np.arange(len(kept)))


@given(boxes_and_scores)
def test_every_suppressor_is_itself_kept_and_not_worse(rows) -> None:
    boxes, scores = split(rows)
    outcome = suppress_by_box(boxes, scores, 0.5)
    for index in np.flatnonzero(outcome.suppressed_by != NOT_SUPPRESSED):
        suppressor = outcome.suppressed_by[index]
        assert suppressor in outcome.kept
        assert scores[suppressor] >= scores[index]


def test_by_mask_a_ring_does_not_suppress_the_disc_in_it_though_their_boxes_agree() -> None:
    y, x = np.mgrid[:40, :40]
    radius = np.hypot(y - 20, x - 20)
    disc, ring = radius <= 15, (radius <= 16) & (radius > 15)
    counts = [mask_to_counts(mask) for mask in (disc, ring)]
    boxes, scores = np.array([[5, 5, 35, 35], [4, 4, 36, 36]]), np.array([0.9, 0.8], np.float32)
    assert len(suppress_by_box(boxes, scores, 0.7).kept) == 1
    assert len(suppress_by_mask(counts, (40, 40), boxes, scores, 0.7, None).kept) == 2


def test_by_mask_hundreds_of_masks_give_way_to_the_one_they_equal() -> None:
    square = np.zeros((40, 40), bool)
    square[5:30, 5:30] = True
    counts = [mask_to_counts(square)] * 300
    boxes = np.tile([5, 5, 29, 29], (300, 1))
    scores = np.linspace(0.9, 0.1, 300, dtype=np.float32)
    np.testing.assert_array_equal(suppress_by_mask(counts, (40, 40), boxes, scores, 0.7, None).kept, [0])


def test_by_containment_a_mask_within_another_gives_way() -> None:
    large, small = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    large[:, :10], small[5:8, 2:5] = True, True
    counts = [mask_to_counts(mask) for mask in (large, small)]
    boxes, scores = np.array([[0, 0, 9, 19], [2, 5, 4, 7]]), np.array([0.9, 0.8], np.float32)
    assert len(suppress_by_mask(counts, (20, 20), boxes, scores, 0.7, None).kept) == 2
    assert suppress_by_mask(counts, (20, 20), boxes, scores, 0.7, 0.9).suppressed_by.tolist() == [NOT_SUPPRESSED, 0]
