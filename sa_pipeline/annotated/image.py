"""An image and its reference masks, perhaps by several people: what every reader of this room gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sa_pipeline.errors import AnnotationError
from sa_pipeline.images.decoding import decode_image
from sa_pipeline.images.rejection import ImageRejected
from sa_pipeline.masks.rle import RleError, area_from_runs, check_runs, counts_to_mask, decode_counts
from sa_pipeline.settings import ImageSettings

AS_STORED = ImageSettings(max_shorter_side=None, min_side=1)
"""Reference masks belong to the image's own pixels: it is not brought down."""


@dataclass(frozen=True)
class AnnotatedImage:
    """An image with its reference masks.

    Attributes:
        name: Unique within its source.
        pixels: (H, W, 3) uint8 RGB.
        annotators: For each person who segmented the image, the masks as COCO compressed run lengths of H x W. One
            person's masks may overlap (SA-1B, COCO) or tile the image (label maps). Empty masks do not occur.
        predicted_ious: Of each mask in `annotators`, where a model made them and said how good they are; else None.
    """

    name: str
    pixels: npt.NDArray[np.uint8]
    annotators: tuple[tuple[str, ...], ...]
    predicted_ious: tuple[tuple[float, ...], ...] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in px."""
        height, width = self.pixels.shape[:2]
        return height, width

    def mask(self, annotator: int, index: int) -> npt.NDArray[np.bool_]:
        """One reference mask, (H, W) bool."""
        return counts_to_mask(self.annotators[annotator][index], self.size)


class AnnotatedSource(Protocol):
    """Annotated images by number; one is read when it is asked for, so that the source need not fit in memory."""

    @property
    def names(self) -> Sequence[str]:
        """The images' names, in an order that depends on the source alone."""
        ...

    def read(self, index: int) -> AnnotatedImage:
        """Reads one image and its masks.

        Raises:
            SaPipelineError: A file is missing, damaged or not of the format expected; the text names it.
        """
        ...


def decode_annotated(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    """Decodes the file `name` at its own size, as the pipeline stores it: (H, W, 3) uint8 RGB.

    Raises:
        AnnotationError: It is no image that can be read.
    """
    try:
        return decode_image(data, AS_STORED).pixels
    except ImageRejected as error:
        raise AnnotationError(f"{name}: expected an image, found {error.reason} ({error.detail}).") from error


def read_file(path: Path) -> bytes:
    """Reads a whole file.

    Raises:
        AnnotationError: It is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{path} cannot be read: {error.strerror or error}.") from error


def require_size(found: tuple[int, int], image: tuple[int, int], name: str) -> None:
    """Checks that the reference masks in `name` have the image's height and width.

    Raises:
        AnnotationError: They have not.
    """
    if found != image:
        raise AnnotationError(
            f"{name}: the masks have {found[1]} x {found[0]} px, its image has {image[1]} x {image[0]}; "
            "expected the same width and height."
        )


def has_pixels(counts: str, size: tuple[int, int], name: str) -> bool:
    """Whether the mask `name`, COCO compressed run lengths of `size` (height, width), has any foreground.

    Raises:
        AnnotationError: The run lengths are malformed or of another size.
    """
    try:
        runs = decode_counts(counts)
        check_runs(runs, size)
    except RleError as error:
        raise AnnotationError(f"{name}: expected COCO's run lengths; {error}") from error
    return area_from_runs(runs) > 0
