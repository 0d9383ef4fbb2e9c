"""Drawn training scenes: overlapping objects with nested parts, from flat colours to photographic textures."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sa_pipeline.training.shapes import draw_half_plane, draw_shape
from sa_pipeline.training.surfaces import finish_photo, paint, random_surface

MIN_VISIBLE_FRACTION = 0.0015
"""Masks below this part of the image are left out: at the decoder's resolution nothing of them remains."""

MAX_VISIBLE_FRACTION = 0.8
"""Masks above this part of the image are left out: they are the whole picture."""


@dataclass(frozen=True)
class Scene:
    """A picture and the masks in it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        masks: (N, H, W) bool, N >= 1.
        weights: (N,) float32, 1 for an object known to be one, less for a region that only looks like one.
    """

    image: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.float32]


def draw_scene(seed: tuple[int, ...], size: tuple[int, int], difficulty: float) -> Scene:
    """Draws one scene.

    Args:
        seed: Any integers; the same ones give the same scene.
        size: Height and width in px.
        difficulty: 0 for flat colours with hard edges, 1 for textures, shading, soft edges and camera faults.

    Returns:
        The scene, with at least one mask.
    """
    rng = np.random.default_rng(seed)
    for _ in range(20):
        scene = _draw_once(rng, size, difficulty)
        if scene is not None:
            return scene
    raise AssertionError("twenty scenes in a row had no visible mask")


def _draw_once(rng: np.random.Generator, size: tuple[int, int], difficulty: float) -> Scene | None:
    canvas = np.zeros((*size, 3), np.float32)
    everywhere = np.ones(size, np.uint8)
    paint(canvas, everywhere, random_surface(rng, difficulty), rng, difficulty)
    masks = [everywhere.copy()]
    if rng.random() < 0.4:
        ground = draw_half_plane(rng, everywhere)
        _cover(masks, ground)
        paint(canvas, ground, random_surface(rng, difficulty), rng, difficulty)
        masks.append(ground)
    crowd = int(rng.integers(2, 6 + int(8 * difficulty)))
    scale = float(rng.uniform(0.6, 1.3)) * min(1.0, 2.6 / np.sqrt(crowd))
    for _ in range(crowd):
        _add_object(rng, canvas, masks, difficulty, scale)
    image = finish_photo(canvas, rng, difficulty)
    connected = [largest_component(mask) for mask in masks]
    kept = [m for m in connected if MIN_VISIBLE_FRACTION < float(m.mean()) < MAX_VISIBLE_FRACTION]
    return Scene(image, np.stack(kept), np.ones(len(kept), np.float32)) if kept else None


def _add_object(
    rng: np.random.Generator,
    canvas: npt.NDArray[np.float32],
    masks: list[npt.NDArray[np.uint8]],
    difficulty: float,
    scale: float,
) -> None:
    height, width = canvas.shape[:2]
    centre = (float(rng.uniform(0, width)), float(rng.uniform(0, height)))
    radius = float(np.exp(rng.uniform(np.log(0.05), np.log(0.38)))) * scale * min(height, width)
    body = draw_shape(rng, (height, width), centre, max(radius, 5.0))
    if not body.any():
        return
    _cover(masks, body)
    surface = random_surface(rng, difficulty)
    paint(canvas, body, surface, rng, difficulty)
    masks.append(body)
    if radius < 0.06 * min(height, width) or rng.random() < 0.35:
        return
    parts: list[npt.NDArray[np.uint8]] = []
    for _ in range(int(rng.integers(1, 4))):
        part = _draw_part(rng, body, radius)
        _cover(parts, part)
        paint(canvas, part, random_surface(rng, difficulty), rng, difficulty)
        parts.append(part)
    masks.extend(parts)


def _draw_part(rng: np.random.Generator, body: npt.NDArray[np.uint8], radius: float) -> npt.NDArray[np.uint8]:
    if rng.random() < 0.3:
        return draw_half_plane(rng, body)
    rows, columns = np.nonzero(body)
    chosen = int(rng.integers(len(rows)))
    centre = (float(columns[chosen]), float(rows[chosen]))
    part = draw_shape(rng, body.shape, centre, max(radius * float(rng.uniform(0.2, 0.55)), 4.0))
    return part & body


def _cover(masks: list[npt.NDArray[np.uint8]], above: npt.NDArray[np.uint8]) -> None:
    for mask in masks:
        mask &= 1 - above


def largest_component(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """The largest 4-connected component of `mask` (H, W) of 0 and 1, empty if there is none."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if count < 2:
        return np.zeros(mask.shape, np.bool_)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.asarray(labels == largest, np.bool_)
