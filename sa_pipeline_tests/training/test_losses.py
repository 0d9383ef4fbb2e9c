"""Losses on cases that can be worked out by hand."""

import math

import pytest
import torch

from sa_pipeline.training.losses import best_iou, dice_loss, focal_loss, lowest_mask_loss, mask_loss

TARGET = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
CERTAIN = 40.0 * (2 * TARGET - 1)


def test_a_certain_and_right_mask_costs_nothing():
    assert mask_loss(CERTAIN, TARGET).item() == pytest.approx(0.0, abs=1e-5)


def test_undecided_logits_cost_a_quarter_of_log_two_in_focal_loss():
    assert focal_loss(torch.zeros(2, 2), TARGET).item() == pytest.approx(0.25 * math.log(2))


def test_undecided_logits_have_the_dice_loss_of_their_soft_overlap():
    # Overlap 2 x 0.5, sum 4 x 0.5 + 2, one added to both against empty masks: 1 - (2 + 1) / (4 + 1).
    assert dice_loss(torch.zeros(2, 2), TARGET).item() == pytest.approx(0.4)


def test_only_the_best_of_three_outputs_receives_a_gradient():
    logits = torch.stack([-CERTAIN / 40, CERTAIN / 40, torch.zeros(2, 2)])[None].requires_grad_()
    lowest_mask_loss(logits, TARGET[None]).sum().backward()
    assert logits.grad is not None
    touched = logits.grad.abs().sum(dim=(0, 2, 3)) > 0
    assert touched.tolist() == [False, True, False]


def test_the_iou_to_predict_is_that_of_the_best_mask_the_prompt_may_mean():
    masks = torch.stack([TARGET, torch.ones(2, 2)])
    logits = torch.stack([CERTAIN, torch.ones(2, 2)])[None]
    both = best_iou(logits, masks, torch.tensor([[True, True]]))
    only_first = best_iou(logits, masks, torch.tensor([[True, False]]))
    assert both.tolist() == [[1.0, 1.0]]
    assert only_first.tolist() == [[1.0, 0.5]]
