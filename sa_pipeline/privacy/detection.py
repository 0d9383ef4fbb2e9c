"""What a detector of faces or licence plates is, and what it says."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt


class Kind(enum.StrEnum):
    """What identifies a person in a photograph."""

    FACE = "face"
    LICENSE_PLATE = "license_plate"


@dataclass(frozen=True)
class Detection:
    """One thing that was found.

    Attributes:
        kind: What it is.
        score: How sure the detector is, 0 to 1.
        bbox: XYWH, px of the image; a box may reach beyond the image.
    """

    kind: Kind
    score: float
    bbox: tuple[float, float, float, float]


@runtime_checkable
class Detector(Protocol):
    """Finds faces, licence plates or both; yours needs no more than this.

    Attributes:
        name: Stands beside every box that it finds.
        digest: Of its weights and whatever else its results depend on; a new digest makes the shards stale.
    """

    name: str
    digest: str

    def detect(self, image: npt.NDArray[np.uint8]) -> Sequence[Detection]:
        """Looks at an image, (H, W, 3) uint8 RGB; the same image must give the same boxes."""
