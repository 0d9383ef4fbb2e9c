"""What the verifier's order is worth, as a picture."""

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from PIL import Image

from sa_pipeline.report.figures import BAR_COLOUR, to_image
from sa_pipeline.verifier.value import Value


def value_chart(value: Value) -> Image.Image:
    """Wrong masks per mask looked at, by the share of masks looked at, on images that were not learnt from."""
    figure = Figure(figsize=(4.2, 2.9), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.plot(list(value.verifier), list(value.verifier.values()), "o-", color=BAR_COLOUR, label="verifier")
    axes.plot(
        list(value.predicted_iou), list(value.predicted_iou.values()), "s:", color="#c0792b", label="predicted IoU"
    )
    axes.axhline(value.by_chance, color="#7f7f7f", linewidth=1, linestyle="--", label="by chance")
    axes.set_xlabel("masks looked at", fontsize=9)
    axes.set_ylabel("of these, wrong", fontsize=9)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(0, 1)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    return to_image(figure)
