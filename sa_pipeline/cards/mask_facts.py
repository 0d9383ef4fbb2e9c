"""What a card says of masks: how many, how large, where on the image, how sure the model was (paper §5)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sa_pipeline.cards.asking import Questions, Spread, bin_of

SIZE_BINS = 20
"""Of relative size, from 0 to 1."""
SCORE_BINS = 50
"""Of predicted IoU and stability, from 0 to 1."""
MAP_CELLS = 32
"""Of the map of centres, across and down."""
PER_IMAGE_BINS = ("0-10", "11-50", "51-100", "101-200", "> 200")
"""Masks per image, as on the axis of the paper's Figure 6 (left)."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MaskFacts:
    """Of the masks in the export.

    Attributes:
        count: Masks.
        per_image: Masks of an image, over all images.
        images_by_masks: (5,) images in each of `PER_IMAGE_BINS`.
        relative_size: Square root of the mask's share of its image (paper §5).
        by_size: (`SIZE_BINS`,) masks by relative size.
        predicted_iou: The model's own estimate.
        by_predicted_iou: (`SCORE_BINS`,) masks; those above 1 are in the last bin.
        stability: Stability score.
        by_stability: (`SCORE_BINS`,) masks.
        centres: (`MAP_CELLS`, `MAP_CELLS`) masks by the centre of their box; lines from the top of the image down.
        granularities: Which of a point's three masks it was, and number of masks.
        crop_layers: Layer of crops and number of masks.
    """

    count: int
    per_image: Spread
    images_by_masks: Counts
    relative_size: Spread
    by_size: Counts
    predicted_iou: Spread
    by_predicted_iou: Counts
    stability: Spread
    by_stability: Counts
    centres: Counts
    granularities: tuple[tuple[str, int], ...]
    crop_layers: tuple[tuple[int, int], ...]


_PER_IMAGE = """(
    SELECT count(m.mask_id) AS masks FROM exported_images i LEFT JOIN exported_masks m USING (image_id)
    GROUP BY i.image_id
)"""
_PER_IMAGE_BIN = "(masks > 10)::INTEGER + (masks > 50)::INTEGER + (masks > 100)::INTEGER + (masks > 200)::INTEGER"
_GRANULARITIES = "SELECT granularity, count(*) FROM exported_masks GROUP BY 1 ORDER BY 2 DESC, 1"
_CROP_LAYERS = "SELECT crop_layer, count(*) FROM exported_masks GROUP BY 1 ORDER BY 1"


def collect_mask_facts(ask: Questions) -> MaskFacts:
    """Asks the catalogue about masks."""
    table = "exported_masks"
    cell = f"{bin_of('center_y', MAP_CELLS)} * {MAP_CELLS} + {bin_of('center_x', MAP_CELLS)}"
    return MaskFacts(
        count=ask.number("SELECT count(*) FROM exported_masks"),
        per_image=ask.spread("masks", _PER_IMAGE),
        images_by_masks=ask.histogram(_PER_IMAGE_BIN, _PER_IMAGE, len(PER_IMAGE_BINS)),
        relative_size=ask.spread("relative_size", table),
        by_size=ask.histogram(bin_of("relative_size", SIZE_BINS), table, SIZE_BINS),
        predicted_iou=ask.spread("predicted_iou", table),
        by_predicted_iou=ask.histogram(bin_of("predicted_iou", SCORE_BINS), table, SCORE_BINS),
        stability=ask.spread("stability_score", table),
        by_stability=ask.histogram(bin_of("stability_score", SCORE_BINS), table, SCORE_BINS),
        centres=ask.histogram(cell, table, MAP_CELLS**2).reshape(MAP_CELLS, MAP_CELLS),
        granularities=tuple((name, count) for name, count in ask.rows(_GRANULARITIES)),
        crop_layers=tuple((layer, count) for layer, count in ask.rows(_CROP_LAYERS)),
    )
