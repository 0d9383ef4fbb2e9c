"""Masks drawn over their images."""

import colorsys
import itertools
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from sa_pipeline.artifacts import AssetName, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.masks.rle import area_from_runs, box_from_runs, decode_counts, runs_to_mask
from sa_pipeline.stages.shard_images import ShardImage, iterate_images

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""

OPACITY = 0.5
GOLDEN_RATIO = 0.618033988749895
"""Steps of the hue, so that neighbours in the list differ in colour."""
CAPTION_HEIGHT = 18


def mask_colour(index: int) -> Colour:
    """RGB of the mask at a position in the list."""
    hue = (index * GOLDEN_RATIO) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.65 + 0.35 * (index % 2), 1.0 - 0.25 * (index % 3) / 2)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_masks(
    image: npt.NDArray[np.uint8], counts: Sequence[str], colours: Sequence[Colour] | None = None
) -> npt.NDArray[np.uint8]:
    """Draws masks in colours of their own, the largest first, each with a thin outline.

    Args:
        image: (H, W, 3) uint8 RGB.
        counts: COCO compressed run lengths of masks of the image's size.
        colours: Of each mask; by default told from their positions in the list.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    runs = [decode_counts(item) for item in counts]
    canvas = image.astype(np.float32)
    outlines = []
    for index in sorted(range(len(runs)), key=lambda index: -area_from_runs(runs[index])):
        # One mask is decoded at a time: an image of full size may hold hundreds.
        left, top, right, bottom = box_from_runs(runs[index], height)
        window = np.s_[top : bottom + 1, left : right + 1]
        mask = np.ascontiguousarray(runs_to_mask(runs[index], (height, width))[window])
        colour = mask_colour(index) if colours is None else colours[index]
        canvas[window][mask] = (1 - OPACITY) * canvas[window][mask] + OPACITY * np.array(colour)
        found, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE, offset=(left, top))
        outlines.append((found, colour))
    drawn = np.ascontiguousarray(canvas.round().astype(np.uint8))
    for found, colour in outlines:
        cv2.drawContours(drawn, found, -1, colour, 1, cv2.LINE_8)
    return drawn


def overlay_sheet(images: Iterable[tuple[ShardImage, Sequence[str]]], max_side: int = 440) -> Image.Image:
    """Pairs of image and overlay, one below the other.

    Args:
        images: Each with the COCO compressed run lengths of its masks.
        max_side: px, of an image on the sheet.
    """
    rows = []
    for image, counts in images:
        pixels = image.pixels
        pair = Image.fromarray(np.concatenate([pixels, draw_masks(pixels, counts)], axis=1))
        pair.thumbnail((2 * max_side, max_side))
        rows.append((f"{image.file_name}: {len(counts)} masks", pair))
    return stack(rows)


def shard_overlays(dataset: Dataset, shard: str, max_images: int = 6) -> Image.Image:
    """The exported masks of a shard's first images.

    Raises:
        ArtifactError: `raw_images` or `deduplicated_masks` was not made or is damaged.
    """
    images = itertools.islice(iterate_images(dataset, shard), max_images)
    return overlay_sheet((image, exported_counts(dataset, shard, image.image_id)) for image in images)


def exported_counts(dataset: Dataset, shard: str, image_id: int) -> list[str]:
    """Run lengths of an image's exported masks, in the order of its record."""
    columns = ["image_id", "kept", "rank", "counts"]
    masks = read_table(dataset.storage, AssetName.DEDUPLICATED_MASKS, shard, columns=columns, image_id=image_id)
    counts: list[str] = masks.filter(masks["kept"]).sort_by("rank")["counts"].to_pylist()
    return counts


def stack(rows: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures one below the other, each under its caption."""
    width = max((picture.width for _, picture in rows), default=320)
    height = sum(picture.height + CAPTION_HEIGHT for _, picture in rows) or CAPTION_HEIGHT
    sheet = Image.new("RGB", (width, height), "white")
    draw, top = ImageDraw.Draw(sheet), 0
    if not rows:
        draw.text((4, 2), "no images", fill="black")
    for caption, picture in rows:
        draw.text((4, top + 2), caption, fill="black")
        sheet.paste(picture, (0, top + CAPTION_HEIGHT))
        top += picture.height + CAPTION_HEIGHT
    return sheet
