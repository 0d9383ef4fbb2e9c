"""How many of people's boxes a detector finds: recall at so many boxes, as COCO has it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torchvision.models.detection import FasterRCNN

from sa_pipeline.detection.boxes import Boxes, BoxSource, box_ious
from sa_pipeline.detection.detect import Detections, detect
from sa_pipeline.detection.record import BoxRecall
from sa_pipeline.progress import Progress, SilentProgress

IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""Of COCO's average recall: 0.5 to 0.95."""

SMALLEST_SIDE = 0.05
"""Of random boxes, as a share of the image's side."""


@dataclass
class RecallCount:
    """Adds up, image by image, how many boxes are found."""

    boxes: int = 0

    def __post_init__(self) -> None:
        self.found = np.zeros(len(IOU_THRESHOLDS), np.int64)

    def add(self, detected: Boxes, wanted: Boxes) -> None:
        """Counts one person's boxes on one image; `detected` best first."""
        self.boxes += len(wanted)
        self.found += count_found(detected, wanted)

    @property
    def at_half(self) -> float | None:
        """Share found at an IoU of 0.5."""
        return float(self.found[0]) / self.boxes if self.boxes else None

    @property
    def average(self) -> float | None:
        """Mean share found over all thresholds."""
        return float(self.found.mean()) / self.boxes if self.boxes else None


def count_found(detected: Boxes, wanted: Boxes) -> npt.NDArray[np.int64]:
    """How many of the wanted boxes are found at each of `IOU_THRESHOLDS`.

    As in pycocotools, each detected box, best first, finds at most one: of those not found yet the one that it
    overlaps most.

    Args:
        detected: (N, 4), best first.
        wanted: (M, 4).

    Returns:
        (10,) int64.
    """
    ious = box_ious(detected, wanted)
    found = np.zeros(len(IOU_THRESHOLDS), np.int64)
    for index, threshold in enumerate(IOU_THRESHOLDS):
        free = np.ones(len(wanted), np.bool_)
        for row in ious[(ious >= threshold).any(axis=1)] if len(wanted) else ():
            best = int(np.where(free, row, -1.0).argmax())
            free[best] &= row[best] < threshold
        found[index] = np.count_nonzero(~free)
    return found


def measure_recall(
    detector: FasterRCNN, source: BoxSource, max_boxes: int, progress: Progress | None = None
) -> BoxRecall:
    """Runs the detector on every image of a source and counts what it finds.

    Args:
        detector: As `build_detector` makes it.
        source: Images that it was not trained on.
        max_boxes: Boxes an image that count, the best ones.
        progress: Shows the images.

    Raises:
        SaPipelineError: An image cannot be read.
    """
    learned, by_chance = RecallCount(), RecallCount()
    numbers: Iterable[int] = range(len(source))
    for index in (progress or SilentProgress()).track(numbers, description="recall", total=len(source)):
        image = source.read(index)
        found: Detections = detect(detector, image.pixels)
        height, width = image.pixels.shape[:2]
        drawn = random_boxes((height, width), max_boxes, np.random.default_rng(index))
        for wanted in image.people:
            learned.add(found.boxes[:max_boxes], wanted)
            by_chance.add(drawn, wanted)
    return BoxRecall(
        images=len(source),
        boxes=learned.boxes,
        max_boxes=max_boxes,
        at_half=learned.at_half,
        average=learned.average,
        random_at_half=by_chance.at_half,
        random_average=by_chance.average,
    )


def random_boxes(size: tuple[int, int], count: int, rng: np.random.Generator) -> Boxes:
    """Boxes anywhere on an image: sides log-uniform from a twentieth of the image's to all of it.

    Args:
        size: Height and width in px.
        count: Of boxes.
        rng: Source of chance.
    """
    sides = np.exp(rng.uniform(np.log(SMALLEST_SIDE), 0.0, (count, 2)))
    corners = rng.uniform(0.0, 1.0, (count, 2)) * (1 - sides)
    scale = np.array([size[1], size[0]])
    return np.concatenate([corners * scale, (corners + sides) * scale], axis=1).astype(np.float32)
