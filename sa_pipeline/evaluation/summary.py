"""The numbers that an evaluation's tables come to."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sa_pipeline.evaluation.metrics import (
    Calibration,
    Floats,
    average_best_overlap,
    average_recall,
    calibrate,
    recall,
)
from sa_pipeline.evaluation.tables import Method, TableName, read_whole
from sa_pipeline.storage import Storage

REPORTED_CLICKS = (1, 2, 3, 5, 9)

PEOPLE = "people"
"""Not a method but a ceiling for orientation: the segments of all others as proposals for a person's own."""


@dataclass(frozen=True)
class ProposalQuality:
    """How well at most so many proposals an image cover people's segments."""

    average_best_overlap: float
    average_recall: float
    recall_at_half: float


@dataclass(frozen=True)
class Summary:
    """All numbers.

    Attributes:
        images: Evaluated.
        segments: Of all people, large enough to be asked for.
        clicked: Segments clicked on.
        click_ious: Mean IoU of the chosen mask by number of clicks.
        oracle_iou: Mean IoU of the best of the three masks for one click.
        proposals: By `sam` and `felzenszwalb`; `people` is what the segments of the others would reach.
        click_calibration: Over the three masks of every first click.
        proposal_calibration: Over all proposals of the model against the segment that each covers best.
        proposals_per_image: Mean number by method, before the best are taken.
        seconds_per_image: Mean time of the automatic stage.
    """

    images: int
    segments: int
    clicked: int
    click_ious: dict[int, float]
    oracle_iou: float
    proposals: dict[str, ProposalQuality]
    click_calibration: Calibration
    proposal_calibration: Calibration
    proposals_per_image: dict[str, float]
    seconds_per_image: float


@dataclass(frozen=True)
class Scores:
    """Predicted and real IoU of N masks, (N,) each."""

    predicted: Floats
    real: Floats


def summarise(output: Storage) -> Summary:
    """Reads the tables of an evaluation and reckons their numbers.

    Raises:
        StorageError: There is no evaluation.
        ArtifactError: A table is damaged.
    """
    segments = read_whole(output, TableName.SEGMENTS, ["best_iou_sam", "best_iou_felzenszwalb", "best_iou_people"])
    clicks = read_whole(output, TableName.CLICKS, ["clicks", "chosen", "iou"])
    images = read_whole(output, TableName.IMAGES)
    methods = read_whole(output, TableName.PROPOSALS, ["method"])["method"]
    chosen = clicks.filter(clicks["chosen"])
    first = clicks.filter(pc.equal(clicks["clicks"], 1))
    reported = [number for number in REPORTED_CLICKS if number in pc.unique(clicks["clicks"]).to_pylist()]
    on_click, on_proposals = click_scores(output), proposal_scores(output)
    return Summary(
        images=images.num_rows,
        segments=segments.num_rows,
        clicked=pc.sum(pc.equal(chosen["clicks"], 1)).as_py() or 0,
        click_ious={n: _mean(chosen.filter(pc.equal(chosen["clicks"], n))["iou"]) for n in reported},
        oracle_iou=_mean(pa.chunked_array([_best_of_three(first)])),
        proposals={name: proposal_quality(ious) for name, ious in best_ious_by_method(output).items()},
        click_calibration=calibrate(on_click.predicted, on_click.real),
        proposal_calibration=calibrate(on_proposals.predicted, on_proposals.real),
        proposals_per_image={m.value: pc.sum(pc.equal(methods, m.value)).as_py() / images.num_rows for m in Method},
        seconds_per_image=_mean(images["seconds_sam"]),
    )


def proposal_quality(best_ious: Floats) -> ProposalQuality:
    """The three numbers of proposals from each segment's best IoU, (N,)."""
    return ProposalQuality(average_best_overlap(best_ious), average_recall(best_ious), recall(best_ious, 0.5))


def best_ious_by_method(output: Storage) -> dict[str, Floats]:
    """Each segment's best IoU (N,) by `sam`, `felzenszwalb` and, where several people segmented an image, `people`."""
    names = [*(method.value for method in Method), PEOPLE]
    segments = read_whole(output, TableName.SEGMENTS, [f"best_iou_{name}" for name in names])
    columns = {name: segments[f"best_iou_{name}"].drop_null() for name in names}
    return {name: _floats(column) for name, column in columns.items() if name != PEOPLE or len(column)}


def click_scores(output: Storage) -> Scores:
    """Predicted and real IoU of the three masks of every first click."""
    clicks = read_whole(output, TableName.CLICKS, ["clicks", "predicted_iou", "iou"])
    first = clicks.filter(pc.equal(clicks["clicks"], 1))
    return Scores(_floats(first["predicted_iou"]), _floats(first["iou"]))


def proposal_scores(output: Storage) -> Scores:
    """Predicted IoU of every proposal of the model, and its IoU with the segment that it covers best."""
    proposals = read_whole(output, TableName.PROPOSALS, ["method", "predicted_iou", "best_iou"])
    ours = proposals.filter(pc.equal(proposals["method"], Method.SAM.value))
    return Scores(_floats(ours["predicted_iou"]), _floats(ours["best_iou"]))


def _best_of_three(first: pa.Table) -> pa.Array:
    """(N,) best IoU of the masks of each first click; they stand one after another."""
    return pa.array(_floats(first["iou"]).reshape(-1, 3).max(axis=1, initial=0.0))


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(column.to_numpy(), np.float64)


def _mean(column: pa.ChunkedArray) -> float:
    return average_best_overlap(_floats(column))
