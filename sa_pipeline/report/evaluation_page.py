"""The page of an evaluation: numbers, charts, pictures of what went well and what did not."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image

from sa_pipeline.annotated.image import AnnotatedSource
from sa_pipeline.evaluation.run import EvaluationRun
from sa_pipeline.evaluation.summary import Summary, best_ious_by_method, click_scores, proposal_scores
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.report.evaluation_charts import click_chart, recall_chart, reliability_chart
from sa_pipeline.report.evaluation_pictures import (
    FOUND_IOU,
    ClickCase,
    ProposalCase,
    click_cases,
    draw_attempt,
    draw_found,
    proposal_cases,
)
from sa_pipeline.report.html import render
from sa_pipeline.report.png import jpeg_bytes, png_bytes
from sa_pipeline.storage import Storage

CLICK_CASES = 6
PROPOSAL_CASES = 3
MAX_SIDE = 800
PAGE = "report.html"
PICTURES = "pictures"


@dataclass(frozen=True)
class Picture:
    """A picture on the page: its path relative to it, and what it shows."""

    path: str
    caption: str


def write_evaluation_page(
    output: Storage,
    run: EvaluationRun,
    summary: Summary,
    source: AnnotatedSource,
    progress: Progress | None = None,
) -> str:
    """Writes `report.html` and its pictures beside the tables of an evaluation.

    Args:
        output: Folder of the tables.
        run: What was evaluated.
        summary: The numbers.
        source: Where the images are read from once more, to be drawn.
        progress: Shows the pictures.

    Returns:
        The page's path or URL. It is written last, so that it never names a picture that is missing.

    Raises:
        SaPipelineError: An image cannot be read, or a file cannot be written.
    """
    charts = {
        "recall": recall_chart(best_ious_by_method(output)),
        "clicks": click_chart(summary.click_ious, summary.oracle_iou),
        "click_reliability": reliability_chart(click_scores(output)),
        "proposal_reliability": reliability_chart(proposal_scores(output)),
    }
    for name, chart in charts.items():
        output.write_bytes(f"{PICTURES}/{name}.png", png_bytes(chart))
    clicks, proposals = click_cases(output, CLICK_CASES), proposal_cases(output, PROPOSAL_CASES)
    number_of = {name: index for index, name in enumerate(source.names)}
    total = sum(len(cases) for group in (clicks, proposals) for cases in group.values())
    drawn = iter((progress or SilentProgress()).track(range(total), description="report", total=total))

    def pixels_of(image: str) -> npt.NDArray[np.uint8]:
        next(drawn)
        return source.read(number_of[image]).pixels

    shown_clicks = {
        group: [_show_clicks(output, pixels_of(case.image), case, f"{group}_{i}") for i, case in enumerate(cases)]
        for group, cases in clicks.items()
    }
    shown_proposals = {
        group: [_show_proposals(output, pixels_of(case.image), case, f"{group}_{i}") for i, case in enumerate(cases)]
        for group, cases in proposals.items()
    }
    page = render(
        "evaluation.html.j2",
        run=run,
        summary=summary,
        charts={name: f"{PICTURES}/{name}.png" for name in charts},
        clicks=shown_clicks,
        proposals=shown_proposals,
        settings=yaml.safe_dump(run.settings.model_dump(mode="json"), sort_keys=False),
    )
    output.write_bytes(PAGE, page)
    return output.url_of(PAGE)


def _show_clicks(output: Storage, pixels: npt.NDArray[np.uint8], case: ClickCase, name: str) -> list[Picture]:
    pictures = []
    for attempt, title in zip(case.attempts, ("first", "last"), strict=True):
        path = f"{PICTURES}/clicks_{name}_{title}.jpg"
        output.write_bytes(path, _small(draw_attempt(pixels, case.target, attempt)))
        number = len(attempt.clicks)
        caption = (
            f"{Path(case.image).name} · {number} click{'s' if number != 1 else ''} · IoU {attempt.iou:.2f}, "
            f"predicted {attempt.predicted_iou:.2f}"
        )
        pictures.append(Picture(path, caption))
    return pictures


def _show_proposals(output: Storage, pixels: npt.NDArray[np.uint8], case: ProposalCase, name: str) -> list[Picture]:
    pictures = []
    found = sum(iou >= FOUND_IOU for iou in case.ious)
    captions = (
        f"{Path(case.image).name} · {len(case.segments)} segments of one person",
        f"{found} found with IoU {FOUND_IOU} or more · mean best IoU {np.mean(case.ious or [0.0]):.2f}",
    )
    for picture, title, caption in zip(draw_found(pixels, case), ("people", "sam"), captions, strict=True):
        path = f"{PICTURES}/proposals_{name}_{title}.jpg"
        output.write_bytes(path, _small(picture))
        pictures.append(Picture(path, caption))
    return pictures


def _small(pixels: npt.NDArray[np.uint8]) -> bytes:
    picture = Image.fromarray(pixels)
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    return jpeg_bytes(picture)
