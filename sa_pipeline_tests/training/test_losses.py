"""Losses on cases that can be worked out by hand."""

import math

import pytest
import torch

from sa_pipeline.training.losses import iou_with_best, lowest_loss_in_order, pairwise_mask_loss

TARGET = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
CERTAIN = 40.0 * (2 * TARGET - 1)


def test_a_certain_and_right_mask_costs_nothing():
    assert pairwise_mask_loss(CERTAIN[None, None], TARGET[None, None]).item() == pytest.approx(0.0, abs=1e-5)


def test_undecided_logits_cost_focal_and_dice_twenty_to_one():
    # Focal: a quarter of log two. Dice: overlap 2 x 0.5, sum 4 x 0.5 + 2, one added to both against empty masks.
    expected = 20 * 0.25 * math.log(2) + 1 - (2 + 1) / (4 + 1)
    assert pairwise_mask_loss(torch.zeros(1, 1, 2, 2), TARGET[None, None]).item() == pytest.approx(expected)


def test_every_output_is_compared_with_every_target():
    logits, targets = torch.stack([CERTAIN, -CERTAIN])[None], torch.stack([TARGET, 1 - TARGET, TARGET])[None]
    losses = pairwise_mask_loss(logits, targets)
    assert losses.shape == (1, 2, 3)
    assert (losses[0] < 0.01).tolist() == [[True, False, True], [False, True, False]]


def test_with_one_target_only_the_best_of_three_outputs_receives_a_gradient():
    logits = torch.stack([-CERTAIN / 40, CERTAIN / 40, torch.zeros(2, 2)])[None].requires_grad_()
    lowest_loss_in_order(pairwise_mask_loss(logits, TARGET[None, None]), torch.tensor([1])).sum().backward()
    assert logits.grad is not None
    touched = logits.grad.abs().sum(dim=(0, 2, 3)) > 0
    assert touched.tolist() == [False, True, False]


def test_several_targets_keep_their_order_even_where_another_would_be_cheaper():
    # Output 2 fits the smaller target and output 0 the larger one, which is the wrong way round.
    losses = torch.tensor([[[9.0, 1.0, 0.0], [4.0, 4.0, 0.0], [1.0, 9.0, 0.0]]])
    assert lowest_loss_in_order(losses, torch.tensor([2])).item() == pytest.approx((4 + 9) / 2)
    assert lowest_loss_in_order(losses, torch.tensor([1])).item() == pytest.approx(1.0)
    assert lowest_loss_in_order(losses, torch.tensor([3])).item() == pytest.approx((9 + 4 + 0) / 3)


def test_the_iou_to_predict_is_that_of_the_best_mask_the_prompt_may_mean():
    masks = torch.stack([TARGET, torch.ones(2, 2)])
    logits = torch.stack([CERTAIN, torch.ones(2, 2)])[None]
    both = iou_with_best(logits, masks, torch.tensor([[True, True]]))
    only_first = iou_with_best(logits, masks, torch.tensor([[True, False]]))
    assert both.tolist() == [[1.0, 1.0]]
    assert only_first.tolist() == [[1.0, 0.5]]


def test_a_mask_that_is_only_perhaps_one_counts_for_less():
    masks = torch.stack([TARGET, torch.ones(2, 2)])
    logits = torch.stack([CERTAIN, torch.ones(2, 2)])[None]
    weighed = iou_with_best(logits, masks, torch.tensor([[True, True]]), torch.tensor([1.0, 0.2]))
    assert weighed.tolist() == [[1.0, 0.5]]
