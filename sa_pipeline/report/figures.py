"""What all charts share: a figure as a picture, and its colour."""

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

BAR_COLOUR = "#3d6fb4"


def to_image(figure: Figure) -> Image.Image:
    """Draws the figure, without a window; equal figures give equal pixels."""
    sink = io.BytesIO()
    FigureCanvasAgg(figure).print_png(sink)
    return Image.open(sink).convert("RGB")
