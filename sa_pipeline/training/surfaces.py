"""What drawn objects look like: colour, texture, shading, soft edges, and the faults of a camera."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "brick", "grass", "gravel", "camera", "coins", "moon")
"""Images inside scikit-image's wheel whose patches serve as textures."""


@dataclass(frozen=True)
class Surface:
    """How one object is painted.

    Attributes:
        colour: (3,) float32 RGB, 0 to 255.
        texture: Weight of a photograph's deviation from its mean; 0 for none.
        mottle: Amplitude of smooth noise in grey levels.
        shading: Amplitude of a linear brightness gradient in grey levels.
    """

    colour: npt.NDArray[np.float32]
    texture: float
    mottle: float
    shading: float


def random_surface(rng: np.random.Generator, difficulty: float) -> Surface:
    """Chooses colour and texture; at difficulty 0 there is only colour and some gradient."""
    colour = rng.uniform(0, 255, 3).astype(np.float32)
    if rng.random() < 0.5 * difficulty:
        grey = float(colour.mean())
        colour = (grey + 0.35 * (colour - grey)).astype(np.float32)
    return Surface(
        colour=colour,
        texture=difficulty * float(rng.uniform(0.1, 0.9)) if rng.random() < 0.75 * difficulty else 0.0,
        mottle=difficulty * float(rng.exponential(14.0)),
        shading=float(rng.normal(0, 10 + 30 * difficulty)) if rng.random() < 0.5 else 0.0,
    )


def paint(
    canvas: npt.NDArray[np.float32],
    mask: npt.NDArray[np.uint8],
    surface: Surface,
    rng: np.random.Generator,
    difficulty: float,
) -> None:
    """Paints `surface` onto `canvas` (H, W, 3) float32 in place where `mask` (H, W) uint8 is 1."""
    if not mask.any():
        return
    left, top, width, height = cv2.boundingRect(mask)
    margin = 4
    y0, y1 = max(0, top - margin), min(mask.shape[0], top + height + margin)
    x0, x1 = max(0, left - margin), min(mask.shape[1], left + width + margin)
    alpha = mask[y0:y1, x0:x1].astype(np.float32)
    softness = difficulty * float(rng.uniform(0, 1.2))
    if softness > 0.3:
        padded = cv2.copyMakeBorder(alpha, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        blurred = cv2.GaussianBlur(padded, (0, 0), softness)[margin:-margin, margin:-margin]
        alpha = np.asarray(blurred, np.float32)
    region = canvas[y0:y1, x0:x1]
    fill = _fill(region.shape[:2], surface, rng)
    region += alpha[..., None] * (fill - region)


def _fill(size: tuple[int, ...], surface: Surface, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    height, width = size
    fill = np.empty((height, width, 3), np.float32)
    fill[:] = surface.colour
    if surface.texture > 0:
        fill += surface.texture * _photograph_patch((height, width), rng)
    if surface.mottle > 1:
        cells = int(rng.choice([3, 6, 16]))
        noise = rng.normal(0, surface.mottle, (cells, cells)).astype(np.float32)
        fill += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    if surface.shading:
        angle = rng.uniform(0, 2 * np.pi)
        ramp_x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(np.cos(angle))
        ramp_y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
        fill += np.float32(surface.shading) * (ramp_x + ramp_y)[..., None]
    return fill


def _photograph_patch(size: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    photograph = _photograph(str(rng.choice(PHOTOGRAPHS)))
    side = int(rng.integers(48, 220))
    top = int(rng.integers(photograph.shape[0] - side))
    left = int(rng.integers(photograph.shape[1] - side))
    patch = photograph[top : top + side, left : left + side].astype(np.float32)
    if rng.random() < 0.5:
        patch = patch[..., ::-1]
    interpolation = cv2.INTER_AREA if side > size[0] else cv2.INTER_LINEAR
    resized = np.asarray(cv2.resize(patch, (size[1], size[0]), interpolation=interpolation), np.float32)
    return np.asarray(resized - resized.mean(axis=(0, 1)), np.float32)


@cache
def _photograph(name: str) -> npt.NDArray[np.uint8]:
    import skimage.data

    image = np.asarray(getattr(skimage.data, name)())
    return np.ascontiguousarray(np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3])


def finish_photo(canvas: npt.NDArray[np.float32], rng: np.random.Generator, difficulty: float) -> npt.NDArray[np.uint8]:
    """Adds blur, sensor noise and JPEG artefacts to `canvas` (H, W, 3) and returns it as uint8 RGB."""
    if rng.random() < 0.5 * difficulty:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.4, 1.2))), np.float32)
    if rng.random() < 0.8 * difficulty:
        noise = rng.standard_normal(canvas.shape, dtype=np.float32)
        canvas = canvas + float(rng.exponential(5.0)) * noise
    image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    if rng.random() < 0.5 * difficulty:
        quality = [int(cv2.IMWRITE_JPEG_QUALITY), int(rng.integers(40, 95))]
        _, encoded = cv2.imencode(".jpg", image[..., ::-1], quality)
        decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
        image = np.ascontiguousarray(decoded[..., ::-1])
    return image
