"""Charts of an evaluation."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from sa_pipeline.evaluation.metrics import RECALL_THRESHOLDS, Floats, recall, reliability
from sa_pipeline.evaluation.summary import Scores
from sa_pipeline.report.figures import BAR_COLOUR, to_image

COLOURS: Mapping[str, str] = {"sam": BAR_COLOUR, "felzenszwalb": "#c0792b", "people": "#7f7f7f"}


def recall_chart(best_ious: Mapping[str, Floats]) -> Image.Image:
    """Recall by IoU threshold, a line for each way of making proposals, from each segment's best IoU (N,)."""
    figure, axes = _axes("IoU at least", "recall")
    for name, values in best_ious.items():
        line = [recall(values, threshold) for threshold in RECALL_THRESHOLDS]
        axes.plot(RECALL_THRESHOLDS, line, "o-", color=COLOURS[name], label=name, markersize=3)
    axes.set_xlim(0.48, 0.97)
    axes.legend(fontsize=8)
    return to_image(figure)


def click_chart(click_ious: Mapping[int, float], oracle_iou: float) -> Image.Image:
    """Mean IoU by number of clicks, with the best of the first click's three masks as a point of its own."""
    figure, axes = _axes("clicks", "mean IoU")
    axes.plot(list(click_ious), list(click_ious.values()), "o-", color=BAR_COLOUR, label="chosen by predicted IoU")
    axes.plot([1], [oracle_iou], "D", color=COLOURS["felzenszwalb"], label="best of three")
    axes.set_xticks(list(click_ious))
    axes.legend(fontsize=8, loc="lower right")
    return to_image(figure)


def reliability_chart(scores: Scores) -> Image.Image:
    """Mean real IoU of the masks of each bin of predicted IoU; on the diagonal, predictions are true on average."""
    figure, axes = _axes("predicted IoU", "real IoU")
    axes.plot([0, 1], [0, 1], color="#7f7f7f", linewidth=1, linestyle="--")
    for bar in reliability(scores.predicted, scores.real):
        axes.bar(bar.low, bar.mean_real, bar.high - bar.low, align="edge", color=BAR_COLOUR, edgecolor="white")
        axes.annotate(str(bar.count), ((bar.low + bar.high) / 2, bar.mean_real), ha="center", va="bottom", fontsize=7)
    axes.set_xlim(0, 1)
    return to_image(figure)


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4, 3.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.set_ylim(0, 1.05)
    axes.set_yticks(np.arange(0, 1.01, 0.2))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    return figure, axes
