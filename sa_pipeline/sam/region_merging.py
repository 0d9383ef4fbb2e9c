"""The compiled part of `region_tree`: agglomeration of neighbouring regions, nearest pair first.

numba compiles it when it is first called and keeps the result for later processes.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from sa_pipeline.compiled import compiled

WARD_EXPONENT = 0.5
"""Distances are multiplied by the share of the smaller region to this power: Ward's criterion for unequal sizes."""

COLOUR_SCALE, EDGE_SCALE, TEXTURE_GAIN, CHANNELS = 20.0, 6.0, 4.0, 3.0
"""Bring four of the terms of a distance to roughly 0 to 1."""

CONTRAST_WEIGHT = 3.0
"""Of the fifth against the others."""


def _distance(
    areas: Any, colours: Any, histograms: Any, textures: Any, a: int, b: int, border: float, share: float
) -> float:
    """Colour, colour histogram and texture of two neighbours and their border, times Ward's factor."""
    colour = 0.0
    for channel in range(colours.shape[1]):
        difference = colours[a, channel] / areas[a] - colours[b, channel] / areas[b]
        colour += difference * difference
    shared = 0.0
    for position in range(histograms.shape[1]):
        shared += min(histograms[a, position] / areas[a], histograms[b, position] / areas[b])
    texture = 0.0
    for channel in range(textures.shape[1]):
        one = math.log1p(TEXTURE_GAIN * textures[a, channel] / areas[a])
        other = math.log1p(TEXTURE_GAIN * textures[b, channel] / areas[b])
        texture += abs(one - other)
    whole = math.sqrt(colour) / COLOUR_SCALE + (1.0 - shared / CHANNELS) + texture / textures.shape[1] + border
    return whole * share**WARD_EXPONENT


_distance = compiled(_distance)


def _merge(
    node_areas: Any, colours: Any, histograms: Any, textures: Any, borders: Any, lengths: Any
) -> tuple[Any, Any]:
    leaves = len(colours)
    total = 2 * leaves - 1
    parents, heights = np.full(total, -1, np.int64), np.zeros(total, np.float64)
    # A merged region takes the place of the first of its two, the place of the second stays empty.
    node, alive = np.arange(leaves), np.ones(leaves, np.bool_)
    areas = node_areas[:leaves].copy()
    image_area = areas.sum()
    distances = np.full((leaves, leaves), np.inf)
    nearest, nearest_distance = np.zeros(leaves, np.int64), np.full(leaves, np.inf)
    for a in range(leaves):
        for b in range(leaves):
            if lengths[a, b] > 0:
                share = min(areas[a], areas[b]) / image_area
                border = borders[a, b] / lengths[a, b]
                distances[a, b] = _distance(areas, colours, histograms, textures, a, b, border, share)
        nearest[a] = np.argmin(distances[a])
        nearest_distance[a] = distances[a, nearest[a]]
    height = 0.0
    for made in range(leaves, total):
        a = int(np.argmin(nearest_distance))
        b = int(nearest[a])
        # A merger can make two regions closer than they were; heights still only rise.
        height = max(height, nearest_distance[a])
        parents[node[a]] = parents[node[b]] = made
        heights[made] = height
        node[a], alive[b] = made, False
        areas[a] += areas[b]
        node_areas[made] = areas[a]
        colours[a] += colours[b]
        histograms[a] += histograms[b]
        textures[a] += textures[b]
        borders[a] += borders[b]
        lengths[a] += lengths[b]
        lengths[a, a] = 0.0
        distances[a], distances[b], distances[:, b] = np.inf, np.inf, np.inf
        nearest_distance[b] = np.inf
        for other in range(leaves):
            if not alive[other] or lengths[a, other] == 0.0:
                continue
            borders[other, a], lengths[other, a] = borders[a, other], lengths[a, other]
            share = min(areas[a], areas[other]) / image_area
            border = borders[a, other] / lengths[a, other]
            distance = _distance(areas, colours, histograms, textures, a, other, border, share)
            distances[a, other] = distances[other, a] = distance
            if nearest[other] == a or nearest[other] == b:
                nearest[other] = np.argmin(distances[other])
                nearest_distance[other] = distances[other, nearest[other]]
            elif distance < nearest_distance[other]:
                nearest[other], nearest_distance[other] = a, distance
        nearest[a] = np.argmin(distances[a])
        nearest_distance[a] = distances[a, nearest[a]]
    return parents, heights


_merge = compiled(_merge)


def merge_regions(
    areas: npt.NDArray[np.float64],
    colours: npt.NDArray[np.float32],
    histograms: npt.NDArray[np.float32],
    textures: npt.NDArray[np.float32],
    strengths: npt.NDArray[np.float64],
    contrasts: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Merges S regions pair by pair until one is left; the arrays are used up.

    Args:
        areas: (2 S - 1,) float64 in px; the first S are given, the others are filled in.
        colours: (S, C) float32, sums over each region's pixels.
        histograms: (S, B) float32, counts over each region's pixels, three histograms side by side.
        textures: (S, T) float32, sums over each region's pixels.
        strengths: (S, S) float64, summed edge strength along each common border.
        contrasts: (S, S) float64, as `region_spectrum.spectral_contrasts` gives them.
        lengths: (S, S) float64, its length in px; 0 for regions that do not touch. All regions hang together.

    Returns:
        The parent of each of the 2 S - 1 regions, -1 for the last, (2 S - 1,) int64, and the distance at which it was
        made, 0 for the first S, (2 S - 1,) float64.
    """
    borders = strengths / EDGE_SCALE + CONTRAST_WEIGHT * contrasts * lengths
    parents, heights = _merge(areas, colours, histograms, textures, borders, lengths)
    return np.asarray(parents, np.int64), np.asarray(heights, np.float64)


@compiled
def _sum_up(parents: Any, sums: Any, boxes: Any) -> None:
    for region in range(len(parents) - 1):
        parent = parents[region]
        sums[parent] += sums[region]
        boxes[parent, :2] = np.minimum(boxes[parent, :2], boxes[region, :2])
        boxes[parent, 2:] = np.maximum(boxes[parent, 2:], boxes[region, 2:])


def sums_of_regions(
    parents: npt.NDArray[np.int64], sums: npt.NDArray[np.float64], boxes: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sums and boxes of all regions from those of the superpixels.

    Args:
        parents: (N,) int64 as in `RegionTree`.
        sums: (S, K) float64, N = 2 S - 1.
        boxes: (S, 4) float64 XYXY.

    Returns:
        (N, K) and (N, 4) float64.
    """
    missing = len(parents) - len(sums)
    all_sums = np.concatenate([sums, np.zeros((missing, sums.shape[1]))])
    empty = np.tile([np.inf, np.inf, -np.inf, -np.inf], (missing, 1))
    all_boxes = np.concatenate([boxes, empty])
    _sum_up(parents, all_sums, all_boxes)
    return all_sums, all_boxes
