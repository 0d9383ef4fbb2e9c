"""Composed scenes: crops of photographs with cut-out objects pasted on them, and the regions that their pixels form."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sa_pipeline.sam.region_tree import RegionTree, build_region_tree
from sa_pipeline.training.photographs import Library
from sa_pipeline.training.scenes import MAX_VISIBLE_FRACTION, MIN_VISIBLE_FRACTION, Scene, largest_component
from sa_pipeline.training.shapes import draw_shape
from sa_pipeline.training.surfaces import finish_photo

MAX_REGIONS = 100
"""Regions kept of one scene, those that last longest: about the number of masks SA-1B has an image."""

REGION_WEIGHTS = (0.05, 0.9)
"""Range of a region's weight. Between them it is the share of the height in the tree at which the region is merged that
the region has lasted: near 1 for what stands out, near 0 for one of many cuts through the same thing."""

INSIDE = 0.9
"""Share of a region within an object, or of an object within a region, from which one is part of the other."""


@dataclass(frozen=True)
class _Cutout:
    """An object to paste: (h, w, 3) float32 RGB and (h, w) float32 opacity, 0 to 1."""

    colour: npt.NDArray[np.float32]
    alpha: npt.NDArray[np.float32]


def compose_scene(seed: tuple[int, ...], size: tuple[int, int], library: Library, objects: int) -> Scene:
    """Composes one scene.

    The masks are the pasted objects, known to the pixel, and the longest-lasting regions of the finished picture that
    do not cut through an object.

    Args:
        seed: Any integers; the same ones give the same scene.
        size: Height and width in px.
        library: Photographs and cut-outs.
        objects: How many to paste at most; 0 for a plain photograph.
    """
    rng = np.random.default_rng(seed)
    canvas = _photograph_crop(rng, library, size).astype(np.float32)
    known: list[npt.NDArray[np.bool_]] = []
    cutout = None
    for _ in range(objects):
        # Things often come in flocks: the same cut-out again, at another size.
        if cutout is None or rng.random() < 0.75:
            cutout = _random_cutout(rng, library)
        _paste(rng, canvas, known, cutout)
    image = finish_photo(canvas, rng, 0.5)
    known = [largest_component(mask.astype(np.uint8)) for mask in known]
    known = [mask for mask in known if MIN_VISIBLE_FRACTION < float(mask.mean()) < MAX_VISIBLE_FRACTION]
    regions, weights = _compatible_regions(build_region_tree(image), known)
    weights = np.concatenate([np.ones(len(known)), weights])
    return Scene(image, np.stack([*known, *regions]), weights.astype(np.float32))


def _photograph_crop(rng: np.random.Generator, library: Library, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A window of a photograph, from all of it to a third of its side, brought to (H, W, 3)."""
    photograph = library.photographs[int(rng.integers(len(library.photographs)))]
    height, width = photograph.shape[:2]
    largest = min(height / size[0], width / size[1])
    smallest = min(largest, max(0.6, 0.3 * largest))
    scale = float(np.exp(rng.uniform(np.log(smallest), np.log(largest))))
    crop_height, crop_width = int(size[0] * scale), int(size[1] * scale)
    top = int(rng.integers(height - crop_height + 1))
    left = int(rng.integers(width - crop_width + 1))
    crop = photograph[top : top + crop_height, left : left + crop_width]
    interpolation = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    resized = np.asarray(cv2.resize(crop, size[::-1], interpolation=interpolation), np.uint8)
    return _recolour(rng, resized[:, ::-1] if rng.random() < 0.5 else resized)


def _recolour(rng: np.random.Generator, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Changes brightness, contrast, saturation and white balance a little, and now and then takes the colour away."""
    values = image.astype(np.float32)
    mean = values.mean()
    values = mean + float(rng.uniform(0.75, 1.25)) * (values - mean) + float(rng.normal(0, 12))
    grey = values.mean(axis=-1, keepdims=True)
    saturation = 0.0 if rng.random() < 0.04 else float(rng.uniform(0.6, 1.3))
    values = (grey + saturation * (values - grey)) * rng.uniform(0.92, 1.08, 3).astype(np.float32)
    return np.clip(values, 0, 255).astype(np.uint8)


def _random_cutout(rng: np.random.Generator, library: Library) -> _Cutout:
    if rng.random() < 0.7:
        rgba = library.cutouts[int(rng.integers(len(library.cutouts)))]
        return _Cutout(_recolour(rng, rgba[..., :3]).astype(np.float32), rgba[..., 3].astype(np.float32) / 255.0)
    side = 256
    shape = draw_shape(rng, (side, side), (side / 2, side / 2), side * float(rng.uniform(0.3, 0.48)))
    filled = _photograph_crop(rng, library, (side, side))
    return _Cutout(filled.astype(np.float32), shape.astype(np.float32))


def _paste(
    rng: np.random.Generator, canvas: npt.NDArray[np.float32], known: list[npt.NDArray[np.bool_]], cutout: _Cutout
) -> None:
    """Turns, scales and pastes a cut-out, sometimes with a shadow; what it hides is taken from the `known` masks."""
    height, width = canvas.shape[:2]
    rows, columns = cutout.alpha.shape
    length = float(np.exp(rng.uniform(np.log(0.1), np.log(0.95)))) * min(height, width)
    scale = length / max(rows, columns)
    angle = float(rng.normal(0, 12))
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), angle, scale)
    if rng.random() < 0.5:
        matrix = matrix @ np.array([[-1, 0, columns], [0, 1, 0], [0, 0, 1]])
    matrix[:, 2] += (rng.uniform(0, width) - columns / 2, rng.uniform(0, height) - rows / 2)
    if scale < 0.5:
        # warpAffine samples single pixels; averaged beforehand, small objects keep their look.
        blur = 0.4 / scale
        cutout = _Cutout(
            np.asarray(cv2.GaussianBlur(cutout.colour, (0, 0), blur), np.float32),
            np.asarray(cv2.GaussianBlur(cutout.alpha, (0, 0), blur), np.float32),
        )
    colour = cv2.warpAffine(cutout.colour, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    alpha = np.asarray(cv2.warpAffine(cutout.alpha, matrix, (width, height)), np.float32)
    if rng.random() < 0.35:
        shift = np.array([[1, 0, rng.normal(0, 0.08) * length], [0, 1, 0.06 * length]], np.float32)
        shadow = cv2.GaussianBlur(cv2.warpAffine(alpha, shift, (width, height)), (0, 0), max(1.0, 0.05 * length))
        canvas *= 1.0 - np.float32(rng.uniform(0.2, 0.6)) * np.asarray(shadow)[..., None]
    canvas += alpha[..., None] * (np.asarray(colour, np.float32) - canvas)
    mask = alpha > 0.5
    for other in known:
        other &= ~mask
    known.append(mask)


def _compatible_regions(
    tree: RegionTree, known: list[npt.NDArray[np.bool_]]
) -> tuple[list[npt.NDArray[np.bool_]], npt.NDArray[np.float64]]:
    """Masks and weights of the longest-lasting regions that are neither a known object already nor cut through one."""
    members = tree.members()
    flat = tree.superpixels.ravel()
    fits = (tree.areas > MIN_VISIBLE_FRACTION * flat.size) & (tree.areas < MAX_VISIBLE_FRACTION * flat.size)
    for mask in known:
        common = members @ np.bincount(flat, mask.ravel(), minlength=tree.leaves)
        of_region, of_object = common / tree.areas, common / max(1, int(mask.sum()))
        fits &= (of_region < 1 - INSIDE) | (of_region > INSIDE) | (of_object > INSIDE)
        fits &= common < 0.75 * (tree.areas + mask.sum() - common)
    order = np.argsort(-np.where(fits, tree.lifetimes, -1.0), kind="stable")[: min(MAX_REGIONS, int(fits.sum()))]
    weights = np.clip(tree.lifetimes[order] / tree.ends[order], *REGION_WEIGHTS)
    return [members[index][tree.superpixels] for index in order], weights
