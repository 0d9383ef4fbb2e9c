"""Realistic logits in place of a decoder's, for models whose trained weights are not at hand.

With random weights a decoder does all of its work and draws noise. Here its work is done and its outcome is replaced,
in the official generator and in ours alike, by smooth blobs of three sizes around each point, half of which pass the
official threshold of predicted IoU.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from segment_anything.modeling import Sam

from sa_pipeline.masks.crops import generate_crops
from sa_pipeline.masks.point_grids import build_point_grid, points_per_side_of_layer
from sa_pipeline.sam import point_decoding
from sa_pipeline.settings import MaskSettings

SIDE = 256
SHAPES = 12
RADII = (10, 28, 70)
"""Of the three masks of a point, in low-resolution px of 256."""


class StandIn:
    """Blobs for the points of an image, handed out in the order in which the points are decoded."""

    def __init__(self, image_size: tuple[int, int], settings: MaskSettings) -> None:
        self._bank = _blobs()
        longest = max(image_size)
        positions = []
        for crop in generate_crops(image_size, settings.crop_n_layers, settings.crop_overlap_ratio):
            side = points_per_side_of_layer(
                settings.points_per_side, crop.layer, settings.crop_n_points_downscale_factor
            )
            covered = np.array(crop.size)[::-1] / max(crop.size) * SIDE
            positions.append(build_point_grid(side) * covered)
        self._positions = np.concatenate(positions).astype(int)
        random = np.random.default_rng(longest)
        self._scores = torch.from_numpy(random.uniform(0.76, 1.0, (len(self._positions), 3)).astype(np.float32))
        self._next = 0

    def rewind(self) -> None:
        """Begins again with the image's first point."""
        self._next = 0

    def take(self, count: int) -> range:
        """The numbers of the next points."""
        taken = range(self._next, self._next + count)
        self._next += count
        return taken

    def scores(self, points: range) -> torch.Tensor:
        """(N, 3) float32 predicted IoU."""
        return self._scores[points.start : points.stop]

    def logits(self, points: list[int]) -> torch.Tensor:
        """(N, 3, 256, 256) float32."""
        masks = torch.empty(len(points), 3, SIDE, SIDE)
        for row, point in enumerate(points):
            x, y = SIDE - self._positions[point]
            masks[row] = self._bank[point % SHAPES, :, y : y + SIDE, x : x + SIDE]
        return masks


class DecoderStandIn(torch.nn.Module):
    """The official decoder with another outcome."""

    def __init__(self, decoder: torch.nn.Module, stand_in: StandIn) -> None:
        super().__init__()
        self.decoder, self.stand_in = decoder, stand_in

    def forward(self, **inputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Decodes, and returns blobs."""
        logits, _ = self.decoder(**inputs)
        points = self.stand_in.take(len(logits))
        return self.stand_in.logits(list(points)), self.stand_in.scores(points)


@contextlib.contextmanager
def official_stands_in(sam: Sam, stand_in: StandIn) -> Iterator[None]:
    """Within, the official code sees blobs."""
    stand_in.rewind()
    decoder = sam.mask_decoder
    sam.mask_decoder = DecoderStandIn(decoder, stand_in)
    try:
        yield
    finally:
        sam.mask_decoder = decoder


@contextlib.contextmanager
def ours_stands_in(stand_in: StandIn) -> Iterator[None]:
    """Within, our decoders see blobs; they must have been compared with the official one before."""
    stand_in.rewind()
    before = point_decoding.SharedWork, point_decoding.ReferenceOrder
    point_decoding.SharedWork = _standing_in(before[0], stand_in)  # type: ignore[misc]
    point_decoding.ReferenceOrder = _standing_in(before[1], stand_in)  # type: ignore[misc]
    try:
        yield
    finally:
        point_decoding.SharedWork, point_decoding.ReferenceOrder = before  # type: ignore[misc]


def _standing_in(work: type, stand_in: StandIn) -> type:
    class Work(work):  # type: ignore[misc]
        def attend(self, sparse: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            self.points = stand_in.take(len(sparse))
            return super().attend(sparse)

        def score(self, tokens: torch.Tensor) -> torch.Tensor:
            super().score(tokens)
            return stand_in.scores(self.points)

        def draw(self, tokens: torch.Tensor, image: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
            super().draw(tokens, image, wanted)
            return stand_in.logits([self.points[row] for row in wanted.tolist()])

    return Work


def _blobs() -> torch.Tensor:
    """(SHAPES, 3, 512, 512) float32: a disc with a wavy border in the middle of each."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:512, :512] - SIDE
    distance = np.hypot(rows, columns)
    bank = np.empty((SHAPES, 3, 512, 512), np.float32)
    for shape in range(SHAPES):
        for level, radius in enumerate(RADII):
            waves = ndimage.gaussian_filter(random.standard_normal((512, 512)), radius / 3)
            fine = ndimage.gaussian_filter(random.standard_normal((512, 512)), 2)
            border = radius * (1 + 0.3 * waves / waves.std()) - distance
            bank[shape, level] = np.clip(3 * border, -15, 15) + 0.5 * fine / fine.std()
    return torch.from_numpy(bank)
