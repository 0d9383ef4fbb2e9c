"""A whole evaluation: two photographs, two people, the built-in model."""

import json

import numpy as np
import pyarrow as pa
import pytest

from sa_pipeline.annotated.image import AnnotatedImage
from sa_pipeline.annotated.opening import open_annotated
from sa_pipeline.errors import AnnotationError
from sa_pipeline.evaluation.evaluate import evaluate, segments_asked_for
from sa_pipeline.evaluation.felzenszwalb import felzenszwalb_proposals
from sa_pipeline.evaluation.overlaps import encode_masks, pairwise_ious
from sa_pipeline.evaluation.run import EvaluationRun, write_summary
from sa_pipeline.evaluation.summary import summarise
from sa_pipeline.evaluation.tables import TableName, read_whole
from sa_pipeline.report.evaluation_page import write_evaluation_page
from sa_pipeline.settings import EvaluationSettings
from sa_pipeline.storage import Storage
from sa_pipeline_tests.annotated.samples import write_bsds
from sa_pipeline_tests.conftest import SMALL_MASKS

SETTINGS = EvaluationSettings(masks=SMALL_MASKS, max_proposals=2, max_clicks=3, max_segments_per_image=2)


class Counting:
    """A source that counts the images that are read."""

    def __init__(self, source) -> None:
        self.source, self.names, self.reads = source, source.names, []

    def read(self, index: int) -> AnnotatedImage:
        self.reads.append(index)
        return self.source.read(index)


@pytest.fixture
def source(tmp_path) -> Counting:
    return Counting(open_annotated(*write_bsds(tmp_path / "bsds")))


@pytest.fixture
def output(tmp_path) -> Storage:
    return Storage(tmp_path / "output")


def tables_of(output: Storage) -> dict[str, pa.Table]:
    tables = {name.value: read_whole(output, name) for name in TableName}
    return tables | {"images": tables["images"].drop(["seconds_sam", "seconds_felzenszwalb", "seconds_clicks"])}


def test_tables_numbers_and_page(tiny, source, output) -> None:
    evaluate(tiny, source, SETTINGS, output)
    tables = tables_of(output)
    assert tables["segments"].num_rows == 2 * (4 + 2)
    assert tables["clicks"].num_rows == 2 * 2 * (3 + 2)
    assert set(tables["proposals"]["method"].to_pylist()) == {"sam", "felzenszwalb"}
    # A half has its best match in a quarter of its size; of a person's quarters, two halves each hold one.
    assert set(tables["segments"]["best_iou_people"].to_pylist()) == {0.5}
    summary = summarise(output)
    assert (summary.images, summary.segments, summary.clicked) == (2, 12, 4)
    assert list(summary.click_ious) == [1, 2, 3]
    assert summary.click_ious[1] <= summary.oracle_iou
    assert summary.proposals["people"].average_best_overlap == pytest.approx(0.5)
    assert summary.proposals["people"].average_recall == pytest.approx(0.1)

    run = EvaluationRun(checkpoint=tiny.ref, source="bsds", settings=SETTINGS)
    write_summary(output, run, summary)
    written = json.loads(output.read_bytes("summary.json"))
    assert written["summary"]["proposals"]["sam"]["average_recall"] == summary.proposals["sam"].average_recall
    write_evaluation_page(output, run, summary, source)
    page = output.read_bytes("report.html").decode()
    named = [part.split('"')[0] for part in page.split('src="')[1:]]
    assert len(named) > 4
    assert all(output.exists(name) for name in named)
    assert f"{summary.proposals['sam'].average_best_overlap:.3f}" in page


def test_best_overlaps_hold_only_the_best_ranked_masks(tiny, source, output) -> None:
    evaluate(tiny, source, SETTINGS, output)
    tables = tables_of(output)
    image = source.source.read(0)
    rows = [row for row in tables["proposals"].to_pylist() if row["image"] == image.name and row["method"] == "sam"]
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(rows[0]["predicted_iou"] * rows[0]["stability_score"])
    assert len(rows) > 2, "the cut has something to cut"
    segments = [row for row in tables["segments"].to_pylist() if row["image"] == image.name]
    ious = pairwise_ious([s["counts"] for s in segments], [row["counts"] for row in rows[:2]], image.size)
    assert [s["best_iou_sam"] for s in segments] == pytest.approx(ious.max(axis=1).tolist())
    assert [s["best_rank_sam"] for s in segments] == ious.argmax(axis=1).tolist()


def test_an_evaluation_goes_on_where_it_stopped_and_repeats_itself(tiny, source, output, tmp_path) -> None:
    class Stopped(Counting):
        def read(self, index: int) -> AnnotatedImage:
            if index == 1:
                raise AnnotationError("the power is cut")
            return super().read(index)

    stopped = Stopped(source.source)
    with pytest.raises(AnnotationError):
        evaluate(tiny, stopped, SETTINGS, output)
    evaluate(tiny, source, SETTINGS, output)
    assert (stopped.reads, source.reads) == ([0], [1])
    evaluate(tiny, source, SETTINGS.model_copy(update={"seed": 1}), output)
    assert source.reads == [1, 0, 1], "other settings, other results"

    fresh = Storage(tmp_path / "fresh")
    evaluate(tiny, source, SETTINGS.model_copy(update={"seed": 1}), fresh)
    assert tables_of(fresh) == tables_of(output)


def test_small_segments_are_not_asked_for() -> None:
    masks = np.zeros((2, 100, 100), bool)
    masks[0, 0, :9] = masks[1, 0, :10] = True
    image = AnnotatedImage("image", np.zeros((100, 100, 3), np.uint8), (tuple(encode_masks(masks)),))
    assert [segment.index for segment in segments_asked_for(image, 0.001)] == [1]


def test_the_baseline_finds_flat_areas() -> None:
    image = np.full((90, 120, 3), 30, np.uint8)
    image[20:60, 30:80] = (200, 40, 40)
    proposals = felzenszwalb_proposals(image)
    areas = [proposal.score for proposal in proposals]
    assert areas == sorted(areas, reverse=True)
    square = np.zeros((1, 90, 120), bool)
    square[0, 20:60, 30:80] = True
    ious = pairwise_ious(encode_masks(square), [proposal.counts for proposal in proposals], (90, 120))
    assert ious.max() > 0.8, "the smoothing leaves a seam of its own around the square"
