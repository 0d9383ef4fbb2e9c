"""Prompt encoder and mask decoder on a grid of points, in the arithmetic that was asked for.

Every decoder looks at the predicted IoU first and draws only the masks that pass.
"""

import warnings
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from segment_anything.modeling import Sam

from sa_pipeline.sam.inference import compute_dtype, embed_points
from sa_pipeline.sam.reference_order import ReferenceOrder
from sa_pipeline.sam.shared_work import SharedWork, is_standard
from sa_pipeline.settings import Arithmetic

CACHED_BYTES = 24 << 20
"""What the prompts that are decoded at once on a CPU weigh: more would leave its last-level cache."""


@dataclass(frozen=True)
class DecodedPoints:
    """What the decoder says of N points, each of which proposes M masks: subpart, part and whole.

    Attributes:
        predicted_iou: (N * M,) float32.
        confident: (K,) int64, which of them pass the floor.
        logits: (K, 4h, 4w) float32, low resolution, of those.
    """

    predicted_iou: torch.Tensor
    confident: torch.Tensor
    logits: torch.Tensor


class PointDecoder(Protocol):
    """The decoder of one image."""

    def decode(
        self, points: npt.NDArray[np.float64], image_size: tuple[int, int], pred_iou_floor: float
    ) -> DecodedPoints:
        """Decodes foreground points, each a prompt of its own (paper §3, "Resolving ambiguity").

        Args:
            points: (N, 2) float64 XY, px of the image.
            image_size: Height and width of the image in px.
            pred_iou_floor: Masks at or below are not drawn; 0 draws all.
        """
        ...


def open_decoder(sam: Sam, embedding: torch.Tensor, arithmetic: Arithmetic) -> PointDecoder:
    """Prepares the decoder for an image.

    Args:
        sam: The model. Where its decoder is not `segment_anything`'s own, it is called as a whole.
        embedding: (1, C, h, w) float32 of the image.
        arithmetic: How sums are done.

    Raises:
        SettingsError: The model is on a CPU and the arithmetic is float16, or bfloat16 where the CPU imitates it.
    """
    dtype = compute_dtype(sam.device, arithmetic)
    if not is_standard(sam):
        return WholeDecoder(sam, embedding, dtype)
    if arithmetic is Arithmetic.REFERENCE:
        return GuardedDecoder(sam, embedding)
    return SharedDecoder(sam, embedding, dtype)


class WholeDecoder:
    """Calls the model's mask decoder as it is, whatever it is."""

    def __init__(self, sam: Sam, embedding: torch.Tensor, dtype: torch.dtype) -> None:
        self._sam, self._embedding, self._dtype = sam, embedding, dtype

    def decode(
        self, points: npt.NDArray[np.float64], image_size: tuple[int, int], pred_iou_floor: float
    ) -> DecodedPoints:
        """See `PointDecoder`."""
        low = self._dtype != torch.float32
        with torch.no_grad(), torch.autocast(self._sam.device.type, self._dtype, enabled=low):
            sparse, dense = embed_points(self._sam, points, image_size)
            logits, predicted_iou = self._sam.mask_decoder(
                image_embeddings=self._embedding,
                image_pe=self._sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
            )
        scores = predicted_iou.float().flatten()
        confident = _above(scores, pred_iou_floor)
        return DecodedPoints(scores, confident, logits.flatten(0, 1)[confident].float())


class SharedDecoder:
    """Does the work that prompts share once (`SharedWork`), a few prompts at a time."""

    def __init__(self, sam: Sam, embedding: torch.Tensor, dtype: torch.dtype) -> None:
        self._sam = sam
        with torch.no_grad():
            self._work = SharedWork(sam, embedding, dtype)
        on_cpu = sam.device.type == "cpu"
        self._at_once = max(1, CACHED_BYTES // self._work.bytes_each) if on_cpu else None

    def decode(
        self, points: npt.NDArray[np.float64], image_size: tuple[int, int], pred_iou_floor: float
    ) -> DecodedPoints:
        """See `PointDecoder`."""
        with torch.no_grad():
            sparse, _ = embed_points(self._sam, points, image_size)
            parts = [_decode(self._work, part, pred_iou_floor) for part in sparse.split(self._at_once or len(sparse))]
        starts = np.cumsum([0] + [len(part.predicted_iou) for part in parts[:-1]]).tolist()
        return DecodedPoints(
            torch.cat([part.predicted_iou for part in parts]),
            torch.cat([start + part.confident for start, part in zip(starts, parts, strict=True)]),
            torch.cat([part.logits for part in parts]),
        )


_equal_to_official: WeakKeyDictionary[torch.nn.Module, dict[int, bool]] = WeakKeyDictionary()


class GuardedDecoder:
    """Bit for bit the official decoder, in less time (`ReferenceOrder`).

    The first batch of each size is decoded by the official code as well; where the two differ in a bit, the official
    code is used from then on.
    """

    def __init__(self, sam: Sam, embedding: torch.Tensor) -> None:
        self._sam = sam
        self._official = WholeDecoder(sam, embedding, torch.float32)
        with torch.no_grad():
            self._work = ReferenceOrder(sam, embedding)

    def decode(
        self, points: npt.NDArray[np.float64], image_size: tuple[int, int], pred_iou_floor: float
    ) -> DecodedPoints:
        """See `PointDecoder`."""
        known = _equal_to_official.setdefault(self._sam.mask_decoder, {})
        if known.get(len(points)) is False:
            return self._official.decode(points, image_size, pred_iou_floor)
        with torch.no_grad():
            sparse, _ = embed_points(self._sam, points, image_size)
            ours = _decode(self._work, sparse, pred_iou_floor)
        if len(points) not in known and len(ours.confident):
            official = self._official.decode(points, image_size, pred_iou_floor)
            known[len(points)] = _equal(ours, official)
            if not known[len(points)]:
                warnings.warn(
                    f"torch {torch.__version__} adds up in another order on this machine when work is shared between "
                    "prompts; the official decoder is used as it is: the results are the same, but this takes longer.",
                    RuntimeWarning,
                    stacklevel=2,
                )
                return official
        return ours


def _decode(work: SharedWork | ReferenceOrder, sparse: torch.Tensor, pred_iou_floor: float) -> DecodedPoints:
    """Looks at the predicted IoU of sparse prompt embeddings (B, P, C), and draws only what passes."""
    tokens, image = work.attend(sparse)
    predicted_iou = work.score(tokens)
    scores = predicted_iou.flatten()
    confident, wanted, rows = _confident(predicted_iou, pred_iou_floor)
    if len(wanted) == 0:
        return DecodedPoints(scores, confident, scores.new_zeros(0, *work.logits_size))
    drawn = work.draw(tokens, image, wanted)  # type: ignore[arg-type]  # what the same object's `attend` gave
    return DecodedPoints(scores, confident, drawn[rows, confident % predicted_iou.shape[1]])


def _confident(predicted_iou: torch.Tensor, floor: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of (B, M) predicted IoU: the outputs above the floor (K,), their prompts (W,), and each one's place in those."""
    confident = _above(predicted_iou.flatten(), floor)
    prompts = torch.div(confident, predicted_iou.shape[1], rounding_mode="floor")
    wanted, rows = prompts.unique(return_inverse=True)
    return confident, wanted, rows


def _above(scores: torch.Tensor, floor: float) -> torch.Tensor:
    chosen = scores > floor if floor > 0 else torch.ones_like(scores, dtype=torch.bool)
    return chosen.nonzero()[:, 0]


def _equal(a: DecodedPoints, b: DecodedPoints) -> bool:
    return torch.equal(a.predicted_iou, b.predicted_iou) and torch.equal(a.logits, b.logits)
