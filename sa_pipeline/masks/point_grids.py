"""The regular grid of point prompts, for the image and for each layer of crops."""

import numpy as np
import numpy.typing as npt


def build_point_grid(points_per_side: int) -> npt.NDArray[np.float64]:
    """Evenly spaced points in the unit square (paper §4, "Fully automatic stage").

    Args:
        points_per_side: Number of points along x and along y.

    Returns:
        (points_per_side ** 2, 2) float64 XY in (0, 1), row by row.

    Example:
        >>> build_point_grid(2).tolist()
        [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    """
    offset = 1 / (2 * points_per_side)
    side = np.linspace(offset, 1 - offset, points_per_side)
    x, y = np.meshgrid(side, side)
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def points_per_side_of_layer(points_per_side: int, layer: int, downscale_factor: int) -> int:
    """Points per side in a layer of crops: the full image's number, divided by the factor once a layer."""
    return int(points_per_side / downscale_factor**layer)
