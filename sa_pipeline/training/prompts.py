"""Simulated prompts: a first click or noised box for a mask, then clicks into the error region (Appendix A)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BOX_NOISE = 0.1
"""Standard deviation of a box's corners as part of its side."""

BOX_NOISE_LIMIT = 20.0
"""Largest shift of a box's corner in px."""


@dataclass(frozen=True)
class FirstPrompts:
    """The prompts that one image starts with: clicks first, then boxes.

    Attributes:
        points: (P, 2) float32 XY in px.
        boxes: (B, 4) float32 XYXY in px.
        targets: (P + B,) int64, the index of the mask that each prompt is supervised with.
        allowed: (P + B, N) bool, all masks that each prompt may mean: those under the click, or the boxed one.
    """

    points: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64]
    allowed: npt.NDArray[np.bool_]


def sample_first_prompts(rng: np.random.Generator, masks: npt.NDArray[np.bool_], count: int) -> FirstPrompts:
    """Chooses masks at random, larger ones more often, and prompts for them, half clicks and half boxes.

    A click is placed in a random mask; what it is supervised with is drawn from all masks under it, as a
    click on a part may mean the part or the whole.

    Args:
        rng: Source of chance.
        masks: (N, H, W), N >= 1, none empty.
        count: Number of prompts; half of it, rounded up, are clicks.
    """
    # By the root of the area: uniformly, small masks would be most of the prompts and drown the gradient.
    weights = np.sqrt(masks.mean(axis=(1, 2)))
    chosen = rng.choice(len(masks), size=count, p=weights / weights.sum())
    clicks = (count + 1) // 2
    points = np.stack([random_pixel(rng, masks[i]) for i in chosen[:clicks]])
    columns, rows = points.astype(np.int64).T
    under_click = masks[:, rows, columns].T
    targets = [int(rng.choice(np.flatnonzero(under))) for under in under_click]
    boxes = np.stack([noised_box(rng, masks[i]) for i in chosen[clicks:]])
    return FirstPrompts(
        points=points,
        boxes=boxes,
        targets=np.concatenate([targets, chosen[clicks:]]).astype(np.int64),
        allowed=np.concatenate([under_click, np.eye(len(masks), dtype=np.bool_)[chosen[clicks:]]]),
    )


def random_pixel(rng: np.random.Generator, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """A pixel of `mask` (H, W), each equally likely, as (2,) float32 XY of its centre."""
    flat = np.flatnonzero(mask)
    row, column = divmod(int(flat[rng.integers(len(flat))]), mask.shape[1])
    return np.array([column + 0.5, row + 0.5], np.float32)


def noised_box(rng: np.random.Generator, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """The box around `mask` (H, W) with shifted corners, (4,) float32 XYXY within the image."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
    sides = np.tile(box[2:] - box[:2], 2)
    box += np.clip(rng.normal(0.0, BOX_NOISE, 4) * sides, -BOX_NOISE_LIMIT, BOX_NOISE_LIMIT)
    limit = np.tile(np.array(mask.shape[::-1], np.float64), 2)
    return np.clip(box, 0.0, limit).astype(np.float32)


def correction_click(
    rng: np.random.Generator, predicted: npt.NDArray[np.bool_], target: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], int]:
    """A click into the error region: foreground where the mask misses something, background where it has too much.

    Args:
        rng: Source of chance.
        predicted: (h, w) mask so far.
        target: (h, w) mask wanted, not empty.

    Returns:
        XY (2,) float32 in the masks' pixels, and the label: 1 for foreground, 0 for background. Without any
        error it is another foreground click.
    """
    wrong = predicted != target
    point = random_pixel(rng, wrong if wrong.any() else target)
    column, row = point.astype(np.int64)
    return point, int(target[row, column])
