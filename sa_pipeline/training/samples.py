"""Training samples: an image with its masks, from SA-1B tars or drawn on the fly, brought to the model's input."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from sa_pipeline.sa1b.members import list_members, opened, read_member
from sa_pipeline.sa1b.records import parse_record
from sa_pipeline.training.scenes import Scene, draw_scene

MASK_STRIDE = 4
"""Input pixels per pixel of the low-resolution logits."""

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""`Sam.preprocess`'s own constants."""


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


class ShardSource:
    """Images and masks of SA-1B tars, ours or Meta's, in random order."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Lists the tars' members; pixels are read when they are asked for."""
        self._members = []
        for path in paths:
            with opened(path) as (file, name):
                by_name = {member.name: member for member in list_members(file, name)}
            images = sorted(name for name in by_name if name.endswith(".jpg"))
            self._members += [(path, by_name[name], by_name[name[:-4] + ".json"]) for name in images]

    def __len__(self) -> int:
        """Number of images."""
        return len(self._members)

    def sample(self, seed: tuple[int, ...]) -> Scene:
        """Reads an image drawn at random."""
        rng = np.random.default_rng((*seed, 3))
        path, jpeg, record_member = self._members[int(rng.integers(len(self._members)))]
        with opened(path) as (file, name):
            encoded = read_member(file, jpeg, name)
            record = parse_record(read_member(file, record_member, name), record_member.name)
        image = np.asarray(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR), np.uint8)
        annotations = [annotation for annotation in record.annotations if annotation.area > 0]
        rles = [{"size": list(a.segmentation.size), "counts": a.segmentation.counts.encode()} for a in annotations]
        masks = coco_mask.decode(rles).transpose(2, 0, 1).view(np.bool_)
        weights = np.array([annotation.predicted_iou for annotation in annotations], np.float32)
        return Scene(np.ascontiguousarray(image[..., ::-1]), masks, weights)


@dataclass(frozen=True)
class Prepared:
    """A sample at the model's input size.

    Attributes:
        image: (3, S, S) float32, normalised and padded with zeros as `Sam.preprocess` does.
        masks: (N, S, S) bool, N >= 1.
        low_masks: (N, S / 4, S / 4) float32 of 0 and 1, where at least half of the pixels are mask.
        weights: (N,) float32.
    """

    image: Tensor
    masks: Tensor
    low_masks: Tensor
    weights: Tensor


def prepare_sample(scene: Scene, size: int, rng: np.random.Generator, augment: bool) -> Prepared | None:
    """Brings a scene to the input size, with random crop, mirror and brightness if asked.

    Returns:
        None if no mask is left that covers a low-resolution pixel.
    """
    image, masks = scene.image, scene.masks
    if augment:
        image, masks = _random_window(image, masks, rng)
    scale = size / max(image.shape[:2])
    height, width = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
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


def _random_window(
    image: npt.NDArray[np.uint8], masks: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    height, width = image.shape[:2]
    share = float(rng.uniform(0.6, 1.0)) if rng.random() < 0.6 else 1.0
    crop_height, crop_width = int(height * share), int(width * share)
    top, left = int(rng.integers(height - crop_height + 1)), int(rng.integers(width - crop_width + 1))
    window = np.s_[top : top + crop_height, left : left + crop_width]
    image, masks = image[window], masks[:, window[0], window[1]]
    if rng.random() < 0.5:
        image, masks = image[:, ::-1], masks[:, :, ::-1]
    return image, masks
