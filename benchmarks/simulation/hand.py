"""Making one mask: clicks where the error is, then the brush, as long as the guideline lets a person (paper §4)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from sa_pipeline.evaluation.clicks import Click, centre_click, correction_click
from sa_pipeline.studio.models import Prompts, Tool
from simulation import habits
from simulation.sight import Sight
from simulation.truth import Mask, iou


@dataclass(frozen=True)
class Step:
    """One change of a mask (H, W), with what SAM was asked for it and the seconds that it took."""

    tool: Tool
    mask: Mask
    prompts: Prompts
    seconds: float


@dataclass
class Attempt:
    """Everything done for one object so far; `mask` and `iou` are how it stands."""

    target: Mask
    mask: Mask
    seconds: float = 0.0
    steps: list[Step] = field(default_factory=list)
    prompts: Prompts = field(default_factory=Prompts)

    def __post_init__(self) -> None:
        self.iou = iou(self.mask, self.target)

    def do(self, tool: Tool, mask: Mask, seconds: float, prompts: Prompts | None = None) -> None:
        """Takes a step."""
        self.mask, self.iou = mask, iou(mask, self.target)
        self.prompts = prompts or self.prompts
        self.seconds += seconds
        self.steps.append(Step(tool, mask, self.prompts, round(seconds, 2)))

    def has_time(self, seconds: float, limit: float) -> bool:
        """Whether something is begun: not when the time is over, nor when it would take that long by itself."""
        return max(self.seconds, seconds) <= limit


def make(sight: Sight, target: Mask) -> Attempt:
    """Makes a mask of an object from nothing.

    Args:
        sight: The picture.
        target: (H, W) bool, what the person has in mind, not empty.
    """
    attempt = Attempt(target, np.zeros_like(target))
    clicks = [centre_click(target)]
    answer = sight.ask(clicks, None)
    masks = [sight.enlarge(logits) for logits in answer.logits]
    offered = 1 + int(answer.predicted_iou[1:].argmax())
    attempt.do(
        Tool.CLICK,
        masks[offered],
        habits.LOOK_SECONDS + habits.CLICK_SECONDS,
        _prompts(clicks, offered, answer.predicted_iou),
    )
    ious = [iou(mask, target) for mask in masks]
    best = 1 + int(np.argmax(ious[1:]))
    if ious[best] > ious[offered] + habits.SEEN_GAIN:
        attempt.do(Tool.CLICK, masks[best], habits.CHOOSE_SECONDS, _prompts(clicks, best, answer.predicted_iou))
        offered = best
    _correct(sight, attempt, clicks, answer.logits[offered], habits.GUIDELINE_SECONDS)
    _paint(attempt, habits.GUIDELINE_SECONDS)
    return attempt


def mend(sight: Sight, target: Mask, mask: Mask, spent: float = 0.0) -> Attempt:
    """Mends a mask that is there already, by clicks and brush; `spent` seconds are gone."""
    attempt = Attempt(target, mask, spent)
    _correct(sight, attempt, [], sight.seed(mask), habits.GUIDELINE_SECONDS)
    _paint(attempt, habits.GUIDELINE_SECONDS)
    return attempt


def perfect(target: Mask, mask: Mask) -> Attempt:
    """Mends a mask with brush and eraser until no error can be seen, however long it takes (paper §5, mask quality)."""
    attempt = Attempt(target, mask)
    _paint(attempt, math.inf, content=1.0)
    return attempt


def _correct(
    sight: Sight, attempt: Attempt, clicks: list[Click], logits: npt.NDArray[np.float32], limit: float
) -> None:
    """Clicks where the error is; a click that made things worse is taken back."""
    fruitless = 0
    while (
        attempt.iou < habits.CONTENT_IOU
        and len(clicks) < habits.MAX_CLICKS
        and fruitless < habits.FRUITLESS_CLICKS
        and attempt.has_time(habits.CLICK_SECONDS, limit)
    ):
        click = correction_click(attempt.mask, attempt.target, clicks)
        if click is None:
            return
        before, prompts, iou_before = attempt.mask, attempt.prompts, attempt.iou
        tried = [*clicks, click]
        answer = sight.ask(tried, logits)
        mask = sight.enlarge(answer.logits[0])
        attempt.do(Tool.CLICK, mask, habits.CLICK_SECONDS, _prompts(tried, 0, answer.predicted_iou))
        if attempt.iou < iou_before + habits.SEEN_GAIN:
            fruitless += 1
        else:
            fruitless = 0
        if attempt.iou < iou_before:
            attempt.do(Tool.UNDO, before, habits.UNDO_SECONDS, prompts)
            # Another click of its own would be answered in the same way.
            return
        clicks, logits = tried, answer.logits[0]


def _paint(attempt: Attempt, limit: float, content: float = habits.CONTENT_IOU) -> None:
    """Paints and erases, largest errors first, those that there is time for."""
    outline = _outline(attempt.target)
    for tool, region in _errors(attempt):
        if attempt.iou >= content:
            return
        reach = cv2.dilate(region.astype(np.uint8), _disk(_tolerance(region) + 1)) > 0
        share = float((outline & reach).sum() / max(int(outline.sum()), 1))
        seconds = habits.STROKE_SECONDS + habits.OUTLINE_SECONDS * share
        if attempt.has_time(seconds, limit):
            mask = attempt.mask | region if tool is Tool.BRUSH else attempt.mask & ~region
            attempt.do(tool, mask, seconds)


def _errors(attempt: Attempt) -> Iterator[tuple[Tool, Mask]]:
    """Regions that are wrong by more than the tolerance, by falling size."""
    found: list[tuple[int, Tool, Mask]] = []
    missing, excess = attempt.target & ~attempt.mask, attempt.mask & ~attempt.target
    for tool, wrong in ((Tool.BRUSH, missing), (Tool.ERASER, excess)):
        thick = cv2.morphologyEx(wrong.astype(np.uint8), cv2.MORPH_OPEN, _disk(_tolerance(wrong)))
        count, labels, statistics, _ = cv2.connectedComponentsWithStats(thick, connectivity=8)
        found += [(int(statistics[label, cv2.CC_STAT_AREA]), tool, labels == label) for label in range(1, count)]
    yield from ((tool, region) for _, tool, region in sorted(found, key=lambda each: -each[0]))


def _outline(mask: Mask) -> Mask:
    inside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    outline: Mask = mask & ~inside
    return outline


def _tolerance(mask: Mask) -> int:
    return max(1, round(habits.TOLERANCE_SHARE * max(mask.shape)))


def _disk(radius: int) -> npt.NDArray[np.uint8]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)).astype(np.uint8)


def _prompts(clicks: list[Click], output: int, predicted_iou: npt.NDArray[np.float32]) -> Prompts:
    return Prompts(
        point_coords=[(float(click.x), float(click.y)) for click in clicks],
        point_labels=[1 if click.foreground else 0 for click in clicks],
        output=output,
        predicted_iou=round(float(predicted_iou[output]), 4),
    )
