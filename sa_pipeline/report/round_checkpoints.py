"""What retraining in a round came to: IoU by clicks before and after, and the curves of training."""

import io

from matplotlib.figure import Figure
from PIL import Image

from sa_pipeline.dataset import Dataset
from sa_pipeline.report.figures import BAR_COLOUR, to_image
from sa_pipeline.round_checkpoints import HeldOutEvaluation, RoundCheckpoint

COLOURS = {"parent": "#7f7f7f", "in_use": "#c0792b", "new": BAR_COLOUR}


def before_and_after(evaluation: HeldOutEvaluation) -> Image.Image:
    """Mean IoU on held-out masks by number of clicks, a line for each of the weights; best of three as a diamond."""
    figure = Figure(figsize=(4.5, 3.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    for name, figures in {**evaluation.before, "new": evaluation.new}.items():
        numbers, ious = list(figures.clicks), list(figures.clicks.values())
        axes.plot(numbers, ious, "o-", color=COLOURS[name], label=name, markersize=3)
        if figures.best_of_three is not None:
            axes.plot([1], [figures.best_of_three], "D", color=COLOURS[name], markersize=4)
    axes.set_xlabel("clicks", fontsize=9)
    axes.set_ylabel("mean IoU", fontsize=9)
    axes.set_title(f"{evaluation.masks} masks of {evaluation.images} held-out images", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="lower right")
    return to_image(figure)


def training_curves(dataset: Dataset, record: RoundCheckpoint) -> Image.Image:
    """Loss, IoU and learning rate by step, as training drew them.

    Raises:
        MissingFileError: The picture is gone.
    """
    return Image.open(io.BytesIO(dataset.storage.read_bytes(f"{record.folder}/curves.png"))).convert("RGB")
