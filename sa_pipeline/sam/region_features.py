"""What `tiny`'s encoder is told about the regions of an image: for each pixel a small, a middle and a large one.

A convolution sees a few pixels around each one; that two pixels far apart belong together it has to learn, which takes
more training than a laptop gives. The region tree knows it from colour and texture alone, for any image.
"""

import numpy as np
import numpy.typing as npt

from sa_pipeline.sam.region_merging import sums_of_regions
from sa_pipeline.sam.region_tree import RegionTree, build_region_tree

CELL = 4
"""Pixels per cell: those of the low-resolution logits."""

LEVEL_EDGES = (0.0005, 0.01, 0.08, 0.7)
"""Bounds of the regions' areas as parts of the image: three levels, as SAM's three outputs."""

CODE_LENGTHS = (12, 8, 6)
"""Numbers in a region's code: the smaller the regions of a level, the more of them have to be told apart."""

CODE_CHANNELS = sum(CODE_LENGTHS)

DESCRIPTION = 3 + 1 + 1 + 4
"""Colour, area, lifetime, box."""

CHANNELS = CODE_CHANNELS + len(CODE_LENGTHS) * DESCRIPTION

REPULSIONS = 40
"""Rounds in which the codes of a level move away from each other."""


def region_features(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.float32]:
    """Describes, for each cell of 4x4 pixels, one region of each of three levels that the cell lies in.

    Of the regions that hold the cell's centre and have a fitting area, the one that lasts longest in the region tree
    stands for the level; where there is none, the one of the level below.

    Args:
        image: (H, W, 3) uint8 RGB.
        side: Of the model's square input in px: positions and lengths are parts of it.

    Returns:
        (C, ceil(H / 4), ceil(W / 4)) float32, C = 53: the codes of the three levels, of length 1 each, then for each
        level RGB colour, area, lifetime and box, each roughly -1 to 1.
    """
    tree = build_region_tree(image)
    chosen = _regions_of_levels(tree)
    boxes, colours = _descriptions(tree, image, side)
    described = np.concatenate(
        [
            colours,
            np.log(tree.areas / tree.superpixels.size)[:, None] / 4.0 + 1.0,
            (tree.lifetimes / np.maximum(tree.ends, 1e-12))[:, None],
            2.0 * boxes - 1.0,
        ],
        axis=1,
    )
    codes = []
    for regions, length in zip(chosen, CODE_LENGTHS, strict=True):
        distinct, index = np.unique(regions, return_inverse=True)
        codes.append(distinct_codes(tree.areas[distinct], length)[index])
    table = np.concatenate([*codes, *(described[regions] for regions in chosen)], axis=1).astype(np.float32)
    cells = tree.superpixels[_centres(image.shape[0])][:, _centres(image.shape[1])]
    return np.ascontiguousarray(table[cells].transpose(2, 0, 1))


def distinct_codes(areas: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float32]:
    """Unit vectors that point away from each other as far as they can, those of large regions most.

    Args:
        areas: (R,) float64 of the regions.
        length: Numbers in a code.

    Returns:
        (R, length) float32. The scalar product of two codes tells whether two pixels lie in the same region.
    """
    codes = np.random.default_rng(0).normal(size=(len(areas), length)).astype(np.float32)
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    weights = np.sqrt(areas / areas.max()).astype(np.float32)
    for _ in range(REPULSIONS):
        likeness = np.maximum(codes @ codes.T, np.float32(0))
        np.fill_diagonal(likeness, 0.0)
        push = (likeness * likeness * likeness * weights) @ codes
        strength = np.linalg.norm(push, axis=1, keepdims=True)
        codes -= 0.5 * push / np.maximum(strength, 1.0)
        codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    return codes


def _centres(pixels: int) -> npt.NDArray[np.int64]:
    return np.minimum(np.arange(0, pixels, CELL) + CELL // 2, pixels - 1)


def _regions_of_levels(tree: RegionTree) -> npt.NDArray[np.int64]:
    """For each level and superpixel the index of a region, (3, S)."""
    count = len(CODE_LENGTHS)
    levels = np.searchsorted(LEVEL_EDGES, tree.areas / tree.superpixels.size, side="right") - 1
    chosen = np.full((len(tree.parents), count), -1)
    for region in range(len(tree.parents) - 1, -1, -1):
        if tree.parents[region] >= 0:
            chosen[region] = chosen[tree.parents[region]]
        level = int(levels[region])
        if 0 <= level < count:
            rival = chosen[region, level]
            if rival < 0 or tree.lifetimes[region] > tree.lifetimes[rival]:
                chosen[region, level] = region
    of_superpixels = chosen[: tree.leaves].T.copy()
    below = np.arange(tree.leaves)
    for regions in of_superpixels:
        regions[regions < 0] = below[regions < 0]
        below = regions
    return of_superpixels


def _descriptions(
    tree: RegionTree, image: npt.NDArray[np.uint8], side: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of all regions: boxes XYXY (N, 4) as parts of `side`, and mean colours (N, 3), -1 to 1."""
    labels, leaves = tree.superpixels, tree.leaves
    flat = labels.ravel()
    sums = np.empty((leaves, 3))
    for channel in range(3):
        sums[:, channel] = np.bincount(flat, image[..., channel].ravel(), leaves)
    boxes = np.empty((leaves, 4))
    for column, across in ((0, labels.T), (1, labels)):
        # Of all (line, superpixel) pairs that occur, the first and the last line of each superpixel.
        lines = np.unique(np.arange(len(across))[:, None] * leaves + across)
        line, found = np.divmod(lines, leaves)
        boxes[found[::-1], column] = line[::-1]
        boxes[found, column + 2] = line + 1
    all_sums, all_boxes = sums_of_regions(tree.parents, sums, boxes)
    return all_boxes / side, all_sums / tree.areas[:, None] / 127.5 - 1.0
