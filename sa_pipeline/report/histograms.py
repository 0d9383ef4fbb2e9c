"""Distributions of scores and sizes, and the funnel from proposal to mask."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from sa_pipeline.report.figures import BAR_COLOUR, to_image
from sa_pipeline.settings import MaskSettings

BINS = 50
THRESHOLD_COLOUR = "#c0392b"


def score_histograms(candidates: pa.Table, settings: MaskSettings) -> Image.Image:
    """Histograms of predicted IoU, stability score and relative size, with the thresholds as lines.

    Args:
        candidates: With the columns predicted_iou, stability_score, area and size of `CANDIDATE_MASKS`.
        settings: Thresholds.
    """
    area = candidates["area"].to_numpy().astype(np.float64)
    size = candidates["size"].combine_chunks().flatten().to_numpy().astype(np.float64).reshape(-1, 2)
    panels = (
        ("predicted IoU", candidates["predicted_iou"].to_numpy(), settings.pred_iou_thresh),
        ("stability score", candidates["stability_score"].to_numpy(), settings.stability_score_thresh),
        ("root of area share", np.sqrt(area / size.prod(axis=1)), None),
    )
    figure = Figure(figsize=(9, 2.6), dpi=100, layout="constrained")
    for axes, (title, values, threshold) in zip(figure.subplots(1, 3), panels, strict=True):
        axes.hist(values[np.isfinite(values)], bins=BINS, color=BAR_COLOUR)
        if threshold is not None:
            axes.axvline(threshold, color=THRESHOLD_COLOUR, linewidth=1)
        axes.set_title(f"{title}, {len(values)} candidates", fontsize=9)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelsize=8)
    return to_image(figure)


def comparison_histograms(
    panels: Sequence[tuple[str, Sequence[int], Sequence[int] | None]], edges: npt.NDArray[np.float64]
) -> Image.Image:
    """Histograms of a shard's scores, those of the reference drawn over them as a line, both as shares.

    Args:
        panels: Title, counts of the shard (B,), counts of the reference (B,) or None.
        edges: (B + 1,) float64, the scores at which bins begin and end.
    """
    figure = Figure(figsize=(9, 2.6), dpi=100, layout="constrained")
    for axes, (title, shard, reference) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        axes.stairs(np.asarray(shard) / max(sum(shard), 1), edges, fill=True, color=BAR_COLOUR, label="this shard")
        used = np.flatnonzero(shard)
        if reference is not None:
            share = np.asarray(reference) / max(sum(reference), 1)
            axes.stairs(share, edges, color=THRESHOLD_COLOUR, linewidth=1, label="reference")
            used = np.flatnonzero(np.add(shard, reference))
        if len(used):
            axes.set_xlim(edges[used[0]], edges[used[-1] + 1])
        axes.set_title(f"{title}: share of candidates", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.legend(fontsize=8)
    return to_image(figure)


def funnel_chart(counts: Mapping[str, int]) -> Image.Image:
    """Bars of named counts, in the order given.

    Args:
        counts: Such as how many masks each rule dropped.
    """
    figure = Figure(figsize=(7, 0.6 + 0.32 * len(counts)), dpi=100, layout="constrained")
    axes = figure.subplots()
    names = [name.replace("_", " ") for name in counts]
    bars = axes.barh(names, list(counts.values()), color=BAR_COLOUR)
    axes.bar_label(bars, fontsize=8, padding=2)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.tick_params(labelsize=8)
    return to_image(figure)
