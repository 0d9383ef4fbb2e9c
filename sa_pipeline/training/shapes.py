"""Random outlines: superellipses (discs to rounded rectangles), polygons, blobs, bars, curved strokes."""

import cv2
import numpy as np
import numpy.typing as npt

OUTLINE_POINTS = 72


def draw_shape(
    rng: np.random.Generator, size: tuple[int, ...], centre: tuple[float, float], radius: float
) -> npt.NDArray[np.uint8]:
    """Draws one filled random shape.

    Args:
        rng: Source of chance.
        size: Height and width of the mask in px.
        centre: XY in px; may lie near the border, the shape is cut there.
        radius: Rough radius in px.

    Returns:
        (H, W) uint8 of 0 and 1; empty if the shape lies outside.
    """
    mask = np.zeros(size[:2], np.uint8)
    kind = rng.choice(["superellipse", "polygon", "blob", "bar", "stroke"], p=[0.36, 0.2, 0.24, 0.1, 0.1])
    if kind == "stroke":
        steps = rng.normal(0.0, 0.55 * radius, (5, 2)) + rng.normal(0.0, 0.4 * radius, 2)
        path = np.array(centre) + np.cumsum(steps, axis=0) - steps.sum(axis=0) / 2
        thickness = max(3, int(radius * rng.uniform(0.15, 0.4)))
        cv2.polylines(mask, [np.rint(path).astype(np.int32)], False, 1, thickness)
        return mask
    outline = {"superellipse": _superellipse, "polygon": _polygon, "blob": _blob, "bar": _bar}[str(kind)](rng)
    angle = rng.uniform(0, np.pi) if rng.random() < 0.7 else 0.0
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.array(centre) + radius * outline @ rotation.T
    cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 1)
    return mask


def draw_half_plane(rng: np.random.Generator, body: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Cuts `body` (H, W) along a random line through its middle region and returns one side, uint8 of 0 and 1."""
    rows, columns = np.nonzero(body)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * columns + np.sin(angle) * rows
    cut = np.quantile(along[:: max(1, len(along) // 500)], rng.uniform(0.25, 0.75))
    side = np.zeros_like(body)
    chosen = along > cut
    side[rows[chosen], columns[chosen]] = 1
    return side


def _superellipse(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    theta = np.linspace(0, 2 * np.pi, OUTLINE_POINTS, endpoint=False)
    exponent = 2.0 / rng.choice([2.0, 2.0, 4.0, 8.0, 30.0])
    unit = np.stack([_signed_power(np.cos(theta), exponent), _signed_power(np.sin(theta), exponent)], axis=1)
    return np.asarray(unit * np.array([1.0, rng.uniform(0.4, 1.0)]))


def _signed_power(x: npt.NDArray[np.float64], exponent: float) -> npt.NDArray[np.float64]:
    return np.asarray(np.sign(x) * np.abs(x) ** exponent)


def _bar(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    half_width = rng.uniform(0.06, 0.2)
    return 1.4 * np.array([[-1, -half_width], [1, -half_width], [1, half_width], [-1, half_width]])


def _polygon(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    corners = int(rng.integers(3, 9))
    theta = (np.arange(corners) + rng.uniform(-0.35, 0.35, corners)) * 2 * np.pi / corners
    lengths = rng.uniform(0.5, 1.2, corners)[:, None]
    return np.asarray(lengths * np.stack([np.cos(theta), np.sin(theta)], axis=1))


def _blob(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    theta = np.linspace(0, 2 * np.pi, OUTLINE_POINTS, endpoint=False)
    length = np.ones_like(theta)
    for harmonic in range(2, 8):
        length += rng.normal(0, 0.35 / harmonic) * np.cos(harmonic * theta + rng.uniform(0, 2 * np.pi))
    unit = np.stack([np.cos(theta), rng.uniform(0.5, 1.0) * np.sin(theta)], axis=1)
    return np.asarray(np.clip(length, 0.25, 1.8)[:, None] * unit)
