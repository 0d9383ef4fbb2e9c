"""Simulated prompts: a first click or noised box for a mask, then clicks into the error region (Appendix A)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BOX_NOISE = 0.1
"""Standard deviation of a box's corners as part of its side (Appendix A, "Interactive training")."""

BOX_NOISE_LIMIT = 20.0
"""Largest shift of a box's corner in px (same place)."""

MAX_TARGETS = 3
"""Masks that one click is supervised with at most: one for each of the decoder's three outputs."""

NESTED_AREA_RATIO = 1.4
"""Masks under one click count as different ones from this ratio of their areas on."""


@dataclass(frozen=True)
class FirstPrompts:
    """The prompts that one image starts with: clicks first, then boxes.

    Attributes:
        points: (P, 2) float32 XY in px.
        boxes: (B, 4) float32 XYXY in px.
        targets: (P + B, 3) int64, indices of the masks that each prompt is supervised with, from small to large; the
            first `counts` of a row matter.
        counts: (P + B,) int64, 1 to 3; 1 for boxes.
        chosen: (P + B,) int64, the one target that later prompts of the simulation go on with.
        allowed: (P + B, N) bool, all masks that each prompt may mean: those under the click, or the boxed one.
    """

    points: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    chosen: npt.NDArray[np.int64]
    allowed: npt.NDArray[np.bool_]


def sample_first_prompts(
    rng: np.random.Generator,
    masks: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.float32],
    count: int,
    box_share: float,
    nested: bool,
    distinct: bool = False,
) -> FirstPrompts:
    """Chooses masks at random and prompts for them.

    Args:
        rng: Source of chance.
        masks: (N, H, W), N >= 1, none empty.
        weights: (N,) above 0; masks are chosen in proportion to weight times the root of their area.
        count: Number of prompts.
        box_share: Share of prompts that are boxes instead of clicks; the paper's is a half.
        nested: Whether a click is supervised with up to three masks under it instead of one.
        distinct: Whether no mask is chosen twice and their areas do not matter; N prompts at most.
    """
    # By the root of the area: uniformly, small masks would be most of the prompts and drown the gradient.
    areas = masks.sum(axis=(1, 2))
    chances = weights.astype(np.float64) if distinct else weights * np.sqrt(areas)
    count = min(count, len(masks)) if distinct else count
    drawn = rng.choice(len(masks), size=count, replace=not distinct, p=chances / chances.sum())
    clicks = count - int(rng.binomial(count, box_share))
    points = np.array([random_pixel(rng, masks[index]) for index in drawn[:clicks]], np.float32).reshape(-1, 2)
    columns, rows = points.astype(np.int64).T
    under_click = masks[:, rows, columns].T
    targets = np.zeros((count, MAX_TARGETS), np.int64)
    counts = np.ones(count, np.int64)
    for prompt, index in enumerate(drawn):
        group = [int(index)]
        if nested and prompt < clicks:
            group = _nested_group(rng, int(index), under_click[prompt], areas, weights)
        targets[prompt, : len(group)], counts[prompt] = group, len(group)
    return FirstPrompts(
        points=points,
        boxes=np.array([noised_box(rng, masks[index]) for index in drawn[clicks:]], np.float32).reshape(-1, 4),
        targets=targets,
        counts=counts,
        chosen=drawn.astype(np.int64),
        allowed=np.concatenate([under_click, np.eye(len(masks), dtype=np.bool_)[drawn[clicks:]]]),
    )


def _nested_group(
    rng: np.random.Generator,
    first: int,
    under_click: npt.NDArray[np.bool_],
    areas: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32],
) -> list[int]:
    """`first` and up to two more masks under the click of clearly different areas, from small to large."""
    group = [first]
    others = np.flatnonzero(under_click)
    keys = rng.random(len(others)) ** (1.0 / weights[others])
    for other in others[np.argsort(-keys)]:
        ratios = [max(areas[other], areas[one]) / min(areas[other], areas[one]) for one in group]
        if min(ratios) >= NESTED_AREA_RATIO and len(group) < MAX_TARGETS:
            group.append(int(other))
    return sorted(group, key=lambda index: int(areas[index]))


def random_pixel(rng: np.random.Generator, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """A pixel of `mask` (H, W), each equally likely, as (2,) float32 XY; the prompt encoder adds half a pixel."""
    flat = np.flatnonzero(mask)
    row, column = divmod(int(flat[rng.integers(len(flat))]), mask.shape[1])
    return np.array([column, row], np.float32)


def noised_box(rng: np.random.Generator, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """The box around `mask` (H, W) with shifted corners, (4,) float32 XYXY within the image."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    box = np.array([columns[0], rows[0], columns[-1], rows[-1]], np.float64)
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
