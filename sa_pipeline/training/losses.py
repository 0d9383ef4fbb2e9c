"""The paper's losses (Appendix A): focal and dice 20:1 on the mask, squared error on the predicted IoU."""

import torch
from torch import Tensor
from torch.nn import functional

FOCAL_WEIGHT = 20.0
FOCAL_GAMMA = 2.0


def focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Focal loss averaged over pixels: (..., H, W) logits and 0/1 targets -> (...)."""
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    wrongness = 1.0 - torch.exp(-cross_entropy)
    return (wrongness**FOCAL_GAMMA * cross_entropy).mean(dim=(-2, -1))


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """One minus the soft Dice coefficient: (..., H, W) logits and 0/1 targets -> (...)."""
    probabilities = logits.sigmoid()
    overlap = (probabilities * targets).sum(dim=(-2, -1))
    total = probabilities.sum(dim=(-2, -1)) + targets.sum(dim=(-2, -1))
    return 1.0 - (2.0 * overlap + 1.0) / (total + 1.0)


def mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Focal and dice loss 20:1: (..., H, W) logits and 0/1 targets -> (...)."""
    return FOCAL_WEIGHT * focal_loss(logits, targets) + dice_loss(logits, targets)


def lowest_mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mask loss of each prompt's best output, so that ambiguous outputs may differ (paper §3).

    Args:
        logits: (K, M, h, w), M outputs for each of K prompts.
        targets: (K, h, w) of 0 and 1.

    Returns:
        (K,), the lowest of the M losses; gradients reach that output only.
    """
    losses = mask_loss(logits, targets[:, None].expand_as(logits))
    return losses.min(dim=1).values


def best_iou(logits: Tensor, masks: Tensor, allowed: Tensor) -> Tensor:
    """IoU of every output with the best-matching mask that its prompt may mean.

    Args:
        logits: (K, M, h, w); above 0 counts as mask.
        masks: (N, h, w) of 0 and 1, all masks of the image.
        allowed: (K, N) bool, which masks each prompt may mean.

    Returns:
        (K, M) without gradient: what the IoU head has to predict.
    """
    with torch.no_grad():
        predicted = (logits > 0).flatten(2).to(masks.dtype)
        truth = masks.flatten(1)
        overlap = predicted @ truth.T
        union = predicted.sum(-1, keepdim=True) + truth.sum(-1) - overlap
        iou = overlap / union.clamp(min=1.0)
        return iou.masked_fill(~allowed[:, None, :], 0.0).amax(dim=-1)
