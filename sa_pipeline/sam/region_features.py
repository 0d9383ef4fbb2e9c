"""What `tiny`'s encoder is told about an image: in which regions of its tree each place lies.

For each cell of the embedding three regions, a small, a middle and a large one, as answers to a click there; and for
each pixel of the low-resolution logits a code by which it is found out whether it lies in any of the image's regions
(`region_codes`). A network that saw the pixels alone would have to learn all of that.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from sa_pipeline.compiled import compiled
from sa_pipeline.sam.region_codes import CODE_LENGTH, separating_codes
from sa_pipeline.sam.region_merging import sums_of_regions
from sa_pipeline.sam.region_tree import RegionTree, build_region_tree

CELL, PIXEL = 16, 4
"""Side in px of a cell of the embedding and of a pixel of the low-resolution logits."""

REFERENCE = 12
"""Place in a cell, px from its upper left corner along both axes, whose regions are the cell's: the decoder looks up
clicks from a quarter of a cell left of a cell's middle to three quarters right of it."""

LEVELS = 3
"""Regions that a cell proposes, as many as SAM gives masks."""

AREA_RANGE = (0.0005, 0.9)
"""Of regions that are proposed, as parts of the image."""

LEAST_GROWTH = 1.2
"""Factor between the areas of two regions that one cell proposes, at least."""

LIFETIME_WEIGHT, SMALLNESS_WEIGHT, CONTRAST_WEIGHT, CENTRE_WEIGHT = 0.15, 0.5, 0.25, 2.5
"""What makes a region one that a cell proposes, in logarithms: how long it lasts, how small it is, at which distance it
is merged times how small it is, and how central the cell lies in it. A small region has to stand out more than a large
one; a person clicks in the middle of what is meant, and each region is proposed by some cell."""

SLOTS = 3
"""Parts of different codes that a cell can hold."""

PIXELS = (CELL // PIXEL) ** 2
QUERY_LENGTH = CODE_LENGTH + 1
DESCRIPTION = 6
"""Area, lifetime, distance at which it is merged, how central the cell lies in it, share of its box, box's sides that
lie on the image's border."""

SLOT_CODES = slice(0, SLOTS * CODE_LENGTH)
CHOICES = slice(SLOT_CODES.stop, SLOT_CODES.stop + PIXELS)
QUERIES = slice(CHOICES.stop, CHOICES.stop + LEVELS * QUERY_LENGTH)
CORNERS = slice(QUERIES.stop, QUERIES.stop + LEVELS * 4)
DESCRIPTIONS = slice(CORNERS.stop, CORNERS.stop + LEVELS * DESCRIPTION)
CHANNELS = DESCRIPTIONS.stop


_BLAS = ThreadpoolController().select(user_api="blas")


@dataclass(frozen=True)
class _Cells:
    """For each cell three regions, the smallest first, and how central it lies in each; (h, w, 3) each."""

    regions: npt.NDArray[np.int64]
    centrality: npt.NDArray[np.float32]


def region_features(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.float32]:
    """Describes each cell of 16x16 px.

    Args:
        image: (H, W, 3) uint8 RGB.
        side: Of the model's square input in px: positions are parts of it.

    Returns:
        (C, ceil(H / 16), ceil(W / 16)) float32. In `SLOT_CODES` the codes of three parts of the image; in `CHOICES`
        for each 4x4 px, row by row, how they are divided among them, -1 to 1; in `QUERIES` the queries of the three
        regions that the cell proposes; in `CORNERS` their boxes XYXY, 0 to 1; in `DESCRIPTIONS` what they are like,
        roughly -1 to 1.
    """
    # Its arrays are small: threads that wait for each other cost up to half of the time, most of it where other threads
    # are busy too.
    with _BLAS.limit(limits=1):
        return _features(image, side)


def _features(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.float32]:
    tree = build_region_tree(image)
    height, width = (-(-length // CELL) for length in image.shape[:2])
    pixels = tree.superpixels[_middles(image.shape[0], height)][:, _middles(image.shape[1], width)]
    members, boxes = tree.members(), _boxes(tree)
    cells = _chosen(tree, members, pixels, boxes)
    regions, index = np.unique(cells.regions, return_inverse=True)
    index = index.reshape(cells.regions.shape)
    # Superpixels that lie in the same regions are one part.
    packed = np.packbits(members[regions], axis=0)
    _, first, part_of = np.unique(packed, axis=1, return_index=True, return_inverse=True)
    patterns, part_of = members[regions][:, first], part_of.ravel()
    importance = np.sqrt(tree.lifetimes + 1e-4) * (tree.ends + 1e-3) ** 0.25
    codes, queries = separating_codes(
        patterns, *_areas_and_places(tree, part_of, patterns.shape[1]), importance[regions]
    )

    features = np.empty((CHANNELS, height, width), np.float32)
    padding = [(0, cells * CELL - length) for cells, length in zip((height, width), image.shape[:2], strict=True)]
    slots, choices = _slots(np.pad(part_of[tree.superpixels], padding, mode="edge"), codes)
    features[SLOT_CODES] = codes[slots].reshape(height, width, -1).transpose(2, 0, 1)
    features[CHOICES] = choices.transpose(2, 0, 1)
    features[QUERIES] = queries[index].reshape(height, width, -1).transpose(2, 0, 1)
    features[CORNERS] = (boxes[cells.regions] / side).reshape(height, width, -1).transpose(2, 0, 1)
    described = np.concatenate(
        [_described(tree, boxes, image.shape[:2])[cells.regions], cells.centrality[..., None]], 3
    )
    features[DESCRIPTIONS] = described.reshape(height, width, -1).transpose(2, 0, 1)
    return features


def _middles(length: int, cells: int) -> npt.NDArray[np.int64]:
    return np.minimum(np.arange(cells * (CELL // PIXEL)) * PIXEL + PIXEL // 2, length - 1)


def _chosen(
    tree: RegionTree, members: npt.NDArray[np.bool_], pixels: npt.NDArray[np.int32], boxes: npt.NDArray[np.float64]
) -> _Cells:
    references = slice(REFERENCE // PIXEL, None, CELL // PIXEL)
    shares = tree.areas / tree.superpixels.size
    fitting = (shares > AREA_RANGE[0]) & (shares < AREA_RANGE[1])
    centrality = _centrality(members, pixels, boxes, np.flatnonzero(fitting), references)
    smallness = -np.log(shares)
    scores = LIFETIME_WEIGHT * np.log(tree.lifetimes + 1e-4)
    scores += smallness * (SMALLNESS_WEIGHT + CONTRAST_WEIGHT * np.log(tree.ends + 1e-3))
    chosen = _propose(
        tree.parents,
        shares,
        fitting,
        scores,
        np.log(centrality + 0.02),
        pixels[references, references].astype(np.int64),
    )
    rows, columns = np.indices(chosen.shape[:2])
    return _Cells(chosen, centrality[chosen, rows[..., None], columns[..., None]])


def _centrality(
    members: npt.NDArray[np.bool_],
    pixels: npt.NDArray[np.int32],
    boxes: npt.NDArray[np.float64],
    regions: npt.NDArray[np.int64],
    references: slice,
) -> npt.NDArray[np.float32]:
    """Distance of each cell's reference from a region's outside, as a part of the most central one's; (N, h, w)."""
    cells = (len(range(*references.indices(pixels.shape[0]))), len(range(*references.indices(pixels.shape[1]))))
    centrality = np.zeros((len(members), *cells), np.float32)
    bounds = boxes / PIXEL
    first = np.floor(bounds[:, :2]).astype(int)
    last = np.ceil(bounds[:, 2:]).astype(int)
    padded = np.zeros((pixels.shape[0] + 2, pixels.shape[1] + 2), np.uint8)
    step = CELL // PIXEL
    for region in regions:
        (left, top), (right, bottom) = first[region], last[region]
        inside = padded[: bottom - top + 2, : right - left + 2]
        inside[...] = 0
        window = inside[1:-1, 1:-1]
        found = members[region][pixels[top:bottom, left:right]]
        window[: found.shape[0], : found.shape[1]] = found
        distances = cv2.distanceTransform(np.ascontiguousarray(inside), cv2.DIST_L2, 3)[1:-1, 1:-1]
        row, column = (
            -(-(start - references.start) // step) if start > references.start else 0 for start in (top, left)
        )
        at = distances[references.start + row * step - top :: step, references.start + column * step - left :: step]
        at = at[: cells[0] - row, : cells[1] - column]
        if at.size and at.max() > 0:
            centrality[region, row : row + at.shape[0], column : column + at.shape[1]] = at / at.max()
    return centrality


def _best_apart(chain: Any, taken: Any, shares: Any, scores: Any) -> int:
    """The region of the highest score whose area differs enough from those taken, or -1."""
    best, best_score = -1, -np.inf
    for place in range(len(chain)):
        share = shares[chain[place]]
        apart = True
        for other in taken:
            apart = apart and max(share, shares[other]) >= LEAST_GROWTH * min(share, shares[other])
        if apart and scores[place] > best_score:
            best, best_score = chain[place], scores[place]
    return best


_best_apart = compiled(_best_apart)


def _propose(parents: Any, shares: Any, fitting: Any, scores: Any, log_centrality: Any, references: Any) -> Any:
    """Three regions for each cell, the smallest first; fewer fitting ones than three stand for the missing ones."""
    height, width = references.shape
    chosen = np.empty((height, width, LEVELS), np.int64)
    chain, chain_scores = np.empty(len(parents), np.int64), np.empty(len(parents), np.float64)
    for row in range(height):
        for column in range(width):
            # What stays where no region fits, as in an image of one superpixel.
            chain[0], chain_scores[0], count = references[row, column], 0.0, 0
            region = references[row, column]
            while region >= 0:
                if fitting[region]:
                    chain[count] = region
                    chain_scores[count] = scores[region] + CENTRE_WEIGHT * log_centrality[region, row, column]
                    count += 1
                region = parents[region]
            taken = chosen[row, column]
            for found in range(LEVELS):
                best = _best_apart(chain[: max(count, 1)], taken[:found], shares, chain_scores)
                if best < 0:
                    taken[found:] = taken[found - 1]
                    break
                place = found
                while place > 0 and shares[taken[place - 1]] > shares[best]:
                    taken[place] = taken[place - 1]
                    place -= 1
                taken[place] = best
    return chosen


_propose = compiled(_propose)


def _areas_and_places(
    tree: RegionTree, part_of: npt.NDArray[np.int64], parts: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of each part: its area in px, and its middle along a traversal of the tree, 0 to 1."""
    leaves = tree.leaves
    weights = np.sqrt(tree.areas[:leaves])
    extents = sums_of_regions(tree.parents, weights[:, None], np.zeros((leaves, 4)))[0][:, 0]
    starts, used = np.zeros(len(extents)), np.zeros(len(extents))
    for region in range(len(extents) - 2, -1, -1):
        parent = tree.parents[region]
        starts[region] = starts[parent] + used[parent]
        used[parent] += extents[region]
    middles = (starts[:leaves] + weights / 2) / extents[-1]
    total = np.bincount(part_of, weights, parts)
    areas = np.asarray(np.bincount(part_of, tree.areas[:leaves], parts), np.float64)
    return areas, np.asarray(np.bincount(part_of, weights * middles, parts) / total, np.float64)


def _slots(
    parts: npt.NDArray[np.int64], codes: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Of each cell the parts that fill most of it (h, w, 3), and how its pixels are divided among them (h, w, 16).

    Args:
        parts: (16 h, 16 w), the part that each px is in.
        codes: (A, 8) float32 of all parts.

    Returns:
        The second of the three is the most frequent one. The other array is 0 for pixels in the second only, down to -1
        by their share of the first, or up to 1 by that of the third, whichever is larger. What lies in further parts
        counts as of the most similar one.
    """
    height, width = (length // CELL for length in parts.shape)
    cells = parts.reshape(height, CELL, width, CELL).transpose(0, 2, 1, 3).reshape(height * width, CELL**2)
    pairs, counts = np.unique(np.arange(len(cells))[:, None] * len(codes) + cells, return_counts=True)
    cell, part = np.divmod(pairs, len(codes))
    order = np.lexsort((-counts, cell))
    first = np.searchsorted(cell, np.arange(len(cells)))
    last = np.append(first[1:], len(cell)) - 1
    # Where a cell has fewer parts than slots, the last one fills the others.
    slots = np.stack([part[order][np.minimum(first + place, last)] for place in (1, 0, 2)], axis=1)
    likeness = (codes @ codes.T)[cells[..., None], slots[:, None, :]]
    likeness[..., 1] += 1e-4
    within = np.eye(SLOTS, dtype=np.float32)[likeness.argmax(axis=2)]
    sides = CELL // PIXEL
    shares = within.reshape(len(cells), sides, PIXEL, sides, PIXEL, SLOTS).mean(axis=(2, 4)).reshape(-1, SLOTS)
    before, middle, after = shares.T
    choices = np.where(
        before >= after, -before / np.maximum(before + middle, 1e-6), after / np.maximum(after + middle, 1e-6)
    )
    return slots.reshape(height, width, SLOTS), choices.reshape(height, width, PIXELS).astype(np.float32)


def _boxes(tree: RegionTree) -> npt.NDArray[np.float64]:
    """Of all regions, XYXY px, (N, 4)."""
    labels, leaves = tree.superpixels, tree.leaves
    boxes = np.empty((leaves, 4))
    for column, across in ((0, labels.T), (1, labels)):
        # Of all (line, superpixel) pairs that occur, the first and the last line of each superpixel.
        lines = np.unique(np.arange(len(across))[:, None] * leaves + across)
        line, found = np.divmod(lines, leaves)
        boxes[found[::-1], column] = line[::-1]
        boxes[found, column + 2] = line + 1
    return sums_of_regions(tree.parents, np.empty((leaves, 0)), boxes)[1]


def _described(tree: RegionTree, boxes: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Of all regions what `DESCRIPTION` names, but how central a cell lies, (N, 5)."""
    height, width = size
    shares = tree.areas / (height * width)
    extents = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    on_border = (boxes <= 0.0)[:, :2].sum(axis=1) + (boxes[:, 2:] >= (width, height)).sum(axis=1)
    return np.stack(
        [
            np.log(shares) / 4.0 + 1.0,
            np.log(tree.lifetimes + 1e-4) / 2.0 + 2.0,
            np.log(tree.ends + 1e-3) / 2.0 + 1.0,
            2.0 * tree.areas / extents - 1.0,
            on_border / 2.0 - 0.5,
        ],
        axis=1,
    )
