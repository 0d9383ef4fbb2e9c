"""The numbers of each step of a turn: kept in its folder when the step is done, and printed as a table."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from sa_pipeline.artifacts import RoundAssetName, read_table
from sa_pipeline.dataset import Dataset
from sa_pipeline.round_figures.effort import measure_effort
from sa_pipeline.stages.prefilled_pairs import PairOutcome, iterate_pairs
from sa_pipeline.storage import Storage

FOLDER = "figures"


class Figures(BaseModel):
    """What came of a step; what it does not have is None.

    Attributes:
        step: Its name: `start`, or the round's.
        images: Pictures that were finished.
        masks: On them, pre-filled ones included.
        seconds: A mask that people made themselves, by the model of their time.
        clicks: On such a mask.
        strokes: On such a mask.
        left: Objects a picture that people gave up.
        kept, mended, deleted: Shares of the pre-filled masks.
        trained_on: Masks of the retraining.
        promoted: Whether its weights were put into use.
        ious: Of the step's weights on the validation photographs, by clicks.
        best_of_three: Of the first click's masks.
        recall: Of the detector at 100 boxes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    images: int | None = None
    masks: int | None = None
    seconds: float | None = None
    clicks: float | None = None
    strokes: float | None = None
    left: float | None = None
    kept: float | None = None
    mended: float | None = None
    deleted: float | None = None
    trained_on: int | None = None
    promoted: bool | None = None
    ious: dict[int, float] = {}
    best_of_three: float | None = None
    recall: float | None = None

    @property
    def masks_per_image(self) -> float | None:
        """Pre-filled masks included."""
        return None if self.masks is None or not self.images else self.masks / self.images


def find(folder: Path, step: str) -> Figures | None:
    """The numbers of a step that is done."""
    storage = Storage(folder)
    name = f"{FOLDER}/{step}.json"
    return Figures.model_validate_json(storage.read_bytes(name)) if storage.exists(name) else None


def keep(folder: Path, figures: Figures) -> Figures:
    """Keeps the numbers of a step, which is done thereby."""
    Storage(folder).write_bytes(f"{FOLDER}/{figures.step}.json", figures.model_dump_json(indent=1).encode())
    return figures


def of_people(dataset: Dataset, round_name: str) -> Figures:
    """What people did in a round, from its snapshot."""
    effort = measure_effort(dataset, round_name)
    shown = Counter(pair.outcome for pair in iterate_pairs(dataset, round_name))
    shares = {outcome.value: shown[outcome] / shown.total() for outcome in PairOutcome if shown}
    return Figures(
        step=round_name,
        images=effort.images,
        masks=effort.manual + effort.prefilled,
        seconds=effort.seconds_per_mask,
        clicks=effort.clicks_per_mask,
        strokes=effort.strokes_per_mask,
        left=_given_up(dataset, round_name) / effort.images if effort.images else None,
        **shares,
    )


def _given_up(dataset: Dataset, round_name: str) -> int:
    """Objects that people began themselves and threw away."""
    columns = ["object_id", "source", "deleted"]
    events = read_table(dataset.storage, RoundAssetName.HUMAN_MASK_EVENTS, round_name, columns=columns)
    thrown = events.filter(pc.and_(events["deleted"], pc.equal(events["source"], "manual")))
    return int(pc.count_distinct(thrown["object_id"]).as_py())


def table(rows: Sequence[Figures]) -> str:
    """All steps as a table in Markdown."""
    clicks = sorted({number for row in rows for number in row.ious})
    titles = ["step", "images", "masks an image", "s a mask", "clicks", "strokes", "left an image", "kept", "mended"]
    titles += ["deleted", "trained on", "in use", "recall@100", *(f"IoU@{number}" for number in clicks), "best of 3"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for row in rows:
        values = [
            row.step,
            _text(row.images, ""),
            _text(row.masks_per_image, ".1f"),
            _text(row.seconds, ".1f"),
            _text(row.clicks, ".2f"),
            _text(row.strokes, ".2f"),
            _text(row.left, ".1f"),
            _text(row.kept, ".0%"),
            _text(row.mended, ".0%"),
            _text(row.deleted, ".0%"),
            _text(row.trained_on, ""),
            "" if row.promoted is None else "yes" if row.promoted else "no",
            _text(row.recall, ".2f"),
            *(_text(row.ious.get(number), ".3f") for number in clicks),
            _text(row.best_of_three, ".3f"),
        ]
        lines.append("| " + " | ".join(values) + " |")
    return "\n".join(lines)


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
