"""Boxes drawn over their images: people's beside a detector's."""

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from sa_pipeline.dataset import Dataset
from sa_pipeline.detection.record import BoxExample
from sa_pipeline.report.overlays import mask_colour, stack
from sa_pipeline.stages.shard_images import iterate_images

Box = tuple[float, float, float, float]
"""XYXY in px between pixels."""

LINE_WIDTH = 2


def box_sheet(dataset: Dataset, examples: Sequence[BoxExample], max_side: int = 440) -> Image.Image:
    """For each example a pair of pictures, people's boxes and the detector's, one pair below the other.

    Args:
        dataset: Where the images lie.
        examples: As the detector's record has them.
        max_side: px, of an image on the sheet.

    Raises:
        ArtifactError: `raw_images` of a shard was not made or is damaged.
    """
    wanted = {(example.shard, example.image_id): example for example in examples}
    rows = []
    for shard in dict.fromkeys(example.shard for example in examples):
        for image in iterate_images(dataset, shard):
            example = wanted.get((shard, image.image_id))
            if example is not None:
                pixels = Image.fromarray(image.pixels)
                drawn = [np.asarray(draw_boxes(pixels, boxes)) for boxes in (example.people, example.detected)]
                pair = Image.fromarray(np.concatenate(drawn, axis=1))
                pair.thumbnail((2 * max_side, max_side))
                kind = "held out" if example.held_out else "trained on"
                caption = (
                    f"{image.file_name}, {kind}: {len(example.people)} of people, {len(example.detected)} detected"
                )
                rows.append((caption, pair))
    return stack(rows)


def draw_boxes(picture: Image.Image, boxes: Iterable[Box]) -> Image.Image:
    """A copy of a picture with boxes in colours of their own; of boxes of one colour none lie next to each other."""
    drawn = picture.convert("RGB")
    draw = ImageDraw.Draw(drawn)
    for index, (left, top, right, bottom) in enumerate(boxes):
        inner = (left, top, max(left, right - 1), max(top, bottom - 1))
        draw.rectangle(inner, outline=mask_colour(index), width=LINE_WIDTH)
    return drawn
