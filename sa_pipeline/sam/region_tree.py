"""Regions of a photograph without a model: a tree of merged superpixels.

Agglomerative clustering in the manner of Ward (1963): neighbouring regions that differ least for their size are merged
first. How long a region lasts before it is merged says how much it looks like a thing of its own.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from skimage.segmentation import watershed

from sa_pipeline.sam.region_merging import merge_regions
from sa_pipeline.sam.region_spectrum import spectral_contrasts

CHROMA_WEIGHT = 1.6
"""Lab's a and b against L; shading changes L more than it changes colour."""

ORIENTATIONS = 4
HISTOGRAM_BINS = 16


@dataclass(frozen=True)
class RegionTree:
    """A binary tree over superpixels.

    Attributes:
        superpixels: (H, W) int32, 0 to S - 1.
        parents: (N,) int64, the region that each one is merged into, later in the list; -1 for the last, which is the
            whole image. The first S regions are the superpixels themselves.
        areas: (N,) float64 in px.
        lifetimes: (N,) float64, how much the merging distance grows between a region's making and its end; at least 0.
        ends: (N,) float64, the distance at which a region is merged into another one.
    """

    superpixels: npt.NDArray[np.int32]
    parents: npt.NDArray[np.int64]
    areas: npt.NDArray[np.float64]
    lifetimes: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]

    @property
    def leaves(self) -> int:
        """S, the number of superpixels."""
        return (len(self.parents) + 1) // 2

    def members(self) -> npt.NDArray[np.bool_]:
        """The superpixels of each region, (N, S) bool."""
        members = np.zeros((len(self.parents), self.leaves), np.bool_)
        members[: self.leaves] = np.eye(self.leaves, dtype=np.bool_)
        for region, parent in enumerate(self.parents[:-1]):
            members[parent] |= members[region]
        return members


def build_region_tree(image: npt.NDArray[np.uint8], superpixels: int = 1000) -> RegionTree:
    """Merges the superpixels of an image, pair by pair, until one region is left.

    Args:
        image: (H, W, 3) uint8 RGB.
        superpixels: How many to begin with, roughly.
    """
    lab = np.asarray(cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB), np.float32)
    texture = _oriented_energy(lab[..., 0])
    colour = lab * np.array([1.0, CHROMA_WEIGHT, CHROMA_WEIGHT], np.float32)
    edges = _edge_strength(colour, texture)
    labels = _superpixels(edges, superpixels)
    return _merged(labels, lab, colour, texture, edges)


def _oriented_energy(lightness: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Gradient magnitude split by orientation at two scales, (H, W, 8)."""
    channels = []
    for sigma in (1.0, 2.0):
        gx, gy = _gradients(lightness, sigma)
        bins = np.minimum(np.arctan2(gy, gx) % np.pi / np.pi * ORIENTATIONS, ORIENTATIONS - 1).astype(np.int64)
        magnitude = np.hypot(gx, gy)
        channels += [np.where(bins == index, magnitude, 0.0) for index in range(ORIENTATIONS)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _edge_strength(colour: npt.NDArray[np.float32], texture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Change of colour at three scales plus change of texture at one, (H, W)."""
    strength = np.zeros(colour.shape[:2], np.float32)
    for sigma, weight in ((1.0, 0.35), (2.0, 0.35), (4.0, 0.3)):
        gx, gy = _gradients(colour, sigma)
        strength += np.float32(weight * sigma**0.7) * np.sqrt((gx**2 + gy**2).sum(axis=-1))
    smooth = np.log1p(2.0 * cv2.GaussianBlur(texture, (0, 0), 3.0))
    gx, gy = _gradients(smooth, 3.0)
    return np.asarray(strength + 18.0 * np.sqrt((gx**2 + gy**2).sum(axis=-1)), np.float32)


def _gradients(image: npt.NDArray[np.float32], sigma: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    blurred = cv2.GaussianBlur(image, (0, 0), sigma)
    gx, gy = cv2.Sobel(blurred, cv2.CV_32F, 1, 0), cv2.Sobel(blurred, cv2.CV_32F, 0, 1)
    return np.asarray(gx / 8, np.float32), np.asarray(gy / 8, np.float32)


def _superpixels(edges: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.int32]:
    """Watershed from the calmest pixel of each cell of a grid."""
    height, width = edges.shape
    step = max(4, int(np.sqrt(height * width / count)))
    calm = np.asarray(cv2.GaussianBlur(edges, (0, 0), 1.0))
    markers = np.zeros((height, width), np.int32)

    def starts(side: int) -> range:
        return range(0, max(1, side - step // 2), step)

    corners = [(y, x) for y in starts(height) for x in starts(width)]
    for index, (y, x) in enumerate(corners, start=1):
        cell = calm[y : y + step, x : x + step]
        row, column = divmod(int(np.argmin(cell)), cell.shape[1])
        markers[y + row, x + column] = index
    return np.asarray(watershed(calm, markers) - 1, np.int32)


def _merged(
    labels: npt.NDArray[np.int32],
    lab: npt.NDArray[np.float32],
    colour: npt.NDArray[np.float32],
    texture: npt.NDArray[np.float32],
    edges: npt.NDArray[np.float32],
) -> RegionTree:
    leaves = int(labels.max()) + 1
    areas = np.zeros(2 * leaves - 1)
    areas[:leaves] = np.bincount(labels.ravel(), minlength=leaves)
    strengths, lengths = _borders(labels, edges, leaves)
    parents, heights = merge_regions(
        areas,
        _sums(labels, colour, leaves),
        _colour_histograms(labels, lab, leaves),
        _sums(labels, texture, leaves),
        strengths,
        spectral_contrasts(labels, colour, texture, strengths, lengths),
        lengths,
    )
    ends = np.where(parents >= 0, heights[parents], heights[-1])
    return RegionTree(labels, parents, areas, np.maximum(ends - heights, 0.0), ends)


def _sums(labels: npt.NDArray[np.int32], values: npt.NDArray[np.float32], leaves: int) -> npt.NDArray[np.float32]:
    flat = labels.ravel()
    channels = [np.bincount(flat, values[..., c].ravel(), minlength=leaves) for c in range(values.shape[-1])]
    return np.stack(channels, axis=-1).astype(np.float32)


def _colour_histograms(
    labels: npt.NDArray[np.int32], lab: npt.NDArray[np.float32], leaves: int
) -> npt.NDArray[np.float32]:
    flat = labels.ravel().astype(np.int64)
    histograms = []
    for channel, (low, high) in enumerate(((0.0, 100.0), (-50.0, 50.0), (-50.0, 50.0))):
        scaled = (lab[..., channel].ravel() - low) / (high - low) * HISTOGRAM_BINS
        bins = np.clip(scaled, 0, HISTOGRAM_BINS - 1).astype(np.int64)
        counts = np.bincount(flat * HISTOGRAM_BINS + bins, minlength=leaves * HISTOGRAM_BINS)
        table = counts.reshape(leaves, HISTOGRAM_BINS).astype(np.float32)
        histograms.append(cv2.GaussianBlur(table, (3, 1), 0.8, borderType=cv2.BORDER_REPLICATE))
    return np.concatenate(histograms, axis=1)


def _borders(
    labels: npt.NDArray[np.int32], edges: npt.NDArray[np.float32], leaves: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Summed edge strength along the common border of each two superpixels, and its length in px; both (S, S)."""
    codes, strengths = [], []
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        differ = labels[one] != labels[other]
        a, b = labels[one][differ].astype(np.int64), labels[other][differ].astype(np.int64)
        codes += [a * leaves + b, b * leaves + a]
        strengths += [np.maximum(edges[one][differ], edges[other][differ])] * 2
    pairs = np.concatenate(codes)
    sums = np.bincount(pairs, np.concatenate(strengths), minlength=leaves**2).reshape(leaves, leaves)
    lengths = np.bincount(pairs, minlength=leaves**2).reshape(leaves, leaves).astype(np.float64)
    return sums.astype(np.float64), lengths
