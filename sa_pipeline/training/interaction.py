"""One image's share of a training step: the simulated interaction with an annotator (Appendix A)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional

from sa_pipeline.training.losses import FOCAL_WEIGHT, iou_with_best, lowest_loss_in_order, pairwise_mask_loss
from sa_pipeline.training.prompts import FirstPrompts, correction_click, sample_first_prompts
from sa_pipeline.training.samples import MASK_STRIDE, Prepared


@dataclass(frozen=True)
class InteractionSettings:
    """How an annotator is simulated.

    Attributes:
        prompts: Masks prompted for in one image; the paper takes up to 64.
        box_share: Share of first prompts that are boxes; the rest are clicks.
        corrections: Rounds after the first in which a click corrects the mask so far.
        repeats: Rounds without a new prompt, that only refine: one after a random correction, one at the end
            (Appendix A). The paper's 11 iterations are 1 + 8 corrections + 2 repeats.
        nested: Whether a click is supervised with up to three masks under it, in order of size, instead of one.
        distinct: Whether no mask of an image is prompted for twice; an image with few masks has few prompts.
        trust_predicted_iou: Whether to go on, after the first round, with the output of the highest predicted IoU, as
            the paper does, instead of the one that comes closest to what was meant.
        focal_weight: Of the focal loss against the dice loss, in the paper 20.
        one_for_boxes: Whether a first prompt that is a box also trains the one output that several prompts have, as
            a box is asked for one mask more often than for three.
    """

    prompts: int = 64
    box_share: float = 0.5
    corrections: int = 8
    repeats: int = 2
    nested: bool = False
    distinct: bool = False
    trust_predicted_iou: bool = False
    focal_weight: float = FOCAL_WEIGHT
    one_for_boxes: bool = False

    @property
    def rounds(self) -> int:
        """Calls of the mask decoder for one image."""
        return 1 + self.corrections + (self.repeats > 0 and self.corrections > 0) + (self.repeats > 1)


@dataclass(frozen=True)
class InteractionResult:
    """What the interaction with one image yields.

    Attributes:
        loss: Scalar, the mean over rounds of mask loss plus IoU loss; with gradient unless `backward` was given.
        figures: For the log: mask_loss, iou_loss, click_iou (the best output against the chosen mask), refined_iou
            (after the last round; nan if there was one only).
    """

    loss: Tensor
    figures: dict[str, float]


def interact(
    sam: Sam,
    embedding: Tensor,
    sample: Prepared,
    settings: InteractionSettings,
    rng: np.random.Generator,
    dtype: torch.dtype,
    backward: Callable[[Tensor], None] | None = None,
) -> InteractionResult:
    """Prompts for masks of one image and goes on correcting them.

    Args:
        sam: The model in training.
        embedding: (1, C, h, w) with gradient.
        sample: The image's masks.
        settings: Prompts and rounds.
        rng: Source of chance.
        dtype: Of the matrix products, under autocast.
        backward: Is handed each round's share of the loss as soon as it is known. Rounds hang together by detached
            logits only, so this gives the same gradient in the memory of one round.
    """
    dialogue = _Dialogue(sam, embedding, sample, settings, rng, dtype, backward)
    dialogue.first_round()
    repeat_after = int(rng.integers(1, settings.corrections + 1)) if settings.corrections else 0
    for correction in range(1, settings.corrections + 1):
        dialogue.correct()
        if settings.repeats and correction == repeat_after:
            dialogue.decode_again()
    if settings.repeats > 1:
        dialogue.decode_again()
    return dialogue.result()


class _Dialogue:
    """The prompts so far, the masks so far, the losses so far."""

    def __init__(
        self,
        sam: Sam,
        embedding: Tensor,
        sample: Prepared,
        settings: InteractionSettings,
        rng: np.random.Generator,
        dtype: torch.dtype,
        backward: Callable[[Tensor], None] | None,
    ) -> None:
        self.sam, self.embedding, self.sample, self.rng, self.dtype = sam, embedding, sample, rng, dtype
        self.settings, self.backward = settings, backward
        self.device = embedding.device
        self.low_masks = sample.low_masks.to(self.device)
        self.first: FirstPrompts = sample_first_prompts(
            rng,
            sample.masks.numpy(),
            sample.weights.numpy(),
            settings.prompts,
            settings.box_share,
            settings.nested,
            settings.distinct,
        )
        clicks = len(self.first.points)
        self.clicks = clicks
        self.points = torch.from_numpy(self.first.points)[:, None].to(self.device)
        self.labels = torch.ones(clicks, 1, dtype=torch.int, device=self.device)
        self.box_points = torch.zeros(len(self.first.boxes), 0, 2, device=self.device)
        self.box_labels = torch.zeros(len(self.first.boxes), 0, dtype=torch.int, device=self.device)
        self.boxes = torch.from_numpy(self.first.boxes).to(self.device)
        self.chosen = torch.from_numpy(self.first.chosen).to(self.device)
        self.targets = self.low_masks[self.chosen]
        self.own = functional.one_hot(self.chosen, len(self.low_masks)).bool()
        self.logits = torch.zeros(0, device=self.device)  # (K, h, w) of the round before
        self.mask_losses: list[Tensor] = []
        self.iou_losses: list[Tensor] = []
        self.click_iou = self.last_iou = float("nan")

    def first_round(self) -> None:
        """Three outputs for every prompt, of which the fitting ones are trained."""
        logits, predicted_iou = self._decode(None)
        for_boxes, their_iou = logits[self.clicks :, :1], predicted_iou[self.clicks :, :1]
        logits, predicted_iou = logits[:, 1:], predicted_iou[:, 1:]
        targets = self.low_masks[torch.from_numpy(self.first.targets).to(self.device)]
        counts = torch.from_numpy(self.first.counts).to(self.device)
        mask_loss = lowest_loss_in_order(pairwise_mask_loss(logits, targets, self.settings.focal_weight), counts).mean()
        allowed = torch.from_numpy(self.first.allowed).to(self.device)
        wanted = iou_with_best(logits, self.low_masks, allowed, self.sample.weights.to(self.device))
        if self.settings.one_for_boxes:
            mask_loss = mask_loss + self._boxes_with_one_output(for_boxes, their_iou)
        self._lose(mask_loss, functional.mse_loss(predicted_iou, wanted))
        reached = iou_with_best(logits, self.low_masks, self.own)
        self.click_iou = float(reached.amax(dim=1).mean())
        ranked_by = predicted_iou.detach() if self.settings.trust_predicted_iou else reached
        self.logits = logits.detach()[torch.arange(len(logits)), ranked_by.argmax(dim=1)]
        if self.settings.one_for_boxes:
            self.logits[self.clicks :] = for_boxes.detach()[:, 0]

    def _boxes_with_one_output(self, logits: Tensor, predicted_iou: Tensor) -> Tensor:
        """Loss of (B, 1, h, w) logits and (B, 1) predicted IoU for the boxes, weighted by their share."""
        if len(logits) == 0:
            return logits.new_zeros(())
        reached = iou_with_best(logits, self.low_masks, self.own[self.clicks :])
        mask_loss = pairwise_mask_loss(logits, self.targets[self.clicks :, None], self.settings.focal_weight).mean()
        share = len(logits) / len(self.own)
        loss: Tensor = share * (mask_loss + functional.mse_loss(predicted_iou, reached))
        return loss

    def correct(self) -> None:
        """One more click for every mask, where it is wrong."""
        wrong = [
            correction_click(self.rng, mask, target)
            for mask, target in zip((self.logits > 0).cpu().numpy(), self.targets.bool().cpu().numpy(), strict=True)
        ]
        points = torch.from_numpy(np.stack([point for point, _ in wrong]))[:, None].to(self.device)
        points = (points + 0.5) * MASK_STRIDE - 0.5
        labels = torch.tensor([[label] for _, label in wrong], dtype=torch.int, device=self.device)
        self.points = torch.cat([self.points, points[: self.clicks]], dim=1)
        self.labels = torch.cat([self.labels, labels[: self.clicks]], dim=1)
        self.box_points = torch.cat([self.box_points, points[self.clicks :]], dim=1)
        self.box_labels = torch.cat([self.box_labels, labels[self.clicks :]], dim=1)
        self.decode_again()

    def decode_again(self) -> None:
        """One output from the prompts and the logits so far."""
        logits, predicted_iou = self._decode(self.logits[:, None])
        logits, predicted_iou = logits[:, :1], predicted_iou[:, :1]
        reached = iou_with_best(logits, self.low_masks, self.own)
        mask_loss = pairwise_mask_loss(logits, self.targets[:, None], self.settings.focal_weight).mean()
        self._lose(mask_loss, functional.mse_loss(predicted_iou, reached))
        self.last_iou = float(reached.mean())
        self.logits = logits.detach()[:, 0]

    def result(self) -> InteractionResult:
        """Means over the rounds."""
        mask_loss, iou_loss = torch.stack(self.mask_losses).mean(), torch.stack(self.iou_losses).mean()
        figures = {
            "mask_loss": float(mask_loss.detach()),
            "iou_loss": float(iou_loss.detach()),
            "click_iou": self.click_iou,
            "refined_iou": self.last_iou,
        }
        return InteractionResult(mask_loss + iou_loss, figures)

    def _lose(self, mask_loss: Tensor, iou_loss: Tensor) -> None:
        if self.backward is not None:
            self.backward((mask_loss + iou_loss) / self.settings.rounds)
            mask_loss, iou_loss = mask_loss.detach(), iou_loss.detach()
        self.mask_losses.append(mask_loss)
        self.iou_losses.append(iou_loss)

    def _tokens(self) -> Tensor:
        encoder = self.sam.prompt_encoder
        tokens = []
        if len(self.points):
            tokens.append(encoder(points=(self.points, self.labels), boxes=None, masks=None)[0])
        if len(self.boxes):
            points = (self.box_points, self.box_labels) if self.box_points.shape[1] else None
            # A lone click is padded with a "not a point" token, so that clicks and boxes have as many tokens.
            tokens.append(encoder(points=points, boxes=self.boxes, masks=None)[0])
        return torch.cat(tokens)

    def _decode(self, mask_prompt: Tensor | None) -> tuple[Tensor, Tensor]:
        tokens = self._tokens()
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            if mask_prompt is None:
                no_mask = self.sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
                dense = no_mask.expand(len(tokens), -1, *self.embedding.shape[-2:])
            else:
                dense = self.sam.prompt_encoder.mask_downscaling(mask_prompt)
            logits, predicted_iou = self.sam.mask_decoder.predict_masks(
                image_embeddings=self.embedding,
                image_pe=self.sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=tokens,
                dense_prompt_embeddings=dense,
            )
        return logits.float(), predicted_iou.float()
