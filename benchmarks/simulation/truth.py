"""What a simulated person has in mind: the masks that real people, or a program that drew it, gave a picture."""

import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sa_pipeline.annotated.image import AnnotatedImage
from sa_pipeline.annotated.opening import open_annotated
from sa_pipeline.annotated.references import ReferenceFormat, open_references
from simulation.habits import MIN_OBJECT_SHARE

Mask = npt.NDArray[np.bool_]

_SIDE = 32
_DIFFERENCE = 1.0
"""Of 255, by which a small copy may differ on average from that of the same picture, which may have been coded anew."""


@dataclass(frozen=True)
class Wanted:
    """An object that a person sees.

    Attributes:
        number: Among the person's objects of the picture.
        mask: (H, W) bool, not empty.
        label: In words; empty where nobody gave one.
    """

    number: int
    mask: Mask
    label: str


class Truth:
    """Annotated pictures, each known again by what it looks like; used by several people at once."""

    def __init__(self, source: Path, references: Path | None = None) -> None:
        """Opens a source; what may be given is said by `open_annotated`.

        Raises:
            SaPipelineError: Something cannot be read.
        """
        self._source = open_annotated(source, references)
        self._labels: list[tuple[str, ...]] | None = None
        if references is not None and references.suffix == ".json":
            opened = open_references(references, ReferenceFormat.COCO)
            self._labels = [tuple(mask.label for mask in each.people[0]) for each in opened]
        self._looks: list[tuple[tuple[int, int], npt.NDArray[np.float32]]] = []
        self._lock = threading.Lock()

    def recognise(self, pixels: npt.NDArray[np.uint8]) -> int | None:
        """Number of the picture (H, W, 3) uint8 RGB; None where it is none of them."""
        size, look = pixels.shape[:2], _look(pixels)
        for index in range(len(self._source.names)):
            known_size, known = self._look_of(index)
            if known_size == size and np.abs(known - look).mean() <= _DIFFERENCE:
                return index
        return None

    def _look_of(self, index: int) -> tuple[tuple[int, int], npt.NDArray[np.float32]]:
        # Read no further than needed: a source may hold many pictures.
        with self._lock:
            while len(self._looks) <= index:
                image = self._source.read(len(self._looks))
                self._looks.append((image.size, _look(image.pixels)))
            return self._looks[index]

    def wanted(self, index: int, task_id: int) -> list[Wanted]:
        """What is seen in a picture for a task, by falling size: by one of those who segmented it.

        It depends on the task alone, so that the same masks are made whoever takes it; several tasks of one picture,
        which follow one another, get different people's.
        """
        image = self._source.read(index)
        person = task_id % len(image.annotators)
        labels = self._labels[index] if self._labels else ("",) * len(image.annotators[person])
        seen = [Wanted(number, image.mask(person, number), label) for number, label in enumerate(labels)]
        large = [each for each in seen if each.mask.mean() >= MIN_OBJECT_SHARE]
        return sorted(large, key=lambda each: (-int(each.mask.sum()), each.number))

    def everything(self, index: int) -> list[Mask]:
        """What anybody sees in a picture."""
        image: AnnotatedImage = self._source.read(index)
        return [
            image.mask(person, number)
            for person, counts in enumerate(image.annotators)
            for number in range(len(counts))
        ]


def iou(one: Mask, other: Mask) -> float:
    """Intersection over union of two masks (H, W); 0 of two empty ones."""
    union = int((one | other).sum())
    return float((one & other).sum() / union) if union else 0.0


def best_match(mask: Mask, candidates: list[Mask]) -> tuple[float, int | None]:
    """Largest IoU of a mask with any of N, and which one that is."""
    ious = [iou(mask, each) for each in candidates]
    if not ious:
        return 0.0, None
    best = int(np.argmax(ious))
    return ious[best], best


def _look(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return cv2.resize(pixels.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
