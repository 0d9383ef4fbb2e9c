"""Pictures of an evaluation: what was clicked and came out, and which segments the proposals found."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from sa_pipeline.evaluation.clicks import Click
from sa_pipeline.evaluation.tables import Method, TableName, read_whole
from sa_pipeline.masks.rle import counts_to_mask
from sa_pipeline.report.overlays import Colour, draw_masks, mask_colour
from sa_pipeline.storage import Storage

MASK_COLOUR: Colour = (47, 128, 237)
TARGET_COLOUR: Colour = (255, 221, 51)
FOREGROUND_COLOUR: Colour = (39, 174, 96)
BACKGROUND_COLOUR: Colour = (214, 40, 40)
FOUND_IOU = 0.5

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Attempt:
    """What came of some clicks on a segment."""

    iou: float
    predicted_iou: float
    clicks: tuple[Click, ...]
    counts: str


@dataclass(frozen=True)
class ClickCase:
    """A segment, the mask for one click, and the mask after the last."""

    image: str
    target: str
    attempts: tuple[Attempt, Attempt]


@dataclass(frozen=True)
class ProposalCase:
    """A person's segments of an image, each with the proposal that covers it best and their IoU."""

    image: str
    segments: tuple[str, ...]
    proposals: tuple[str, ...]
    ious: tuple[float, ...]


def click_cases(output: Storage, count: int) -> dict[str, list[ClickCase]]:
    """Segments by the IoU after one click: the best, those around the median, the worst; at most `count` of each.

    No segment is in two groups, and no image occurs twice in a group unless there are too few.
    """
    columns = ["image", "annotator", "segment", "clicks", "chosen", "iou"]
    clicks = read_whole(output, TableName.CLICKS, columns).to_pandas()
    first = clicks[(clicks["clicks"] == 1) & clicks["chosen"]].sort_values("iou", ascending=False, kind="stable")
    return {
        name: [_click_case(output, row) for row in _spread(rows, count).itertuples(index=False)]
        for name, rows in _groups(first).items()
    }


def proposal_cases(output: Storage, count: int) -> dict[str, list[ProposalCase]]:
    """Images by the mean best IoU of their segments: the best, those around the median, the worst.

    At most `count` of each; no image is in two groups.
    """
    segments = read_whole(output, TableName.SEGMENTS, ["image", "best_iou_sam"]).to_pandas()
    means = segments.groupby("image", sort=True)["best_iou_sam"].mean().reset_index()
    ordered = means.sort_values("best_iou_sam", ascending=False, kind="stable")
    return {
        name: [_proposal_case(output, image) for image in rows["image"][:count]]
        for name, rows in _groups(ordered).items()
    }


def draw_attempt(image: Pixels, target: str, attempt: Attempt) -> Pixels:
    """The mask filled in blue, the person's segment outlined in yellow, clicks as green (+) and red (-) dots.

    Args:
        image: (H, W, 3) uint8 RGB.
        target: The segment as COCO compressed run lengths.
        attempt: The mask and the clicks that led to it.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    unit = max(1, round(max(height, width) / 480))
    drawn = draw_masks(image, [attempt.counts], [MASK_COLOUR])
    outline = counts_to_mask(target, (height, width)).astype(np.uint8)
    found, _ = cv2.findContours(np.ascontiguousarray(outline), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, found, -1, TARGET_COLOUR, 2 * unit, cv2.LINE_AA)
    for click in attempt.clicks:
        colour = FOREGROUND_COLOUR if click.foreground else BACKGROUND_COLOUR
        cv2.circle(drawn, (click.x, click.y), 7 * unit, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(drawn, (click.x, click.y), 6 * unit, colour, -1, cv2.LINE_AA)
        arm = 3 * unit
        cv2.line(drawn, (click.x - arm, click.y), (click.x + arm, click.y), (255, 255, 255), unit)
        if click.foreground:
            cv2.line(drawn, (click.x, click.y - arm), (click.x, click.y + arm), (255, 255, 255), unit)
    return drawn


def draw_found(image: Pixels, case: ProposalCase) -> tuple[Pixels, Pixels]:
    """Two pictures: the segments, and in the same colours the proposals that found them with IoU 0.5 or more."""
    colours = [mask_colour(index) for index in range(len(case.segments))]
    found = [index for index, iou in enumerate(case.ious) if iou >= FOUND_IOU]
    return (
        draw_masks(image, case.segments, colours),
        draw_masks(image, [case.proposals[i] for i in found], [colours[i] for i in found]),
    )


def _groups(ordered: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Thirds of the rows, which come best first: each as its members are to be taken."""
    best, middle, worst = (ordered.iloc[rows] for rows in np.array_split(np.arange(len(ordered)), 3))
    distance = np.abs(np.arange(len(middle)) - (len(middle) - 1) / 2)
    return {"best": best, "median": middle.iloc[np.argsort(distance, kind="stable")], "worst": worst[::-1]}


def _spread(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """The first `count` rows, those of images that occur already moved to the end."""
    return pd.concat([rows[~rows["image"].duplicated()], rows[rows["image"].duplicated()]])[:count]


def _click_case(output: Storage, row: tuple[object, ...]) -> ClickCase:
    image, annotator, segment = row[:3]
    key = [("image", "=", image), ("annotator", "=", annotator), ("segment", "=", segment)]
    target = read_whole(output, TableName.SEGMENTS, ["counts"], key)["counts"][0].as_py()
    masks = read_whole(output, TableName.CLICKS, None, [*key, ("chosen", "=", True)]).sort_by("clicks").to_pylist()
    clicks = [Click(mask["x"], mask["y"], mask["foreground"]) for mask in masks if mask["x"] is not None]
    attempts = (
        Attempt(mask["iou"], mask["predicted_iou"], tuple(clicks[: mask["clicks"]]), mask["counts"])
        for mask in (masks[0], masks[-1])
    )
    return ClickCase(str(image), target, tuple(attempts))  # type: ignore[arg-type]  # a pair


def _proposal_case(output: Storage, image: str) -> ProposalCase:
    segments = read_whole(output, TableName.SEGMENTS, None, [("image", "=", image)]).to_pylist()
    of_image = [("image", "=", image), ("method", "=", Method.SAM.value)]
    proposals = read_whole(output, TableName.PROPOSALS, ["rank", "counts"], of_image).sort_by("rank")["counts"]
    person = _most_thorough(segments)
    shown = [row for row in segments if row["annotator"] == person and row["best_rank_sam"] is not None]
    return ProposalCase(
        image,
        tuple(row["counts"] for row in shown),
        tuple(proposals[row["best_rank_sam"]].as_py() for row in shown),
        tuple(row["best_iou_sam"] for row in shown),
    )


def _most_thorough(segments: Sequence[dict[str, int]]) -> int:
    """The person with the most segments of the image; the first of several."""
    annotators = [row["annotator"] for row in segments]
    return max(sorted(set(annotators)), key=annotators.count)
