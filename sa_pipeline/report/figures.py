"""What all charts share: a figure as a picture or as lines for a page, and its colour."""

import io

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

BAR_COLOUR = "#3d6fb4"


def to_image(figure: Figure) -> Image.Image:
    """Draws the figure, without a window; equal figures give equal pixels."""
    sink = io.BytesIO()
    FigureCanvasAgg(figure).print_png(sink)
    return Image.open(sink).convert("RGB")


def to_svg(figure: Figure) -> str:
    """Draws the figure as an `<svg>` element whose black is the page's own text colour, light or dark.

    Text stays text. Equal figures give equal characters.
    """
    sink = io.StringIO()
    backgrounds = [figure.patch, *(axes.patch for axes in figure.axes)]
    for background in backgrounds:
        background.set_visible(False)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sa_pipeline"}):
        FigureCanvasSVG(figure).print_svg(sink, metadata={"Date": None, "Creator": None})
    for background in backgrounds:
        background.set_visible(True)
    text = sink.getvalue()
    element = text[text.index("<svg ") :].strip()
    # Text is drawn without a colour of its own, which is black unless the element says otherwise.
    return element.replace("#000000", "currentColor").replace("<svg ", '<svg fill="currentColor" ', 1)
