"""The paper's losses (Appendix A): focal and dice 20:1 on the mask, squared error on the predicted IoU."""

from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional

FOCAL_WEIGHT = 20.0
"""Of the focal loss against the dice loss (Appendix A, "Losses")."""

TINY_FOCAL_WEIGHT = 0.5
"""The same for `tiny`. The paper's is for a model whose masks are nearly right: at the errors of `tiny`, the mean over
pixels would be all that counts, and its small masks were seen to vanish within a hundred steps."""

FOCAL_GAMMA = 2


def pairwise_mask_loss(logits: Tensor, targets: Tensor, focal_weight: float = FOCAL_WEIGHT) -> Tensor:
    """Focal and dice loss, 20:1 (Appendix A, "Losses"), of every output with every target.

    Both are linear in a target of 0 and 1, so that all pairs cost two matrix products.

    Args:
        logits: (K, M, h, w) float32, M outputs for each of K prompts.
        targets: (K, C, h, w) float32 of 0 and 1, C targets for each prompt.
        focal_weight: Of the focal loss against the dice loss.

    Returns:
        (K, M, C) float32, means over pixels.
    """
    x, t = logits.flatten(2), targets.flatten(2).transpose(1, 2)
    pixels = x.shape[-1]
    probability = x.sigmoid()
    as_background = probability**FOCAL_GAMMA * functional.softplus(x)
    as_foreground = (1 - probability) ** FOCAL_GAMMA * functional.softplus(-x)
    focal = (as_background.sum(-1, keepdim=True) + (as_foreground - as_background) @ t) / pixels
    total = probability.sum(-1, keepdim=True) + t.sum(1, keepdim=True)
    dice = 1.0 - (2.0 * (probability @ t) + 1.0) / (total + 1.0)
    return focal_weight * focal + dice


def lowest_loss_in_order(losses: Tensor, counts: Tensor) -> Tensor:
    """Assigns each prompt's targets to its outputs in rising order and keeps the assignment of the lowest mean loss.

    With one target this is the paper's rule, that only the output of the lowest loss is backpropagated (§3, "Resolving
    ambiguity"). Several targets, masks that lie within each other from small to large, are learnt in one go and
    keep the outputs in the order subpart, part, whole.

    Args:
        losses: (K, M, C) of every output with every target, C <= M; targets from small to large.
        counts: (K,) int64, how many of the C targets each prompt has, 1 to C.

    Returns:
        (K,), the mean loss of the assigned pairs.
    """
    outputs, most = losses.shape[1:]
    result = losses.new_zeros(len(losses))
    for count in range(1, most + 1):
        rows = counts == count
        if rows.any():
            options = [
                torch.stack([losses[rows, output, target] for target, output in enumerate(chosen)]).mean(dim=0)
                for chosen in combinations(range(outputs), count)
            ]
            result = result.index_put((rows.nonzero()[:, 0],), torch.stack(options).amin(dim=0))
    return result


def iou_with_best(logits: Tensor, masks: Tensor, allowed: Tensor, weights: Tensor | None = None) -> Tensor:
    """IoU of every output with the best-matching mask that its prompt may mean.

    Args:
        logits: (K, M, h, w); above 0 counts as mask.
        masks: (N, h, w) of 0 and 1, all masks of the image.
        allowed: (K, N) bool, which masks each prompt may mean.
        weights: (N,), 0 to 1, how sure it is that each mask is one that a person would draw; IoUs are multiplied
            by them. None for masks that all are.

    Returns:
        (K, M) without gradient: what the IoU head has to predict.
    """
    with torch.no_grad():
        predicted = (logits > 0).flatten(2).to(masks.dtype)
        truth = masks.flatten(1)
        overlap = predicted @ truth.T
        union = predicted.sum(-1, keepdim=True) + truth.sum(-1) - overlap
        iou = overlap / union.clamp(min=1.0)
        if weights is not None:
            iou = iou * weights
        return iou.masked_fill(~allowed[:, None, :], 0.0).amax(dim=-1)
