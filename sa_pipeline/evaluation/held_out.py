"""How well weights segment by clicks what people segmented: the measure by which a round's weights are promoted."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sa_pipeline.annotated.image import AnnotatedImage, AnnotatedSource
from sa_pipeline.evaluation.evaluate import draw_segments, segments_asked_for
from sa_pipeline.evaluation.interactive import segment_by_clicks
from sa_pipeline.evaluation.summary import REPORTED_CLICKS
from sa_pipeline.progress import Progress
from sa_pipeline.sam.inference import encode_image
from sa_pipeline.sam.registry import LoadedModel

_BEST = "best of three"


@dataclass(frozen=True)
class ClickSettings:
    """What is clicked on: segments of at least a share of their image, so many an image, drawn by the seed."""

    min_segment_share: float = 0.001
    max_segments_per_image: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class ClickIous:
    """What simulated clicks came to.

    Attributes:
        images: That have a segment.
        segments: Clicked on.
        by_clicks: Mean IoU of the chosen mask after 1, 2, 3, 5 and 9 clicks; empty without segments.
        best_of_three: Mean IoU of the best of the first click's three masks; None without segments.
    """

    images: int
    segments: int
    by_clicks: dict[int, float]
    best_of_three: float | None


def click_ious(
    model: LoadedModel, source: AnnotatedSource, settings: ClickSettings, kept: Path, progress: Progress
) -> ClickIous:
    """Clicks on every person's segments of every image (paper §7.1 and Appendix D.1).

    Which segments are clicked on, and where first, depends on source and settings alone; so two models are asked the
    same. What was measured is kept, a line an image, so that a call after a crash goes on with the next image.

    Args:
        model: The weights.
        source: Images with people's masks.
        settings: What is clicked on.
        kept: File of the lines; one of other weights, settings or images is begun anew.
        progress: Shows the images.

    Raises:
        SaPipelineError: An image or its masks cannot be read.
    """
    names = list(source.names)
    header = json.dumps({"digest": model.ref.digest, "settings": asdict(settings), "images": names})
    done = _kept_lines(kept, header)
    for index in progress.track(range(len(done), len(names)), description="held-out images", total=len(names)):
        found = _click_on(model, source.read(index), settings, index)
        done.append(found)
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
    columns = {key: [iou for of_image in done for iou in of_image[key]] for key in _KEYS}
    segments = len(columns[_BEST])
    return ClickIous(
        images=sum(bool(of_image[_BEST]) for of_image in done),
        segments=segments,
        by_clicks={number: float(np.mean(columns[str(number)])) for number in REPORTED_CLICKS} if segments else {},
        best_of_three=float(np.mean(columns[_BEST])) if segments else None,
    )


_KEYS = (*map(str, REPORTED_CLICKS), _BEST)


def _click_on(
    model: LoadedModel, image: AnnotatedImage, settings: ClickSettings, index: int
) -> Mapping[str, list[float]]:
    asked_for = segments_asked_for(image, settings.min_segment_share)
    chosen = draw_segments(asked_for, settings.max_segments_per_image, (settings.seed, index))
    ious: dict[str, list[float]] = {key: [0.0] * len(chosen) for key in _KEYS}
    if not chosen:
        return ious
    masks = [image.mask(segment.annotator, segment.index) for segment in chosen]
    for mask in segment_by_clicks(model.sam, encode_image(model.sam, image.pixels), masks, max(REPORTED_CLICKS)):
        if mask.clicks == 1:
            ious[_BEST][mask.target] = max(ious[_BEST][mask.target], mask.iou)
        if mask.chosen and mask.clicks in REPORTED_CLICKS:
            ious[str(mask.clicks)][mask.target] = mask.iou
    return ious


def _kept_lines(kept: Path, header: str) -> list[Mapping[str, list[float]]]:
    """What an earlier call measured under the same header; without one, the file is begun."""
    lines = kept.read_text(encoding="utf-8").splitlines(keepends=True) if kept.exists() else []
    whole = [line for line in lines if line.endswith("\n")]
    if not whole or whole[0] != header + "\n":
        whole = [header + "\n"]
    if whole != lines:
        aside = kept.with_name(kept.name + ".part")
        aside.write_text("".join(whole), encoding="utf-8")
        aside.replace(kept)
    return [json.loads(line) for line in whole[1:]]
