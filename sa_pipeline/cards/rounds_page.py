"""The page of the annotation rounds: their figures and curves beside the paper's (§4)."""

from collections.abc import Sequence

from sa_pipeline.cards.document import Block, Document, Section, Text, number, table
from sa_pipeline.cards.published import AGREEMENT, PAPER, STAGES
from sa_pipeline.cards.round_charts import round_charts
from sa_pipeline.round_figures.collect import RoundFigures

ROUNDS_PAGE = "rounds"
"""Name of the page beside the cards, without its ending."""


def rounds_page(rounds: Sequence[RoundFigures]) -> Document:
    """Writes the page; without a round it says so."""
    masks = sum(figures.manual + figures.prefilled + figures.imported for figures in rounds)
    sections = [Section("Curves", round_charts(rounds))] if rounds else []
    if rounds:
        sections += [_speed(rounds), _help(rounds), *_models(rounds)]
    else:
        none = (
            "No annotation round has a snapshot yet. The command sa-pipeline annotate opens a round, and sa-pipeline "
            "annotations snapshot writes its accepted work."
        )
        sections.append(Section("Rounds", (Text(none),)))
    return Document(
        title="Annotation rounds",
        subtitle=f"The paper's figures are from {PAPER}, §4 and §5",
        figures=(
            (f"{len(rounds):,}", "rounds"),
            (f"{sum(figures.tasks for figures in rounds):,}", "accepted tasks"),
            (f"{masks:,}", "masks"),
        ),
        sections=(*sections, _paper()),
    )


def _speed(rounds: Sequence[RoundFigures]) -> Section:
    counted = [
        (
            of.round,
            (of.stage or "-").replace("_", " "),
            f"{of.tasks:,}",
            f"{of.images:,}",
            f"{of.annotators:,}",
            f"{of.manual:,}",
            f"{of.prefilled:,}",
            f"{of.imported:,}",
        )
        for of in rounds
    ]
    worked = [
        (
            of.round,
            _number(of.seconds_per_mask),
            _number(of.clicks_per_mask),
            _number(of.strokes_per_mask),
            _number(_sum(of.manual_per_task, of.prefilled_per_task)),
            _number(of.automatic_per_image),
        )
        for of in rounds
    ]
    remark = (
        "Seconds, clicks and strokes are means over the masks that people made themselves; idle and hidden time is "
        "left out. Masks an image are one person's accepted ones; automatic ones are those that the automatic stage "
        "has on the same images now."
    )
    blocks: list[Block] = [
        table(("round", "stage", "tasks", "images", "people", "made by hand", "pre-filled", "imported"), counted),
        table(("round", "s a mask", "clicks a mask", "strokes a mask", "masks an image", "automatic an image"), worked),
        Text(remark, quiet=True),
    ]
    return Section("Effort", tuple(blocks))


def _help(rounds: Sequence[RoundFigures]) -> Section:
    header = ["round", "shown first", "kept", "mended", "deleted", "IoU after 1 click", "3", "9", "clicked masks"]
    header += ["IoU of two people", "shared images"]
    rows = [
        (
            of.round,
            f"{of.shown:,}",
            *(_share(count, of.shown) for count in (of.kept, of.mended, of.deleted)),
            *(_number(of.iou_by_clicks[click - 1] if of.iou_by_clicks else None) for click in (1, 3, 9)),
            f"{of.clicked_masks:,}",
            _number(of.agreement),
            f"{of.shared_images:,}",
        )
        for of in rounds
    ]
    remark = (
        "Of the masks that a task began with: kept without a changed pixel, mended, or deleted. IoU after clicks is "
        "that of the mask which SAM answered with the mask that was accepted in the end. IoU of two people is the mean "
        "over their masks of the best IoU with another's on the same image."
    )
    return Section("What SAM's help was worth, and how people agree", (table(header, rows), Text(remark, quiet=True)))


def _models(rounds: Sequence[RoundFigures]) -> list[Section]:
    blocks: list[Block] = []
    retrained = [of for of in rounds if of.checkpoint_digest is not None]
    if retrained:
        header = ["round", "SHA-256 of the weights", "held-out masks", "IoU after 1 click", "over all clicks"]
        rows = [
            (
                of.round,
                str(of.checkpoint_digest),
                f"{of.held_out_masks or 0:,}",
                f"{_number(of.parent_iou_1_click)} to {_number(of.iou_1_click)}",
                f"{_number(of.parent_iou_over_clicks)} to {_number(of.iou_over_clicks)}",
                "yes" if of.not_worse else "no",
            )
            for of in retrained
        ]
        remark = (
            "SAM retrained on the round's masks, from the weights that training started from to the new ones: mean IoU "
            "of simulated clicks on people's masks of images that are never trained on."
        )
        blocks += [table([*header, "not worse"], rows), Text(remark, quiet=True)]
    detected = [of for of in rounds if of.detector_recall is not None]
    if detected:
        found = [(of.round, _number(of.detector_recall), _number(of.detector_average_recall)) for of in detected]
        remark = "Of people's boxes on held-out images, with as many boxes as the detector may give (100 by default)."
        header = ["round", "recall of the box detector at IoU 0.5", "average over IoU 0.5 to 0.95"]
        blocks += [table(header, found), Text(remark, quiet=True)]
    return [Section("Models", tuple(blocks))] if blocks else []


def _paper() -> Section:
    rows = [
        (
            stage.stage.replace("_", " "),
            f"{stage.retrainings}",
            _from_to(stage.seconds_per_mask),
            _from_to(stage.masks_per_image),
        )
        for stage in STAGES
    ]
    low, high = AGREEMENT
    blocks: list[Block] = [
        table(("stage", "retrainings of SAM", "s a mask", "masks an image"), rows),
        Text(
            "The paper's annotators worked full-time on photographs with many objects. In its second stage, masks that "
            f"were shown first are not counted in the seconds (§4). Two people agree with an IoU of {low:.0%} to "
            f"{high:.0%} (§5).",
            quiet=True,
        ),
    ]
    return Section("In the paper", tuple(blocks))


def _from_to(pair: tuple[float, float]) -> str:
    first, last = pair
    return f"{first:g}" if first == last else f"{first:g} to {last:g}"


def _share(count: int, total: int) -> str:
    return f"{count / total:.0%}" if total else "-"


def _sum(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _number(value: float | None) -> str:
    return "-" if value is None else number(value)
