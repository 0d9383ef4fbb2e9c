"""Evaluating a model on annotated images, one image after another."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from segment_anything.modeling import Sam

from sa_pipeline.annotated.image import AnnotatedImage, AnnotatedSource
from sa_pipeline.artifacts import CheckpointRef
from sa_pipeline.evaluation.felzenszwalb import felzenszwalb_proposals
from sa_pipeline.evaluation.interactive import ClickedMask, segment_by_clicks
from sa_pipeline.evaluation.overlaps import Ious, areas_of, pairwise_ious
from sa_pipeline.evaluation.proposals import Proposal, sam_proposals
from sa_pipeline.evaluation.tables import SCHEMAS, Method, TableName, Tables, is_done, join_parts, write_part
from sa_pipeline.progress import Progress, SilentProgress
from sa_pipeline.sam.inference import encode_image
from sa_pipeline.sam.registry import LoadedModel
from sa_pipeline.settings import EvaluationSettings
from sa_pipeline.storage import Storage

VERSION = 2
"""Raised when the same model and settings come to give other numbers, so that images done before are done again."""


@dataclass(frozen=True)
class Segment:
    """A person's segment: number of the person, of the segment among theirs, area in px, run lengths."""

    annotator: int
    index: int
    area: int
    counts: str


def evaluate(
    model: LoadedModel,
    source: AnnotatedSource,
    settings: EvaluationSettings,
    output: Storage,
    progress: Progress | None = None,
) -> None:
    """Evaluates every image of a source and writes the four tables of `evaluation.tables`.

    Images that an earlier call has done with the same model, settings and source are not done again. But for the
    seconds, the same model, images and settings give the same tables.

    Args:
        model: With the digest of its weights, by which the results of an earlier call are known again.
        source: The images and people's segments of them.
        settings: What is measured.
        output: Folder of the tables.
        progress: Shows the images.

    Raises:
        SaPipelineError: An image or its annotations cannot be read, or a file cannot be written.
    """
    names = list(source.names)
    for index in (progress or SilentProgress()).track(range(len(names)), description="evaluate", total=len(names)):
        header = _header(model.ref, settings, names[index])
        if not is_done(output, index, header):
            write_part(output, index, evaluate_image(model.sam, source.read(index), settings, seed=index), header)
    join_parts(output, len(names))


def evaluate_image(sam: Sam, image: AnnotatedImage, settings: EvaluationSettings, *, seed: int = 0) -> Tables:
    """Evaluates one image; `seed` is added to the settings' own.

    Returns:
        The rows of the four tables of `evaluation.tables`.
    """
    segments = segments_asked_for(image, settings.min_segment_share)
    chosen = draw_segments(segments, settings.max_segments_per_image, (settings.seed, seed))
    started = time.perf_counter()
    embedding = encode_image(sam, image.pixels)
    found = sam_proposals(image.pixels, sam, settings.masks, embedding)
    after_sam = time.perf_counter()
    classical = felzenszwalb_proposals(image.pixels)
    after_classical = time.perf_counter()
    masks = [image.mask(segment.annotator, segment.index) for segment in chosen]
    clicked = list(segment_by_clicks(sam, embedding, masks, settings.max_clicks))
    after_clicks = time.perf_counter()
    counts = [segment.counts for segment in segments]
    overlaps = {
        method: pairwise_ious([proposal.counts for proposal in proposals], counts, image.size)
        for method, proposals in ((Method.SAM, found), (Method.FELZENSZWALB, classical))
    }
    height, width = image.size
    about = {
        "image": image.name,
        "width": width,
        "height": height,
        "annotators": len(image.annotators),
        "segments": len(segments),
        "seconds_sam": after_sam - started,
        "seconds_felzenszwalb": after_classical - after_sam,
        "seconds_clicks": after_clicks - after_classical,
    }
    proposals = _proposal_rows(image.name, Method.SAM, found, overlaps) + _proposal_rows(
        image.name, Method.FELZENSZWALB, classical, overlaps
    )
    rows = {
        TableName.SEGMENTS: _segment_rows(image, segments, overlaps, settings.max_proposals),
        TableName.CLICKS: _click_rows(image.name, chosen, clicked),
        TableName.PROPOSALS: proposals,
        TableName.IMAGES: [about],
    }
    return {name: pa.Table.from_pylist(rows[name], schema=SCHEMAS[name]) for name in TableName}


def segments_asked_for(image: AnnotatedImage, min_share: float) -> list[Segment]:
    """Every person's segments that cover at least `min_share` of the image."""
    least = min_share * image.size[0] * image.size[1]
    return [
        Segment(annotator, index, int(area), counts)
        for annotator, masks in enumerate(image.annotators)
        for index, (counts, area) in enumerate(zip(masks, areas_of(masks), strict=True))
        if area >= least
    ]


def draw_segments(segments: Sequence[Segment], count: int | None, seed: tuple[int, ...]) -> list[Segment]:
    """At most `count` segments of an image, in their order, drawn by chance; None for all."""
    if count is None or len(segments) <= count:
        return list(segments)
    rng = np.random.default_rng(seed)
    return [segments[i] for i in np.sort(rng.choice(len(segments), count, replace=False))]


def _header(ref: CheckpointRef, settings: EvaluationSettings, image: str) -> str:
    return f"{VERSION} {ref.digest} {image} {settings.model_dump_json()}"


def _segment_rows(
    image: AnnotatedImage, segments: Sequence[Segment], overlaps: dict[Method, Ious], max_proposals: int
) -> list[dict[str, Any]]:
    people = _people_overlaps(image, segments)
    sam, classical = (overlaps[method][:max_proposals] for method in Method)
    best = sam.argmax(axis=0) if len(sam) else None
    return [
        {
            "image": image.name,
            "annotator": segment.annotator,
            "segment": segment.index,
            "area": segment.area,
            "best_iou_sam": float(sam[:, i].max(initial=0.0)),
            "best_rank_sam": None if best is None else int(best[i]),
            "best_iou_felzenszwalb": float(classical[:, i].max(initial=0.0)),
            "best_iou_people": None if np.isnan(people[i]) else float(people[i]),
            "counts": segment.counts,
        }
        for i, segment in enumerate(segments)
    ]


def _people_overlaps(image: AnnotatedImage, segments: Sequence[Segment]) -> Ious:
    """(N,) for each segment its best IoU with a segment of anybody else; NaN where nobody else segmented the image."""
    if len(image.annotators) < 2:
        return np.full(len(segments), np.nan)
    counts = [segment.counts for segment in segments]
    annotators = np.array([segment.annotator for segment in segments])
    ious = pairwise_ious(counts, counts, image.size)
    ious[annotators[:, None] == annotators] = 0.0
    return np.asarray(ious.max(axis=1, initial=0.0))


def _click_rows(image: str, segments: Sequence[Segment], clicked: Sequence[ClickedMask]) -> list[dict[str, Any]]:
    in_order = sorted(clicked, key=lambda mask: (mask.target, mask.clicks, mask.output))
    return [
        {
            "image": image,
            "annotator": segments[mask.target].annotator,
            "segment": segments[mask.target].index,
            "clicks": mask.clicks,
            "output": mask.output,
            "chosen": mask.chosen,
            "predicted_iou": mask.predicted_iou,
            "iou": mask.iou,
            "x": mask.click.x if mask.click else None,
            "y": mask.click.y if mask.click else None,
            "foreground": mask.click.foreground if mask.click else None,
            "counts": mask.counts,
        }
        for mask in in_order
    ]


def _proposal_rows(
    image: str, method: Method, proposals: Sequence[Proposal], overlaps: dict[Method, Ious]
) -> list[dict[str, Any]]:
    best = overlaps[method].max(axis=1, initial=0.0)
    return [
        {
            "image": image,
            "method": method.value,
            "rank": rank,
            "score": proposal.score,
            "predicted_iou": None if np.isnan(proposal.predicted_iou) else proposal.predicted_iou,
            "stability_score": None if np.isnan(proposal.stability_score) else proposal.stability_score,
            "best_iou": float(best[rank]),
            "counts": proposal.counts,
        }
        for rank, proposal in enumerate(proposals)
    ]
