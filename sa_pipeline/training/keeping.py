"""Keeps a decoder's answers to one click while it learns more: distillation from its own earlier weights."""

import copy

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional

from sa_pipeline.training.prompts import random_pixel
from sa_pipeline.training.samples import Prepared

PROMPTS = 10
CROSS_ENTROPY_WEIGHT, IOU_WEIGHT = 2.0, 2.0


def decoder_weights(sam: Sam) -> dict[str, Tensor]:
    """A copy of all weights and buffers but the encoder's."""
    return {
        name: value.detach().clone()
        for name, value in sam.state_dict().items()
        if not name.startswith("image_encoder.")
    }


class EarlierAnswers:
    """A model as it was, and how far another one has moved away from it."""

    def __init__(self, sam: Sam, weights: dict[str, Tensor]) -> None:
        """Copies a model with its earlier `decoder_weights`."""
        self._earlier = copy.deepcopy(sam).requires_grad_(False)
        self._earlier.load_state_dict(weights, strict=False)

    def loss(
        self, sam: Sam, embedding: Tensor, sample: Prepared, rng: np.random.Generator, dtype: torch.dtype
    ) -> Tensor:
        """Difference of the three outputs for clicks at random places on the sample's masks.

        Args:
            sam: The model in training.
            embedding: (1, C, h, w).
            sample: Where clicks are drawn: in proportion to a mask's weight times the root of its area.
            rng: Source of chance.
            dtype: Of the matrix products, under autocast.

        Returns:
            Scalar: cross entropy and dice loss with the earlier probabilities as targets, squared difference of the
            predicted IoU. 0 for the same answers.
        """
        masks = sample.masks.numpy()
        chances = sample.weights.numpy().astype(np.float64) * np.sqrt(masks.sum(axis=(1, 2)))
        drawn = rng.choice(len(masks), size=PROMPTS, p=chances / chances.sum())
        clicks = np.array([random_pixel(rng, masks[index]) for index in drawn], np.float32)
        points = torch.from_numpy(clicks)[:, None].to(embedding.device)
        with torch.no_grad():
            earlier, earlier_iou = _three_outputs(self._earlier, embedding, points, dtype)
        logits, predicted_iou = _three_outputs(sam, embedding, points, dtype)
        wanted, given = earlier.sigmoid(), logits.sigmoid()
        entropy = functional.binary_cross_entropy_with_logits(earlier, wanted)
        cross_entropy = functional.binary_cross_entropy_with_logits(logits, wanted) - entropy
        common, sizes = (wanted * given).sum((2, 3)), (wanted.square() + given.square()).sum((2, 3))
        dice = (1.0 - (2.0 * common + 1.0) / (sizes + 1.0)).mean()
        difference: Tensor = (
            CROSS_ENTROPY_WEIGHT * cross_entropy + dice + IOU_WEIGHT * functional.mse_loss(predicted_iou, earlier_iou)
        )
        return difference


def _three_outputs(sam: Sam, embedding: Tensor, points: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Logits (P, 3, 4h, 4w) and predicted IoU (P, 3) for P clicks (P, 1, 2)."""
    labels = torch.ones(points.shape[:2], dtype=torch.int, device=points.device)
    sparse, dense = sam.prompt_encoder(points=(points, labels), boxes=None, masks=None)
    with torch.autocast(points.device.type, dtype, enabled=dtype != torch.float32):
        logits, predicted_iou = sam.mask_decoder(
            image_embeddings=embedding,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
    return logits.float(), predicted_iou.float()
