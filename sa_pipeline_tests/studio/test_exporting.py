"""Exports are read by those for whom they are meant, with the pixels that were accepted."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from sa_pipeline.annotated.references import ReferenceFormat, open_references
from sa_pipeline.errors import ArtifactError, StudioError
from sa_pipeline.sa1b.reader import read_tar
from sa_pipeline.sa1b.validation import validate_tar
from sa_pipeline.studio.exporting import ExportFormat, export_round
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.importing import ImportAs, import_masks
from sa_pipeline.studio.matching import ImageIndex
from sa_pipeline.studio.models import Prompts, Role, Tool
from sa_pipeline.studio.snapshot import snapshot_round
from sa_pipeline_tests.studio.work import accept_all, add_person, begin, thing

ROUND = "assisted-1"


@pytest.fixture
def snapshot(sqlite_studio):
    """Images 1 and 3, each with a labelled and an unlabelled mask; image 3 by two people."""
    fill_queue(sqlite_studio, ROUND, images={1})
    fill_queue(sqlite_studio, ROUND, images={3}, annotators_per_image=2)
    ada, alan = add_person(sqlite_studio, "Ada"), add_person(sqlite_studio, "Alan")
    grace = add_person(sqlite_studio, "Grace", Role.REVIEWER)
    for person in (ada, ada, alan):
        work = begin(sqlite_studio, person)
        clicked = Prompts(point_coords=[(300.0, 9.0), (25.0, 30.0)], point_labels=[0, 1], predicted_iou=0.5)
        cup = thing(work.rectangle(10, 20, 30, 40), "cup", prompts=clicked, prominence=0)
        work.do((Tool.CLICK, cup), (Tool.BRUSH, thing(work.rectangle(100, 100, 31, 31), prominence=1)))
        work.finish()
    accept_all(sqlite_studio, grace, 3)
    snapshot_round(sqlite_studio, ROUND)
    return sqlite_studio


def test_pycocotools_reads_the_coco_file_and_decodes_the_same_pixels(snapshot, tmp_path) -> None:
    output = tmp_path / "out" / "instances.json"
    report = export_round(snapshot.dataset, ROUND, ExportFormat.COCO, output)
    assert (report.images, report.masks, report.left_out) == (2, 4, 2)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(output))
    assert sorted(coco.getImgIds()) == [1, 3]
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["cup", "object"]
    (cup,) = coco.loadAnns(coco.getAnnIds(imgIds=[3], catIds=coco.getCatIds(catNms=["cup"])))
    expected = np.zeros((400, 600), np.uint8)
    expected[20:60, 10:40] = 1
    np.testing.assert_array_equal(coco.annToMask(cup), expected)
    assert cup["bbox"] == [10, 20, 30, 40]
    assert cup["area"] == 1200


def test_a_coco_export_comes_back_with_its_labels(snapshot, tmp_path) -> None:
    output = tmp_path / "instances.json"
    export_round(snapshot.dataset, ROUND, ExportFormat.COCO, output)
    references = open_references(output, ReferenceFormat.COCO)
    report = import_masks(
        snapshot, references, "again-1", ImportAs.ACCEPTED, ImageIndex(snapshot.dataset, by_bytes=False)
    )
    assert (report.counts["images"], report.counts["masks"]) == (2, 4)
    export_round(snapshot.dataset, ROUND, ExportFormat.COCO, tmp_path / "first.json")
    snapshot_round(snapshot, "again-1")
    export_round(snapshot.dataset, "again-1", ExportFormat.COCO, tmp_path / "second.json")
    first, second = (
        [each["segmentation"] for each in json.loads((tmp_path / name).read_text())["annotations"]]
        for name in ("first.json", "second.json")
    )
    assert first == second


def test_the_sa1b_tar_is_valid_and_says_where_people_clicked(snapshot, tmp_path) -> None:
    output = tmp_path / "sa_people.tar"
    report = export_round(snapshot.dataset, ROUND, ExportFormat.SA1B, output)
    checked = validate_tar(output)
    assert checked.ok, checked.problems
    assert (checked.images, checked.annotations) == (report.images, report.masks) == (2, 4)
    clicked, painted = next(iter(read_tar(output)))[1].annotations
    assert (clicked.point_coords[0], clicked.predicted_iou) == ((25.0, 30.0), 0.5)
    assert (painted.point_coords[0], painted.predicted_iou) == ((115.0, 115.0), 1.0)
    assert painted.crop_box == (0.0, 0.0, 512.0, 512.0)


def test_the_same_snapshot_gives_the_same_bytes(snapshot, tmp_path) -> None:
    for form in ExportFormat:
        for name in ("first", "second"):
            export_round(snapshot.dataset, ROUND, form, tmp_path / name)
        assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_round_without_a_snapshot_leaves_no_file(snapshot, tmp_path) -> None:
    with pytest.raises(ArtifactError, match="materialize human_masks for other-1 first"):
        export_round(snapshot.dataset, "other-1", ExportFormat.COCO, tmp_path / "out.json")
    with pytest.raises(StudioError, match="expected a letter"):
        export_round(snapshot.dataset, "../other", ExportFormat.COCO, tmp_path / "out.json")
    assert not list(tmp_path.glob("*out.json*"))
