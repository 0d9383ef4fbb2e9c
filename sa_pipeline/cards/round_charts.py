"""The curves over annotation rounds, beside the paper's own figures (§4)."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from sa_pipeline.cards.charts import plain_axes
from sa_pipeline.cards.document import Chart
from sa_pipeline.cards.published import AGREEMENT, STAGES, PublishedStage
from sa_pipeline.report.figures import BAR_COLOUR
from sa_pipeline.round_figures.clicks import MAX_CLICKS
from sa_pipeline.round_figures.collect import RoundFigures

PAPER_COLOUR = "#c0792b"
SECOND_COLOUR = "#57a773"
THIRD_COLOUR = "#b0413e"
MAX_CURVES = 8
"""Of IoU by clicks; of more rounds, so many spread over all."""

Rounds = Sequence[RoundFigures]


def round_charts(rounds: Rounds) -> tuple[Chart, ...]:
    """All curves that the rounds have figures for; audits, which are no part of the engine's circle, are left out."""
    made = [figures for figures in rounds if figures.stage in {stage.stage for stage in STAGES}]
    drawn = (_seconds, _masks, _effort, _iou_by_clicks, _prefilled, _agreement, _retrained)
    return tuple(chart for draw in drawn if (chart := draw(made)) is not None)


def _seconds(rounds: Rounds) -> Chart | None:
    if not any(figures.seconds_per_mask is not None for figures in rounds):
        return None
    figure, axes = _axes(rounds, "s a mask")
    _line(axes, rounds, lambda of: of.seconds_per_mask, BAR_COLOUR, "mean")
    _line(axes, rounds, lambda of: of.median_seconds_per_mask, SECOND_COLOUR, "median")
    _paper(axes, rounds, lambda stage: stage.seconds_per_mask)
    axes.set_ylim(bottom=0)
    _legend(figure)
    caption = "Seconds that people worked on a mask that they made themselves. Paper: 34 to 14 s, then 34 s (§4)."
    return Chart("rounds_seconds_per_mask", caption, figure)


def _masks(rounds: Rounds) -> Chart | None:
    if not rounds:
        return None
    figure, axes = _axes(rounds, "masks an image")
    places = np.arange(len(rounds))
    manual = np.array([figures.manual_per_task or 0.0 for figures in rounds])
    prefilled = np.array([figures.prefilled_per_task or 0.0 for figures in rounds])
    axes.bar(places, manual, color=BAR_COLOUR, label="made by people")
    if prefilled.any():
        axes.bar(places, prefilled, bottom=manual, color=SECOND_COLOUR, label="pre-filled")
    automatic = [(at, of.automatic_per_image) for at, of in enumerate(rounds) if of.automatic_per_image is not None]
    if automatic:
        label = "automatic stage, now"
        axes.plot(*zip(*automatic, strict=True), "_", color=THIRD_COLOUR, markersize=14, label=label)
    _paper(axes, rounds, lambda stage: stage.masks_per_image)
    _legend(figure)
    caption = (
        "Accepted masks of one person on an image, and those of the automatic stage on the same images. Paper: 20 to "
        "44, then 72, automatic ones included (§4)."
    )
    return Chart("rounds_masks_per_image", caption, figure)


def _effort(rounds: Rounds) -> Chart | None:
    if not any(figures.clicks_per_mask is not None for figures in rounds):
        return None
    figure, axes = _axes(rounds, "a mask")
    _line(axes, rounds, lambda of: of.clicks_per_mask, BAR_COLOUR, "clicks")
    _line(axes, rounds, lambda of: of.strokes_per_mask, SECOND_COLOUR, "strokes of brush and eraser")
    axes.set_ylim(bottom=0)
    _legend(figure)
    return Chart("rounds_clicks_per_mask", "Clicks and strokes on a mask that people made themselves.", figure)


def _iou_by_clicks(rounds: Rounds) -> Chart | None:
    clicked = [figures for figures in rounds if figures.iou_by_clicks]
    if not clicked:
        return None
    figure, axes = plain_axes("clicks", "IoU with the accepted mask")
    chosen = np.unique(np.linspace(0, len(clicked) - 1, MAX_CURVES).round().astype(int))
    for shade, index in zip(np.linspace(0.35, 1.0, len(chosen)), chosen, strict=True):
        of = clicked[index]
        places = range(1, len(of.iou_by_clicks) + 1)
        axes.plot(places, of.iou_by_clicks, "o-", color=BAR_COLOUR, alpha=shade, markersize=3, label=of.round)
    axes.set_xticks(range(1, MAX_CLICKS + 1))
    axes.set_ylim(0, 1.02)
    _legend(figure)
    caption = (
        "IoU of the mask after each of people's clicks with the mask that was accepted, later rounds darker; masks "
        "with fewer clicks count with their last."
    )
    return Chart("rounds_iou_by_clicks", caption, figure)


def _prefilled(rounds: Rounds) -> Chart | None:
    if not any(figures.shown for figures in rounds):
        return None
    figure, axes = _axes(rounds, "pre-filled masks")
    shown = np.array([max(figures.shown, 1) for figures in rounds])
    bottom = np.zeros(len(rounds))
    for name, colour in (("kept", SECOND_COLOUR), ("mended", BAR_COLOUR), ("deleted", THIRD_COLOUR)):
        shares = np.array([getattr(figures, name) for figures in rounds]) / shown
        axes.bar(range(len(rounds)), shares, bottom=bottom, color=colour, label=name)
        bottom += shares
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0, 1)
    _legend(figure)
    return Chart("rounds_prefilled", "What people did with the masks that they were shown.", figure)


def _agreement(rounds: Rounds) -> Chart | None:
    if not any(figures.agreement is not None for figures in rounds):
        return None
    figure, axes = _axes(rounds, "IoU of two people")
    _line(axes, rounds, lambda of: of.agreement, BAR_COLOUR, "here")
    axes.axhspan(*AGREEMENT, color=PAPER_COLOUR, alpha=0.25, label="paper")
    axes.set_ylim(0, 1)
    _legend(figure)
    caption = "Mean best IoU with a mask of another person on the same image. The paper cites 85 to 91 % (§5)."
    return Chart("rounds_agreement", caption, figure)


def _retrained(rounds: Rounds) -> Chart | None:
    if not any(figures.iou_1_click is not None for figures in rounds):
        return None
    figure, axes = _axes(rounds, "IoU on held-out masks")
    _line(axes, rounds, lambda of: of.iou_1_click, BAR_COLOUR, "1 click")
    _line(axes, rounds, lambda of: of.parent_iou_1_click, PAPER_COLOUR, "before", style="_")
    _line(axes, rounds, lambda of: of.iou_over_clicks, SECOND_COLOUR, "mean over clicks")
    _line(axes, rounds, lambda of: of.detector_recall, THIRD_COLOUR, "recall of the detector", style="s:")
    axes.set_ylim(0, 1)
    _legend(figure)
    caption = (
        "Of the SAM weights that each round made, on images that are never trained on: mean IoU after one simulated "
        "click, and over 1, 2, 3, 5 and 9; before: of the weights that training started from, after one."
    )
    return Chart("rounds_checkpoints", caption, figure)


def _paper(axes: Axes, rounds: Rounds, pair: Callable[[PublishedStage], tuple[float, float]]) -> None:
    """The paper's first and last figure of a stage, at the first and the last round of that stage."""
    label: str | None = "paper, first and last round of a stage"
    for stage in STAGES:
        places = [at for at, figures in enumerate(rounds) if figures.stage == stage.stage]
        if places:
            ends = (places[0], places[-1])
            axes.plot(ends, pair(stage), "D:", color=PAPER_COLOUR, linewidth=1, markersize=5, label=label)
            label = None


def _line(
    axes: Axes,
    rounds: Rounds,
    value: Callable[[RoundFigures], float | None],
    colour: str,
    label: str,
    style: str = "o-",
) -> None:
    values = np.array([value(figures) for figures in rounds], np.float64)
    if not np.isnan(values).all():
        axes.plot(range(len(rounds)), values, style, color=colour, label=label)


def _axes(rounds: Rounds, y: str) -> tuple[Figure, Axes]:
    figure, axes = plain_axes("", y)
    many = len(rounds) > 4
    axes.set_xticks(
        range(len(rounds)),
        [figures.round for figures in rounds],
        rotation=45 if many else 0,
        ha="right" if many else "center",
    )
    axes.set_xlim(-0.6, len(rounds) - 0.4)
    return figure, axes


def _legend(figure: Figure) -> None:
    figure.legend(fontsize=7, frameon=False, loc="outside upper center", ncols=3)
