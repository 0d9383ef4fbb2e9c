"""A large photograph as a network sees it: overlapping tiles, first enlarged, then coarser, and one list of boxes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Find = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""From a view's pixels (h, w, 3) to boxes (N, 5), XYWH in px of the view, and score."""

OVERLAP = 0.2
"""Of a tile's side; what is larger may lie whole in no tile, and is looked for in a coarser view."""

DUPLICATE_IOU = 0.3
"""Two boxes that share this much are one, as in CenterFace's own code."""

_EDGE = 2.0
"""px of a view; a box this close to a cut edge is cut itself."""


@dataclass(frozen=True)
class View:
    """A window X0 Y0 X1 Y1 of the image, in its px, seen at `scale` times its size.

    Attributes:
        min_side: px of the view; a box whose longer side is below it was found in a finer view, or is no face.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    scale: float
    min_side: float


def plan_views(height: int, width: int, side: int, finest: float) -> Iterator[View]:
    """Tiles of at most `side` px: of the image at `finest` times its size, then at half of that, down to one tile.

    Args:
        height: px, of the image.
        width: px, of the image.
        side: px, of a tile.
        finest: Scale of the first tiles.
    """
    scale, min_side = finest, 0.0
    while True:
        reach = int(side / scale)
        for y in _starts(height, reach):
            for x in _starts(width, reach):
                yield View(x, y, min(x + reach, width), min(y + reach, height), scale, min_side)
        if max(height, width) <= reach:
            return
        scale, min_side = scale / 2, OVERLAP * side / 2


def find_in_views(image: npt.NDArray[np.uint8], find: Find, side: int, finest: float) -> npt.NDArray[np.float32]:
    """Runs a network on every view of an image.

    A box that touches a cut edge is dropped, as masks are at the edges of crops (paper, Appendix B): it lies whole in
    the next tile or in a coarser view.

    Args:
        image: (H, W, 3) uint8 RGB.
        find: The network.
        side: px, of a tile.
        finest: Scale of the finest view; above 1, small things are enlarged to what the network was trained on.

    Returns:
        (N, 5) float32, XYWH in px of the image, and score; the best first, without duplicates.
    """
    height, width = image.shape[:2]
    found = [np.zeros((0, 5), np.float32)]
    for view in plan_views(height, width, side, finest):
        pixels = _scaled(image[view.y0 : view.y1, view.x0 : view.x1], view.scale)
        boxes = find(pixels)
        boxes = boxes[_whole(boxes, view, pixels.shape, image.shape) & (boxes[:, 2:4].max(axis=1) >= view.min_side)]
        factors = (view.x1 - view.x0) / pixels.shape[1], (view.y1 - view.y0) / pixels.shape[0]
        boxes[:, :4] *= np.tile(np.array(factors, np.float32), 2)
        boxes[:, :2] += (view.x0, view.y0)
        found.append(boxes)
    return _without_duplicates(np.concatenate(found))


def _starts(length: int, reach: int) -> list[int]:
    if length <= reach:
        return [0]
    count = int(np.ceil((length - reach) / (reach * (1 - OVERLAP)))) + 1
    return [round(start) for start in np.linspace(0, length - reach, count)]


def _scaled(pixels: npt.NDArray[np.uint8], scale: float) -> npt.NDArray[np.uint8]:
    if scale == 1:
        return pixels
    height, width = (max(1, round(length * scale)) for length in pixels.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method), np.uint8)


def _whole(
    boxes: npt.NDArray[np.float32], view: View, view_shape: tuple[int, ...], image_shape: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    right, bottom = boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]
    cut = (
        ((boxes[:, 0] < _EDGE) & (view.x0 > 0))
        | ((boxes[:, 1] < _EDGE) & (view.y0 > 0))
        | ((right > view_shape[1] - _EDGE) & (view.x1 < image_shape[1]))
        | ((bottom > view_shape[0] - _EDGE) & (view.y1 < image_shape[0]))
    )
    return np.asarray(~cut, np.bool_)


def _without_duplicates(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if not len(boxes):
        return boxes
    # Of equal scores the first in a fixed order goes first, whatever the views' order was.
    boxes = boxes[np.lexsort((*boxes[:, 3::-1].T, -boxes[:, 4]))]
    kept = cv2.dnn.NMSBoxes(boxes[:, :4].tolist(), boxes[:, 4].tolist(), 0.0, DUPLICATE_IOU)
    return boxes[np.asarray(kept, np.int64).ravel()]
