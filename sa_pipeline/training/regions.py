"""Regions of a photograph without a model: a tree of merged superpixels, as labels to learn from.

Agglomerative clustering in the manner of Ward (1963): neighbouring regions that differ least for their size are merged
first. How long a region lasts before it is merged says how much it looks like a thing of its own.
"""

import heapq
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from skimage.segmentation import watershed

WARD_EXPONENT = 0.5
"""Distances are multiplied by the share of the smaller region to this power: Ward's criterion for unequal sizes."""

CHROMA_WEIGHT = 1.6
"""Lab's a and b against L; shading changes L more than it changes colour."""

ORIENTATIONS = 4
HISTOGRAM_BINS = 16


@dataclass(frozen=True)
class RegionTree:
    """A binary tree over superpixels.

    Attributes:
        superpixels: (H, W) int32, 0 to S - 1.
        members: (N, S) bool, the superpixels of each region; the first S regions are the superpixels themselves.
        areas: (N,) float64 in px.
        lifetimes: (N,) float64, how much the merging distance grows between a region's making and its end; at least 0.
        ends: (N,) float64, the distance at which a region is merged into another one.
    """

    superpixels: npt.NDArray[np.int32]
    members: npt.NDArray[np.bool_]
    areas: npt.NDArray[np.float64]
    lifetimes: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]


def build_region_tree(image: npt.NDArray[np.uint8], superpixels: int = 700) -> RegionTree:
    """Merges the superpixels of an image, pair by pair, until one region is left.

    Args:
        image: (H, W, 3) uint8 RGB.
        superpixels: How many to begin with, roughly.
    """
    lab = np.asarray(cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB), np.float32)
    texture = _oriented_energy(lab[..., 0])
    edges = _edge_strength(lab, texture)
    labels = _superpixels(edges, superpixels)
    return _Merging(labels, lab, texture, edges).run()


def _oriented_energy(lightness: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Gradient magnitude split by orientation at two scales, (H, W, 8)."""
    channels = []
    for sigma in (1.0, 2.0):
        gx, gy = _gradients(lightness, sigma)
        bins = np.minimum(np.arctan2(gy, gx) % np.pi / np.pi * ORIENTATIONS, ORIENTATIONS - 1).astype(np.int64)
        magnitude = np.hypot(gx, gy)
        channels += [np.where(bins == index, magnitude, 0.0) for index in range(ORIENTATIONS)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _edge_strength(lab: npt.NDArray[np.float32], texture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Change of colour at three scales plus change of texture at one, (H, W)."""
    colour = lab * np.array([1.0, CHROMA_WEIGHT, CHROMA_WEIGHT], np.float32)
    strength = np.zeros(lab.shape[:2], np.float32)
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
    corners = [(y, x) for y in range(0, height - step // 2, step) for x in range(0, width - step // 2, step)]
    for index, (y, x) in enumerate(corners, start=1):
        cell = calm[y : y + step, x : x + step]
        row, column = divmod(int(np.argmin(cell)), cell.shape[1])
        markers[y + row, x + column] = index
    return np.asarray(watershed(calm, markers) - 1, np.int32)


class _Merging:
    """The state of the agglomeration: sums per region, so that merging is adding."""

    def __init__(
        self,
        labels: npt.NDArray[np.int32],
        lab: npt.NDArray[np.float32],
        texture: npt.NDArray[np.float32],
        edges: npt.NDArray[np.float32],
    ) -> None:
        self.labels = labels
        self.leaves = int(labels.max()) + 1
        total = 2 * self.leaves - 1
        self.image_area = labels.size
        self.area = np.zeros(total)
        self.area[: self.leaves] = np.bincount(labels.ravel(), minlength=self.leaves)
        self.colour = self._grown(_sums(labels, lab, self.leaves), total)
        self.texture = self._grown(_sums(labels, texture, self.leaves), total)
        self.histogram = self._grown(_colour_histograms(labels, lab, self.leaves), total)
        self.neighbours = _neighbours(labels, edges, total, self.leaves)

    def _grown(self, sums: npt.NDArray[np.float32], total: int) -> npt.NDArray[np.float32]:
        grown = np.zeros((total, sums.shape[1]), np.float32)
        grown[: self.leaves] = sums
        return grown

    def distance(self, a: int, b: int) -> float:
        """Colour, colour histogram, texture and edge between two neighbours, each roughly 0 to 1, weighted alike."""
        strength, length = self.neighbours[a][b]
        area_a, area_b = self.area[a], self.area[b]
        difference = self.colour[a] / area_a - self.colour[b] / area_b
        difference[1:] *= CHROMA_WEIGHT
        colour = float(np.sqrt((difference**2).sum())) / 20.0
        shared = np.minimum(self.histogram[a] / area_a, self.histogram[b] / area_b).sum() / 3.0
        energy_a, energy_b = np.log1p(4 * self.texture[a] / area_a), np.log1p(4 * self.texture[b] / area_b)
        texture = float(np.abs(energy_a - energy_b).mean())
        whole = colour + (1.0 - float(shared)) + texture + strength / length / 6.0
        return float(whole * (min(area_a, area_b) / self.image_area) ** WARD_EXPONENT)

    def run(self) -> RegionTree:
        """Merges until one region is left."""
        total = len(self.area)
        alive = np.zeros(total, np.bool_)
        alive[: self.leaves] = True
        parents, heights = np.full(total, -1), np.zeros(total)
        members = np.zeros((total, self.leaves), np.bool_)
        members[np.arange(self.leaves), np.arange(self.leaves)] = True
        queue = [(self.distance(a, b), a, b) for a in range(self.leaves) for b in self.neighbours[a] if a < b]
        heapq.heapify(queue)
        made, height = self.leaves, 0.0
        while queue and made < total:
            distance, a, b = heapq.heappop(queue)
            if not (alive[a] and alive[b]):
                continue
            # A merger can make two regions closer than they were; heights still only rise.
            height = max(height, distance)
            heights[made] = height
            parents[[a, b]] = made
            alive[[a, b, made]] = False, False, True
            members[made] = members[a] | members[b]
            for other in self._merge(a, b, made):
                heapq.heappush(queue, (self.distance(made, other), made, other))
            made += 1
        ends = np.where(parents >= 0, heights[parents], height)
        lifetimes = np.maximum(ends - heights, 0.0)
        return RegionTree(self.labels, members[:made], self.area[:made], lifetimes[:made], ends[:made])

    def _merge(self, a: int, b: int, made: int) -> list[int]:
        for sums in (self.area, self.colour, self.texture, self.histogram):
            sums[made] = sums[a] + sums[b]
        around = (self.neighbours[a].keys() | self.neighbours[b].keys()) - {a, b}
        for other in around:
            near_a, near_b = self.neighbours[a].get(other, (0.0, 0.0)), self.neighbours[b].get(other, (0.0, 0.0))
            border = (near_a[0] + near_b[0], near_a[1] + near_b[1])
            self.neighbours[made][other] = self.neighbours[other][made] = border
            self.neighbours[other].pop(a, None)
            self.neighbours[other].pop(b, None)
        return sorted(around)


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


def _neighbours(
    labels: npt.NDArray[np.int32], edges: npt.NDArray[np.float32], total: int, leaves: int
) -> list[dict[int, tuple[float, float]]]:
    """For each region its neighbours with the summed edge strength along the common border and its length."""
    codes, strengths = [], []
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        differ = labels[one] != labels[other]
        a, b = labels[one][differ].astype(np.int64), labels[other][differ].astype(np.int64)
        codes.append(np.minimum(a, b) * leaves + np.maximum(a, b))
        strengths.append(np.maximum(edges[one][differ], edges[other][differ]))
    pairs, inverse = np.unique(np.concatenate(codes), return_inverse=True)
    sums, lengths = np.bincount(inverse, np.concatenate(strengths)), np.bincount(inverse)
    neighbours: list[dict[int, tuple[float, float]]] = [{} for _ in range(total)]
    for pair, strength, length in zip(pairs, sums, lengths, strict=True):
        a, b = divmod(int(pair), leaves)
        neighbours[a][b] = neighbours[b][a] = (float(strength), float(length))
    return neighbours
