"""The charts of a dataset card, after the paper's Figures 5 and 6."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, ScalarFormatter
from PIL import Image

from sa_pipeline.cards.document import Chart
from sa_pipeline.cards.mask_facts import PER_IMAGE_BINS, SCORE_BINS, SIZE_BINS, MaskFacts
from sa_pipeline.cards.published import DATASETS, SA1B_PREDICTED_IOU, SA1B_STABILITY
from sa_pipeline.cards.shapes import ShapeSample
from sa_pipeline.report.figures import BAR_COLOUR

PUBLISHED_COLOUR = "#c0792b"
SHAPE_BINS = 20
MAP_PIXELS = 8
"""px of the picture for a cell of the map, so that a browser that smooths it leaves the cells apart."""

OVERVIEW = ("relative_size", "concavity", "centres")
"""Names of the charts that stand for a card where there is room for one picture."""

Shares = npt.NDArray[np.float64]


def per_image_chart(masks: MaskFacts) -> Chart:
    """Share of the images by number of masks, in the bins of the paper's Figure 6 (left)."""
    figure, axes = _axes("masks per image", "images")
    bars = axes.bar(PER_IMAGE_BINS, _shares(masks.images_by_masks), color=BAR_COLOUR)
    axes.bar_label(bars, [str(count) for count in masks.images_by_masks], fontsize=8, padding=2)
    axes.margins(y=0.12)
    axes.tick_params(axis="x", labelsize=7)
    return Chart("masks_per_image", "Images by number of masks, in the bins of the paper's Figure 6 (left).", figure)


def published_chart(masks_per_image: float) -> Chart:
    """Mean masks per image beside the datasets of the paper's Figure 6 (legend)."""
    here = (masks_per_image, "this dataset")
    rows = sorted([*((dataset.masks_per_image, dataset.name) for dataset in DATASETS), here], reverse=True)
    figure, axes = _axes("masks per image, mean", "")
    colours = [BAR_COLOUR if row == here else PUBLISHED_COLOUR for row in rows]
    bars = axes.barh(range(len(rows)), [value for value, _ in rows], color=colours)
    axes.set_yticks(range(len(rows)), [label for _, label in rows])
    axes.bar_label(bars, [f"{value:.3g}" for value, _ in rows], fontsize=8, padding=2)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    caption = "Mean masks per image; the others from the rounded counts in the legend of the paper's Figure 6."
    return Chart("masks_per_image_published", caption, figure)


def size_chart(masks: MaskFacts) -> Chart:
    """Share of the masks by relative size, on a logarithmic axis as in the paper's Figure 6 (middle)."""
    figure, axes = _axes("relative mask size", "masks")
    _stairs(axes, masks.by_size, SIZE_BINS)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    caption = "Masks by relative size, the square root of mask area over image area (Figure 6, middle)."
    return Chart("relative_size", caption, figure)


def shape_chart(shapes: ShapeSample) -> Chart:
    """Share of the sampled masks by concavity, as in the paper's Figure 6 (right)."""
    figure, axes = _axes("concavity", "masks")
    counts, _ = np.histogram(shapes.concavities, SHAPE_BINS, (0.0, 1.0))
    _stairs(axes, counts, SHAPE_BINS)
    caption = (
        f"Concavity, 1 - area of the mask / area of its convex hull, of {len(shapes.concavities)} masks drawn by "
        "chance (Figure 6, right). The paper evens out mask sizes before it compares datasets; here they are as "
        "they come."
    )
    return Chart("concavity", caption, figure)


def centre_chart(masks: MaskFacts) -> Chart:
    """Where the centres of masks lie, as in the paper's Figure 5."""
    figure, axes = _axes("share of the width", "share of the height")
    cells = np.kron(masks.centres, np.ones((MAP_PIXELS, MAP_PIXELS)))
    axes.imshow(cells, extent=(0.0, 1.0, 1.0, 0.0), cmap="viridis", interpolation="nearest", aspect="auto")
    axes.grid(visible=False)
    axes.yaxis.set_major_formatter(ScalarFormatter())
    caption = "Centres of the masks' boxes, by place on the image (Figure 5); yellow is where most lie."
    return Chart("centres", caption, figure)


def score_charts(masks: MaskFacts, predicted_iou: float | None, stability: float | None) -> tuple[Chart, Chart]:
    """Share of the masks by predicted IoU and by stability, with this dataset's thresholds and SA-1B's.

    Args:
        masks: The facts.
        predicted_iou: Threshold that the masks passed, None where shards differ.
        stability: The same of stability.
    """
    return (
        _score_chart("predicted_iou", "predicted IoU", masks.by_predicted_iou, predicted_iou, SA1B_PREDICTED_IOU),
        _score_chart("stability", "stability score", masks.by_stability, stability, SA1B_STABILITY),
    )


def overview(charts: Sequence[Chart]) -> Image.Image | None:
    """The charts named in `OVERVIEW` side by side; None where there are none."""
    pictures = [chart.picture for chart in charts if chart.name in OVERVIEW]
    if not pictures:
        return None
    sheet = Image.new("RGB", (sum(picture.width for picture in pictures), pictures[0].height), "white")
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width
    return sheet


def _score_chart(name: str, label: str, counts: npt.NDArray[np.int64], own: float | None, sa1b: float) -> Chart:
    figure, axes = _axes(label, "masks")
    _stairs(axes, counts, SCORE_BINS)
    if own is not None:
        axes.axvline(own, color="#000000", linewidth=1, linestyle=":", label=f"threshold here, {own:g}")
    if own != sa1b:
        axes.axvline(sa1b, color=PUBLISHED_COLOUR, linewidth=1.2, linestyle="--", label=f"SA-1B's threshold, {sa1b:g}")
    figure.legend(fontsize=8, frameon=False, loc="outside upper center", ncols=2)
    return Chart(name, f"Exported masks by {label}, with the thresholds here and in SA-1B (Appendix B).", figure)


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure, axes = plain_axes(x, y)
    if y in ("images", "masks"):
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    return figure, axes


def plain_axes(x: str, y: str) -> tuple[Figure, Axes]:
    """A figure of a card's size with one pair of axes, named `x` and `y`."""
    figure = Figure(figsize=(4.2, 2.9), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _stairs(axes: Axes, counts: Sequence[int] | npt.NDArray[np.int64], bins: int) -> None:
    axes.stairs(_shares(np.asarray(counts)), np.linspace(0.0, 1.0, bins + 1), fill=True, color=BAR_COLOUR)
    axes.set_xlim(0.0, 1.0)


def _shares(counts: npt.NDArray[np.int64]) -> Shares:
    return counts / max(int(counts.sum()), 1)
