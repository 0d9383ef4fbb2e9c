"""Masks from elsewhere become tasks, for the images that are meant and no others."""

import json
from dataclasses import replace

import numpy as np
import pytest
import skimage.io
import sqlalchemy as sa

from sa_pipeline.annotated.references import ReferenceFormat, open_references
from sa_pipeline.artifacts import RoundAssetName, read_table
from sa_pipeline.errors import AnnotationError
from sa_pipeline.masks.rle import counts_to_mask, mask_to_counts
from sa_pipeline.stages.sa1b_export import make_sa1b_export
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.importing import ImportAs, ImportReport, import_masks
from sa_pipeline.studio.matching import ImageIndex, Mismatch
from sa_pipeline.studio.models import NewPin, Review, Role, Tool, Verdict
from sa_pipeline.studio.reviewing import lease_review, review
from sa_pipeline.studio.schema import objects, tasks
from sa_pipeline.studio.snapshot import snapshot_round
from sa_pipeline_tests.annotated.samples import halves, quarters, write_mat
from sa_pipeline_tests.studio.work import accept_all, add_person, begin, thing

ROUND = "imported-1"


@pytest.fixture
def studio(sqlite_studio):
    return sqlite_studio


def load(studio, path, form: ReferenceFormat, how: ImportAs) -> ImportReport:
    index = ImageIndex(studio.dataset, by_bytes=form is ReferenceFormat.SA1B)
    return import_masks(studio, open_references(path, form), ROUND, how, index)


def rows(studio, table: sa.Table) -> list[sa.Row]:
    with studio.read() as connection:
        return list(connection.execute(sa.select(table).order_by(table.c.task_id)))


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((400, 600), bool)
    mask[100:200, 50:90] = True
    return mask


@pytest.fixture
def instances(tmp_path, mask):
    """Masks of coffee.jpg, of an image that the dataset lacks, and of one that has another size there."""
    images = [
        {"id": 5, "file_name": "val/coffee.jpg", "width": 600, "height": 400},
        {"id": 6, "file_name": "elsewhere.jpg", "width": 600, "height": 400},
        {"id": 7, "file_name": "rocket.jpg", "width": 600, "height": 400},
    ]
    segmentation = {"size": [400, 600], "counts": mask_to_counts(mask)}
    annotations = [
        {"id": number, "image_id": image, "category_id": 2, "segmentation": segmentation}
        for number, image in enumerate((5, 6, 7))
    ]
    path = tmp_path / "instances.json"
    content = {"images": images, "annotations": annotations, "categories": [{"id": 2, "name": "cup"}]}
    path.write_text(json.dumps(content))
    return path


def test_coco_masks_keep_their_labels_and_what_matches_no_image_is_counted_and_named(studio, instances, mask) -> None:
    report = load(studio, instances, ReferenceFormat.COCO, ImportAs.PREFILLED)
    assert dict(report.counts) == {"images": 1, "tasks": 1, "masks": 1, "images_passed_over": 2}
    assert report.describe() == (
        "Passed over: 1 of which the dataset has no image (the first: elsewhere.jpg); "
        "1 whose image has another size in the dataset (the first: rocket.jpg)."
    )
    (task,) = rows(studio, tasks)
    assert (task.image_id, task.state, task.stage, task.masks) == (3, "open", "semi_automatic", 1)
    assert task.checkpoint_digest is not None, "SAM helps with it"
    (made,) = rows(studio, objects)
    assert (made.label, made.source, made.area) == ("cup", "prefilled", mask.sum())
    np.testing.assert_array_equal(counts_to_mask(made.counts, (400, 600)), mask)
    work = begin(studio, add_person(studio, "Ada"))
    assert (work.task_id, work.version) == (task.task_id, 1)


def test_importing_again_changes_nothing_and_work_that_was_begun_is_left_alone(studio, instances) -> None:
    load(studio, instances, ReferenceFormat.COCO, ImportAs.FINISHED)
    again = load(studio, instances, ReferenceFormat.COCO, ImportAs.FINISHED)
    assert (again.counts["masks"], again.counts["images_passed_over"]) == (0, 3)
    assert "1 that people of the round have begun already (the first: coffee.jpg)" in again.describe()
    assert len(rows(studio, objects)) == 1


def test_a_task_of_the_queue_that_nobody_has_begun_is_given_the_masks(studio, instances) -> None:
    fill_queue(studio, ROUND)
    load(studio, instances, ReferenceFormat.COCO, ImportAs.PREFILLED)
    assert [(task.image_id, task.masks) for task in rows(studio, tasks)] == [(1, 0), (2, 0), (3, 1), (4, 0)]


def test_everybodys_label_map_becomes_a_task_of_its_own(studio, tmp_path) -> None:
    folder = tmp_path / "maps"
    folder.mkdir()
    write_mat(folder / "chelsea.mat", quarters(300, 451), halves(300, 451))
    skimage.io.imsave(folder / "rocket.png", halves(427, 640).astype(np.uint8), check_contrast=False)
    report = load(studio, folder, ReferenceFormat.LABEL_MAPS, ImportAs.ACCEPTED)
    assert (report.counts["images"], report.counts["tasks"], report.counts["masks"]) == (2, 3, 4 + 2 + 2)
    assert [(task.image_id, task.replica, task.masks) for task in rows(studio, tasks)] == [
        (2, 0, 4),
        (2, 1, 2),
        (4, 0, 2),
    ]
    made = snapshot_round(studio, ROUND)
    assert made.masks.header.counts["imported"] == 8
    table = read_table(studio.dataset.storage, RoundAssetName.HUMAN_MASKS, ROUND).to_pylist()
    assert {(row["annotator"], row["reviewer"], row["source"]) for row in table} == {(None, None, "imported")}
    areas = [row["area"] for row in table if row["image_id"] == 4]
    assert sum(areas) == 427 * 640


def test_an_sa1b_tar_is_matched_by_the_bytes_of_its_images_not_by_their_numbers(studio, tmp_path) -> None:
    make_sa1b_export(studio.dataset, "000001")
    tar = tmp_path / "sa_other.tar"
    with studio.dataset.storage.local_copy("sa1b_export/sa_000001.tar") as path:
        tar.write_bytes(path.read_bytes())
    report = load(studio, tar, ReferenceFormat.SA1B, ImportAs.FINISHED)
    assert (report.counts["images"], report.counts["images_passed_over"]) == (2, 0)
    assert {task.image_id for task in rows(studio, tasks)} == {3, 4}
    assert all(0 < row.predicted_iou < 1.5 for row in rows(studio, objects))
    elsewhere = replace(next(open_references(tar, ReferenceFormat.SA1B)), sha256="0" * 64)
    assert elsewhere.name == "sa_3.jpg"
    assert ImageIndex(studio.dataset, by_bytes=True).find(elsewhere) is Mismatch.UNKNOWN


def test_finished_masks_are_reviewed_and_go_to_the_queue_when_they_are_sent_back(studio, instances) -> None:
    load(studio, instances, ReferenceFormat.COCO, ImportAs.FINISHED)
    grace, ada = add_person(studio, "Grace", Role.REVIEWER), add_person(studio, "Ada")
    grant = lease_review(studio, grace)
    pin = NewPin(x=10, y=10, comment="the saucer is missing")
    verdict = Review(lease_token=grant.lease.lease_token, version=1, verdict=Verdict.SENT_BACK, pins=[pin])
    review(studio, grace, grant.task_id, verdict)
    work = begin(studio, ada)
    assert work.task_id == grant.task_id
    work.do((Tool.BRUSH, thing(work.rectangle(1, 1, 5, 5), "saucer")))
    work.finish()
    accept_all(studio, grace, 1)
    assert snapshot_round(studio, ROUND).masks.header.counts["masks"] == 2


def test_a_round_of_finished_work_does_not_hide_the_one_that_people_work_on(studio, instances) -> None:
    fill_queue(studio, "assisted-1", images={1})
    load(studio, instances, ReferenceFormat.COCO, ImportAs.FINISHED)
    work = begin(studio, add_person(studio, "Ada"))
    assert {task.round for task in rows(studio, tasks) if task.task_id == work.task_id} == {"assisted-1"}


def test_a_file_of_another_format_is_told(studio, tmp_path) -> None:
    wrong = tmp_path / "instances.json"
    wrong.write_text("[]")
    with pytest.raises(AnnotationError, match=r"instances\.json"):
        load(studio, wrong, ReferenceFormat.COCO, ImportAs.FINISHED)
    with pytest.raises(AnnotationError, match="no label map is in it"):
        load(studio, tmp_path / ".", ReferenceFormat.LABEL_MAPS, ImportAs.FINISHED)
