"""Simulated prompts lie where a person would put them."""

import numpy as np

from sa_pipeline.training.prompts import correction_click, noised_box, sample_first_prompts

WHOLE = np.zeros((40, 60), np.bool_)
WHOLE[10:30, 10:50] = True
PART = np.zeros((40, 60), np.bool_)
PART[15:25, 20:30] = True


def test_a_click_lies_in_its_mask_and_may_mean_every_mask_under_it():
    prompts = sample_first_prompts(np.random.default_rng(0), np.stack([WHOLE, PART]), 41)
    assert len(prompts.points) == 21
    for (x, y), target, allowed in zip(prompts.points, prompts.targets, prompts.allowed, strict=False):
        under = [WHOLE[int(y), int(x)], PART[int(y), int(x)]]
        assert under[target]
        assert allowed.tolist() == under


def test_a_box_is_near_its_mask_and_within_the_image():
    rng = np.random.default_rng(1)
    boxes = np.stack([noised_box(rng, WHOLE) for _ in range(200)])
    np.testing.assert_allclose(boxes.mean(axis=0), [10, 10, 50, 30], atol=1.5)
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
