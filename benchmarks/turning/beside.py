"""The same simulated people at the same photographs, with other weights and nothing pre-filled.

Rounds have different photographs, so that a round's seconds cannot be compared with another's. This is what they are
compared with: nobody's work is kept, and nothing of it goes into the dataset.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import sqlalchemy as sa
from simulation import habits, hand
from simulation.hand import Attempt
from simulation.sight import Decoder, Sight
from simulation.truth import Truth, Wanted, iou

from sa_pipeline.dataset import Dataset
from sa_pipeline.progress import Progress
from sa_pipeline.sam.inference import encode_image
from sa_pipeline.sam.registry import load_model
from sa_pipeline.stages.shard_images import iterate_images
from sa_pipeline.studio.database import open_studio
from sa_pipeline.studio.decoder import ensure_decoder, model_info, read_decoder
from sa_pipeline.studio.models import Tool
from sa_pipeline.studio.schema import tasks
from turning.figures import Figures


@dataclass(frozen=True)
class Beside:
    """What is done again, and what it is called.

    Attributes:
        step: Name in the table.
        round: Whose tasks are done.
        shard: Its photographs.
        weights: As `load_model` takes them.
    """

    step: str
    round: str
    shard: str
    weights: str


def do_again(dataset: Dataset, beside: Beside, truth: Truth, progress: Progress) -> Figures:
    """Lets one person make all masks of a round from nothing."""
    model = load_model(beside.weights)
    digest = ensure_decoder(dataset, beside.weights).digest
    decoder = Decoder(read_decoder(dataset, digest), model_info(dataset, digest))
    task_of = _tasks(dataset, beside.round)
    kept: list[Attempt] = []
    left = 0
    images = [image for image in iterate_images(dataset, beside.shard) if image.image_id in task_of]
    for image in progress.track(images, description=beside.step, total=len(images)):
        number = truth.recognise(image.pixels)
        if number is None:
            continue
        embedding = encode_image(model.sam, image.pixels).half().numpy().tobytes()
        sight = Sight(decoder, embedding, (image.height, image.width))
        made, given_up = _work(sight, truth.wanted(number, task_of[image.image_id]))
        kept += made
        left += given_up
    return Figures(
        step=beside.step,
        images=len(images),
        masks=len(kept),
        seconds=fmean(attempt.seconds for attempt in kept) if kept else None,
        clicks=_steps(kept, Tool.CLICK) if kept else None,
        strokes=_steps(kept, Tool.BRUSH, Tool.ERASER) if kept else None,
        left=left / len(images),
    )


def _steps(attempts: Sequence[Attempt], *tools: Tool) -> float:
    return fmean(sum(step.tool in tools for step in attempt.steps) for attempt in attempts)


def _work(sight: Sight, wanted: Sequence[Wanted]) -> tuple[list[Attempt], int]:
    """What a person makes of a picture that begins without masks, and how many objects they give up."""
    seconds, left = 0.0, 0
    made: list[Attempt] = []
    for each in wanted:
        if seconds >= habits.PICTURE_SECONDS or left >= habits.PATIENCE:
            break
        if any(iou(each.mask, other.mask) >= habits.COVERED_IOU for other in made):
            continue
        attempt = hand.make(sight, each.mask)
        seconds += attempt.seconds
        if attempt.iou >= habits.ENOUGH_IOU:
            made.append(attempt)
        else:
            left += 1
    return made, left


def _tasks(dataset: Dataset, round_name: str) -> dict[int, int]:
    studio = open_studio(dataset)
    try:
        with studio.read() as connection:
            found = connection.execute(sa.select(tasks.c.image_id, tasks.c.task_id).where(tasks.c.round == round_name))
            return {row.image_id: row.task_id for row in found}
    finally:
        studio.close()
