"""The zoomed-in crops: overlapping windows over the image, layer by layer."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Crop:
    """One window; crop 0 is the full image.

    Attributes:
        index: Number of the crop, layer by layer.
        layer: 0 for the full image; layer i has 2**i x 2**i windows.
        box: XYXY in px, the end exclusive.
    """

    index: int
    layer: int
    box: tuple[int, int, int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in px."""
        x0, y0, x1, y1 = self.box
        return y1 - y0, x1 - x0


def generate_crops(image_size: tuple[int, int], n_layers: int, overlap_ratio: float) -> list[Crop]:
    """Lays out the full image and its windows (paper, Appendix B, "Cropping"; layout of `segment_anything`).

    Args:
        image_size: Height and width in px.
        n_layers: Layers besides the full image; two give the paper's 4 + 16 crops.
        overlap_ratio: Overlap in layer 1 as a share of the shorter side; halved with every layer.

    Example:
        >>> [crop.box for crop in generate_crops((100, 200), 1, 0.2)][:3]
        [(0, 0, 200, 100), (0, 0, 110, 60), (0, 40, 110, 100)]
    """
    height, width = image_size
    crops = [Crop(0, 0, (0, 0, width, height))]
    for layer in range(1, n_layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / per_side))
        crop_width = _crop_length(width, per_side, overlap)
        crop_height = _crop_length(height, per_side, overlap)
        for column in range(per_side):
            for row in range(per_side):
                x0, y0 = (crop_width - overlap) * column, (crop_height - overlap) * row
                box = (x0, y0, min(x0 + crop_width, width), min(y0 + crop_height, height))
                crops.append(Crop(len(crops), layer, box))
    return crops


def _crop_length(length: int, per_side: int, overlap: int) -> int:
    return math.ceil((overlap * (per_side - 1) + length) / per_side)
