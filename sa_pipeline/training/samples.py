"""Training samples: an image with its masks, annotated or drawn on the fly, brought to the model's input."""

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sa_pipeline.annotated.image import AnnotatedSource
from sa_pipeline.sam.tiny import PIXEL_MEAN, PIXEL_STD
from sa_pipeline.training.scenes import Scene, draw_scene

MASK_STRIDE = 4
"""Input pixels per pixel of the low-resolution logits."""

LEAST_WEIGHT = 1e-6
"""Of a mask whose predicted IoU is zero: chances must be above it."""


class SampleSource(Protocol):
    """Where samples come from."""

    def sample(self, seed: tuple[int, ...]) -> Scene:
        """An image with its masks, the same one for the same seed."""
        ...


@dataclass(frozen=True)
class DrawnSource:
    """Scenes drawn on the fly.

    Attributes:
        size: Side of the square scenes in px.
        difficulty: Highest difficulty; each scene draws its own between 0 and that.
    """

    size: int
    difficulty: float

    def sample(self, seed: tuple[int, ...]) -> Scene:
        """Draws a scene."""
        rng = np.random.default_rng((*seed, 2))
        return draw_scene(seed, (self.size, self.size), self.difficulty * float(rng.uniform(0.3, 1.0)))


class AnnotatedScenes:
    """Annotated images of any source, in random order; where several people segmented one, one of them at random."""

    def __init__(self, source: AnnotatedSource, max_mask_share: float = 1.0, *, weighted: bool = False) -> None:
        """Takes the source.

        Args:
            source: Images and masks.
            max_mask_share: Masks that cover more of the image than this are left out.
            weighted: Whether a mask weighs as much as its predicted IoU instead of 1, as scenes that our own code
                wrote as SA-1B tars have it.
        """
        self._source, self._max_mask_share, self._weighted = source, max_mask_share, weighted
        names = source.names
        # Which image a seed draws depends on the names, not on how a source happens to list them.
        self._order = sorted(range(len(names)), key=lambda index: names[index])

    def __len__(self) -> int:
        """Number of images."""
        return len(self._order)

    def sample(self, seed: tuple[int, ...]) -> Scene:
        """Reads an image drawn at random; it may have no mask.

        Raises:
            SaPipelineError: A file is missing or damaged.
        """
        rng = np.random.default_rng((*seed, 3))
        image = self._source.read(self._order[int(rng.integers(len(self._order)))])
        person = int(rng.integers(len(image.annotators)))
        count = len(image.annotators[person])
        by_column = np.zeros((count, *image.size[::-1]), np.bool_)
        for index in range(count):
            by_column[index] = image.mask(person, index).T
        weights = np.ones(count, np.float32)
        if self._weighted and image.predicted_ious is not None:
            weights = np.maximum(np.array(image.predicted_ious[person], np.float32), np.float32(LEAST_WEIGHT))
        if self._max_mask_share < 1.0:
            kept = by_column.mean(axis=(1, 2)) <= self._max_mask_share
            by_column, weights = by_column[kept], weights[kept]
        return Scene(image.pixels, by_column.transpose(0, 2, 1), weights)


@dataclass(frozen=True)
class Prepared:
    """A sample at the model's input size.

    Attributes:
        image: (3, S, S) float32, normalised and padded with zeros as `Sam.preprocess` does.
        masks: (N, S, S) bool, N >= 1.
        low_masks: (N, S / 4, S / 4) float32 of 0 and 1, where at least half of the pixels are mask.
        weights: (N,) float32.
        embedding: (C, h, w) float32 of the image where it is known; the image itself is then left out, (3, 0, 0).
    """

    image: Tensor
    masks: Tensor
    low_masks: Tensor
    weights: Tensor
    embedding: Tensor | None = None


def prepare_sample(
    scene: Scene,
    size: int,
    rng: np.random.Generator,
    augment: bool,
    jitter: tuple[float, float] | None = None,
) -> Prepared | None:
    """Brings a scene to the input size.

    Args:
        scene: With any number of masks.
        size: Side of the input in px.
        rng: Source of chance.
        augment: Whether to crop a little, mirror and brighten at random.
        jitter: Range of large-scale jitter, a factor on the size at which the image just fits: it is scaled by a
            random one, mirrored, and cropped or padded to the input (Appendix A, "Training recipe").

    Returns:
        None if no mask is left that covers a low-resolution pixel.
    """
    image, masks = scene.image, scene.masks
    if augment:
        image, masks = _random_window(image, masks, rng)
    scale = size / max(image.shape[:2])
    if jitter is not None:
        scale *= float(rng.uniform(*jitter))
        image, masks = _mirrored(*_cropped(image, masks, math.ceil(size / scale), rng), rng)
    height, width = (min(size, max(1, round(side * scale))) for side in image.shape[:2])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), interpolation=interpolation).astype(np.float32)
    if augment:
        resized = np.clip(resized * rng.uniform(0.8, 1.2) + rng.normal(0, 10), 0, 255)
    padded = np.zeros((size, size, 3), np.float32)
    padded[:height, :width] = (resized - np.array(PIXEL_MEAN, np.float32)) / np.array(PIXEL_STD, np.float32)
    # By columns, as run-length decoding leaves masks in memory: the other way round takes several times as long.
    by_column = np.zeros((len(masks), size, size), np.uint8)
    for mask, target in zip(masks.transpose(0, 2, 1).view(np.uint8), by_column, strict=True):
        target[:width, :height] = cv2.resize(mask, (height, width), interpolation=cv2.INTER_NEAREST)
    placed = by_column.transpose(0, 2, 1).view(np.bool_)
    # Four of a cell's sixteen pixels: nearly its mean, for a fraction of the time.
    quarters = [placed[:, i::MASK_STRIDE, j::MASK_STRIDE].astype(np.uint8) for i in (1, 2) for j in (1, 2)]
    low = np.ascontiguousarray(sum(quarters) >= 2).astype(np.float32)
    kept = low.sum(axis=(1, 2)) >= 2
    if not kept.any():
        return None
    return Prepared(
        torch.from_numpy(padded.transpose(2, 0, 1).copy()),
        torch.from_numpy(placed[kept]),
        torch.from_numpy(low[kept]),
        torch.from_numpy(scene.weights[kept]),
    )


_ImageAndMasks = tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]


def _random_window(
    image: npt.NDArray[np.uint8], masks: npt.NDArray[np.bool_], rng: np.random.Generator
) -> _ImageAndMasks:
    share = float(rng.uniform(0.6, 1.0)) if rng.random() < 0.6 else 1.0
    height, width = image.shape[:2]
    return _mirrored(*_window(image, masks, (int(height * share), int(width * share)), rng), rng)


def _cropped(
    image: npt.NDArray[np.uint8], masks: npt.NDArray[np.bool_], longest: int, rng: np.random.Generator
) -> _ImageAndMasks:
    height, width = image.shape[:2]
    return _window(image, masks, (min(height, longest), min(width, longest)), rng)


def _window(
    image: npt.NDArray[np.uint8], masks: npt.NDArray[np.bool_], size: tuple[int, int], rng: np.random.Generator
) -> _ImageAndMasks:
    top, left = (int(rng.integers(side - part + 1)) for side, part in zip(image.shape[:2], size, strict=True))
    window = np.s_[top : top + size[0], left : left + size[1]]
    return image[window], masks[:, window[0], window[1]]


def _mirrored(image: npt.NDArray[np.uint8], masks: npt.NDArray[np.bool_], rng: np.random.Generator) -> _ImageAndMasks:
    return (image[:, ::-1], masks[:, :, ::-1]) if rng.random() < 0.5 else (image, masks)
