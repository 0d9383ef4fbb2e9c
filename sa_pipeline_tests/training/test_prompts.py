"""Simulated prompts lie where a person would put them."""

import numpy as np

from sa_pipeline.training.prompts import correction_click, noised_box, sample_first_prompts

WHOLE = np.zeros((40, 60), np.bool_)
WHOLE[10:30, 10:50] = True
PART = np.zeros((40, 60), np.bool_)
PART[15:25, 20:30] = True
EVEN = np.ones(2, np.float32)


def test_a_click_lies_in_its_mask_and_may_mean_every_mask_under_it():
    masks = np.stack([WHOLE, PART])
    prompts = sample_first_prompts(np.random.default_rng(0), masks, EVEN, 40, box_share=0.0, nested=False)
    assert len(prompts.points) == 40
    assert set(prompts.counts) == {1}
    for (x, y), targets, allowed in zip(prompts.points, prompts.targets, prompts.allowed, strict=True):
        under = [WHOLE[int(y), int(x)], PART[int(y), int(x)]]
        assert under[targets[0]]
        assert allowed.tolist() == under


def test_a_click_on_a_part_is_supervised_with_part_and_whole_from_small_to_large():
    masks = np.stack([WHOLE, PART])
    prompts = sample_first_prompts(np.random.default_rng(1), masks, EVEN, 40, box_share=0.0, nested=True)
    on_part = prompts.allowed[:, 1]
    assert 0 < on_part.sum() < 40
    assert (prompts.counts == np.where(on_part, 2, 1)).all()
    assert (prompts.targets[on_part, :2] == [1, 0]).all()


def test_masks_of_nearly_the_same_area_are_not_told_apart():
    almost = WHOLE.copy()
    almost[10, :] = False
    prompts = sample_first_prompts(np.random.default_rng(2), np.stack([WHOLE, almost]), EVEN, 10, 0.0, nested=True)
    assert set(prompts.counts) == {1}


def test_a_box_means_the_mask_that_it_surrounds():
    masks = np.stack([WHOLE, PART])
    prompts = sample_first_prompts(np.random.default_rng(3), masks, EVEN, 30, box_share=1.0, nested=True)
    assert len(prompts.points) == 0
    assert set(prompts.counts) == {1}
    for target, allowed in zip(prompts.chosen, prompts.allowed, strict=True):
        assert allowed.tolist() == [target == 0, target == 1]


def test_a_box_is_near_its_mask_and_within_the_image():
    rng = np.random.default_rng(1)
    boxes = np.stack([noised_box(rng, WHOLE) for _ in range(200)])
    np.testing.assert_allclose(boxes.mean(axis=0), [10, 10, 49, 29], atol=1.5)
    assert (boxes >= 0).all()
    assert (boxes <= [60, 40, 60, 40]).all()


def test_a_correction_adds_what_is_missing_and_removes_what_is_too_much():
    rng = np.random.default_rng(2)
    point, label = correction_click(rng, PART, WHOLE)
    assert label == 1
    assert WHOLE[int(point[1]), int(point[0])]
    assert not PART[int(point[1]), int(point[0])]
    _, label = correction_click(rng, WHOLE, PART)
    assert label == 0
    _, label = correction_click(rng, PART, PART)
    assert label == 1
