"""How low-resolution logits become full-size ones: two bilinear interpolations, as index and weight tables.

`Sam.postprocess_masks` enlarges logits to the model's square input, cuts the padding off and resizes what is left to
the image. Both steps are separable, so that a table for each axis and step says all there is to know, and any pixel
can be evaluated by itself.
"""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TILE_PIXELS = 40
"""Full-size pixels that a tile's side aims at: small enough that most tiles hold no border, large enough that
looking at a tile costs less than evaluating it."""


@dataclass(frozen=True)
class Enlargement:
    """Sizes on the way from logits to an image, height before width, in px.

    Attributes:
        logits_size: Of the low-resolution logits.
        model_size: Side of the model's square input.
        input_size: The part of that square which the image covers.
        image_size: Of the image or crop.
    """

    logits_size: tuple[int, int]
    model_size: int
    input_size: tuple[int, int]
    image_size: tuple[int, int]

    @property
    def rows(self) -> "AxisTables":
        """Tables of the vertical axis."""
        return _axis_tables(self.logits_size[0], self.model_size, self.input_size[0], self.image_size[0])

    @property
    def columns(self) -> "AxisTables":
        """Tables of the horizontal axis."""
        return _axis_tables(self.logits_size[1], self.model_size, self.input_size[1], self.image_size[1])


@dataclass(frozen=True)
class StepTables:
    """One interpolation along one axis: the sources of N outputs and what they weigh.

    Attributes:
        lower: (N,) int64.
        upper: (N,) int64, the same or one more.
        weights: (2, N) float32.
    """

    lower: npt.NDArray[np.int64]
    upper: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


@dataclass(frozen=True)
class AxisTables:
    """Both interpolations along one axis, and the axis cut into tiles.

    Attributes:
        to_input: From logits to the model's input, without its padding.
        to_image: From there to the image.
        edges: (K + 1,) int64; tile k covers the image's px from edges[k] to edges[k + 1], exclusive.
    """

    to_input: StepTables
    to_image: StepTables
    edges: npt.NDArray[np.int64]


@functools.lru_cache(maxsize=256)
def _axis_tables(logits: int, model: int, covered: int, image: int) -> AxisTables:
    to_input = _step_tables(logits, model, covered)
    to_image = _step_tables(covered, image, image)
    first_cell = to_input.lower[to_image.lower]
    cells_a_tile = max(1, round(TILE_PIXELS * (first_cell[-1] + 1) / image))
    starts = np.flatnonzero(np.diff(first_cell // cells_a_tile, prepend=-1))
    return AxisTables(to_input, to_image, np.append(starts, image))


def _step_tables(source: int, target: int, wanted: int) -> StepTables:
    """The first `wanted` of `target` outputs of torch's `interpolate(mode="bilinear", align_corners=False)`."""
    # torch computes max(fma(scale, i + 0.5, -0.5), 0) in float32. In float64 product and sum are exact here, so that
    # the one rounding at the end is that of the fused operation.
    scale = np.float32(source) / np.float32(target)
    positions = np.float64(scale) * (np.arange(wanted) + 0.5) - 0.5
    positions = np.maximum(positions.astype(np.float32), np.float32(0))
    lower = np.minimum(positions.astype(np.int64), source - 1)
    fraction = np.clip(positions - lower.astype(np.float32), np.float32(0), np.float32(1))
    weights = np.stack([np.float32(1) - fraction, fraction])
    return StepTables(lower, np.minimum(lower + 1, source - 1), weights.astype(np.float32))
