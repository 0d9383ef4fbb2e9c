"""The log of a training run: a CSV row for each step, and a plot of its curves."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

CURVES = (("loss", "mask_loss", "iou_loss"), ("click_iou", "refined_iou"), ("learning_rate",))
"""What is drawn into each panel, of a SAM that is trained."""

SMOOTHING_SHARE = 0.02
"""Of all steps: span of the moving average that is drawn over the steps themselves."""


class TrainingLog:
    """`log.csv` in a folder; it is cut back to the step that a run goes on at."""

    def __init__(self, path: Path, step: int, curves: Sequence[Sequence[str]] = CURVES) -> None:
        """Opens the log, new or of an earlier call.

        Args:
            path: The file.
            step: Steps that are done; later rows are of steps that were never saved and will be made again.
            curves: Columns that are drawn into each panel.
        """
        self._path, self._curves = path, curves
        if not path.exists():
            return
        lines = path.read_text().splitlines(keepends=True)
        kept = lines[:1] + [line for line in lines[1:] if line.endswith("\n") and int(line.split(",", 1)[0]) <= step]
        aside = path.with_name(path.name + ".part")
        aside.write_text("".join(kept) if step else "")
        aside.replace(path)

    def append(self, figures: dict[str, float]) -> None:
        """Adds the row of a step; `step` is the first column."""
        row = {"step": int(figures["step"])} | {key: f"{value:.8g}" for key, value in figures.items() if key != "step"}
        with self._path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if not file.tell():
                writer.writeheader()
            writer.writerow(row)

    def mean_of_last(self, column: str) -> float | None:
        """Mean of a column over the last tenth of the steps; None before the first."""
        if not self._path.exists():
            return None
        values = pd.read_csv(self._path)[column]
        return float(values.tail(max(1, len(values) // 10)).mean()) if len(values) else None

    def draw(self, path: Path) -> None:
        """Draws the curves as a PNG file, aside and then renamed."""
        rows = pd.read_csv(self._path)
        span = max(1, int(len(rows) * SMOOTHING_SHARE))
        figure = Figure(figsize=(11, 3), dpi=100, layout="constrained")
        for axes, names in zip(figure.subplots(1, len(self._curves)), self._curves, strict=True):
            for name in names:
                (line,) = axes.plot(rows["step"], rows[name], linewidth=0.5, alpha=0.4)
                smooth = rows[name].rolling(span, min_periods=1).mean()
                axes.plot(rows["step"], smooth, label=name.replace("_", " "), color=line.get_color())
            axes.set_xlabel("step", fontsize=8)
            axes.tick_params(labelsize=8)
            axes.legend(fontsize=8)
        aside = path.with_name(path.name + ".part")
        FigureCanvasAgg(figure).print_png(aside)
        aside.replace(path)
