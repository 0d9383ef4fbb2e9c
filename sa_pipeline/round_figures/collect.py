"""The figures of every round in one table, `round_report/rounds.parquet`."""

import dataclasses
import hashlib
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from sa_pipeline.artifacts import RoundAssetName, input_digest, list_rounds
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.round_figures.agreement import measure_agreement
from sa_pipeline.round_figures.clicks import click_curve
from sa_pipeline.round_figures.effort import Effort, measure_effort
from sa_pipeline.round_figures.models import TrainedModels, read_models
from sa_pipeline.schemas import ROUND_FIGURES
from sa_pipeline.stages.prefilled_pairs import PairOutcome, iterate_pairs
from sa_pipeline.storage import Storage

ROUND_REPORT_FILE = "round_report/rounds.parquet"
"""Within the storage root."""

_VERSION = 1
"""Raised when a figure that needs pixels is reckoned otherwise, so that it is reckoned anew."""
_SNAPSHOT = (RoundAssetName.HUMAN_MASKS, RoundAssetName.HUMAN_MASK_EVENTS)


@dataclass(frozen=True)
class PixelFigures:
    """Those figures of a round that take reading its masks; the names are columns of `ROUND_FIGURES`."""

    shown: int
    kept: int
    mended: int
    deleted: int
    clicked_masks: int
    iou_by_clicks: list[float]
    shared_images: int
    agreement: float | None
    inputs: str


@dataclass(frozen=True)
class RoundFigures(PixelFigures, Effort, TrainedModels):
    """All figures of a round; each is a column of `ROUND_FIGURES`, which describes it."""

    round: str
    manual_per_task: float | None
    prefilled_per_task: float | None


@dataclass(frozen=True)
class RoundReport:
    """What was written: rounds in the order of their first acceptance, and those left out, each with the reason."""

    rounds: list[RoundFigures]
    left_out: dict[str, str]


def make_round_report(dataset: Dataset, progress: Progress | None = None) -> RoundReport:
    """Writes a row for every round of which a snapshot lies there, but for those of which a file is damaged.

    What needs pixels is taken from the table of before where the round's snapshot is still the same.

    Raises:
        StorageError: The table cannot be written.
    """
    known = {figures.round: figures for figures in _read_known(dataset.storage)}
    names = list_rounds(dataset.storage)
    found: list[RoundFigures] = []
    left_out: dict[str, str] = {}
    for name in (progress or SilentProgress()).track(names, description="rounds", total=len(names)):
        try:
            found.append(_collect(dataset, name, known.get(name)))
        except ArtifactError as error:
            left_out[name] = str(error)  # one damaged round shall not hide the others, nor hold up the catalogue
    rounds = sorted(found, key=lambda figures: (figures.begun is None, figures.begun, figures.round))
    rows = [dataclasses.asdict(figures) for figures in rounds]
    with dataset.storage.writing(ROUND_REPORT_FILE) as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=ROUND_FIGURES), path)
    return RoundReport(rounds, left_out)


def read_round_report(storage: Storage) -> list[RoundFigures]:
    """Reads the table; without one there are no rounds.

    Raises:
        ArtifactError: It is damaged, or of another version.
    """
    if not storage.exists(ROUND_REPORT_FILE):
        return []
    try:
        with storage.reading(ROUND_REPORT_FILE) as file:
            return [RoundFigures(**row) for row in pq.read_table(file).to_pylist()]
    except (pa.ArrowException, OSError, TypeError) as error:
        raise ArtifactError(
            f"{storage.url_of(ROUND_REPORT_FILE)} is damaged or of another version ({error}); materialize round_report."
        ) from error


def _read_known(storage: Storage) -> list[RoundFigures]:
    try:
        return read_round_report(storage)
    except ArtifactError:
        return []  # it is made anew in full


def _collect(dataset: Dataset, name: str, known: RoundFigures | None) -> RoundFigures:
    digests = " ".join(input_digest(dataset.storage, asset, name) for asset in _SNAPSHOT)
    inputs = hashlib.sha256(f"{_VERSION} {digests}".encode()).hexdigest()
    pixels = known if known is not None and known.inputs == inputs else _read_pixels(dataset, name, inputs)
    effort = measure_effort(dataset, name)
    values = {field.name: getattr(pixels, field.name) for field in dataclasses.fields(PixelFigures)}
    return RoundFigures(
        round=name,
        manual_per_task=effort.manual / effort.tasks if effort.tasks else None,
        prefilled_per_task=effort.prefilled / effort.tasks if effort.tasks else None,
        **dataclasses.asdict(effort),
        **dataclasses.asdict(read_models(dataset, name)),
        **values,
    )


def _read_pixels(dataset: Dataset, name: str, inputs: str) -> PixelFigures:
    outcomes = Counter(pair.outcome for pair in iterate_pairs(dataset, name))
    curve, agreement = click_curve(dataset, name), measure_agreement(dataset, name)
    return PixelFigures(
        shown=outcomes.total(),
        kept=outcomes[PairOutcome.KEPT],
        mended=outcomes[PairOutcome.MENDED],
        deleted=outcomes[PairOutcome.DELETED],
        clicked_masks=curve.masks,
        iou_by_clicks=curve.ious,
        shared_images=agreement.images,
        agreement=agreement.best_iou,
        inputs=inputs,
    )
