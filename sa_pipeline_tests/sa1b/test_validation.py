"""The validator finds what no reader of the format checks: masks, boxes, areas, ids and images that do not agree."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from sa_pipeline.sa1b.records import Record, dump_record
from sa_pipeline.sa1b.validation import find_shared_ids, validate_record, validate_tar
from sa_pipeline.sa1b.writer import ExportImage, write_shard
from sa_pipeline_tests.sa1b.samples import jpeg_of, photograph, tricky_images, write_tar
from sa_pipeline_tests.sa1b.test_reader import pack, pair


def changed(record: Record, **changes: Any) -> Record:
    """The record with other values in its first annotation; `counts` changes the mask."""
    first = record.annotations[0]
    if "counts" in changes:
        changes["segmentation"] = first.segmentation.model_copy(update={"counts": changes.pop("counts")})
    return record.model_copy(update={"annotations": (first.model_copy(update=changes), *record.annotations[1:])})


def problems_of(image: ExportImage) -> list[tuple[str, str]]:
    file = io.BytesIO()
    write_shard(file, [image])
    return [(problem.file, problem.field) for problem in validate_tar(file).problems]


def test_a_good_export_has_no_problem(tmp_path: Path) -> None:
    report = validate_tar(write_tar(tmp_path, tricky_images()))
    assert report.problems == ()
    assert report.ok
    assert (report.images, report.annotations, report.annotation_ids.size) == (4, 154, 154)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"area": 1}, "area", "got 1"),
        ({"bbox": (0.0, 0.0, 1.0, 1.0)}, "bbox", "got [0.0, 0.0, 1.0, 1.0]"),
        ({"counts": "13"}, "segmentation.counts", "add up to 4 pixels"),
        ({"counts": "\u00e9"}, "segmentation.counts", "alphabet"),
        ({"counts": "PPPPPPPPPPPPPPPPPPPP0"}, "segmentation.counts", "at most 7"),
        ({"counts": "o"}, "segmentation.counts", "cut off"),
        ({"counts": ""}, "segmentation.counts", "add up to 0 pixels"),
    ],
)
def test_a_mask_and_what_is_said_of_it_must_agree(changes: dict[str, Any], field: str, words: str) -> None:
    [problem] = validate_record(changed(photograph(1, 2).record, **changes))
    assert (problem.file, problem.annotation_id, problem.field) == ("sa_1.json", 1_000_000, field)
    assert words in problem.message
    assert str(problem).startswith(f"sa_1.json: annotation 1000000: {field}: ")


def test_the_box_that_pycocotools_gives_is_not_sa1bs() -> None:
    record = photograph(1, 1).record
    box = coco.toBbox(record.annotations[0].segmentation.model_dump()).tolist()
    [problem] = validate_record(changed(record, bbox=tuple(box)))
    assert problem.field == "bbox"


def test_every_mask_that_passes_is_the_same_to_pycocotools() -> None:
    for annotation in photograph(2, 20).record.annotations:
        rle = annotation.segmentation.model_dump()
        assert coco.area(rle) == annotation.area
        x, y, w, h = coco.toBbox(rle)
        assert (x, y, w - 1, h - 1) == annotation.bbox
        assert coco.decode(rle).shape == rle["size"]


def test_an_id_that_occurs_twice_is_found_in_a_record_in_a_tar_and_over_tars(tmp_path: Path) -> None:
    one, two = photograph(1, 3), photograph(2, 3)
    doubled = changed(one.record, id=one.record.annotations[1].id)
    assert [(p.field, p.annotation_id) for p in validate_record(doubled)] == [("id", 1_000_001)]

    borrowed = ExportImage(two.jpeg, changed(two.record, id=1_000_002))
    [problem] = validate_tar(write_tar(tmp_path, [one, borrowed])).problems
    assert (problem.field, problem.annotation_id) == ("id", 1_000_002)

    reports = [validate_tar(write_tar(tmp_path, [image], f"{i}.tar")) for i, image in enumerate([one, borrowed])]
    assert all(report.ok for report in reports)
    [problem] = find_shared_ids(reports)
    assert (problem.field, problem.annotation_id) == ("id", 1_000_002)
    assert "0.tar" in problem.file
    assert "1.tar" in problem.file


def test_an_image_of_another_size_kind_or_orientation_is_found() -> None:
    image = photograph(1, 1)
    pixels = np.array(Image.open(io.BytesIO(image.jpeg)))
    turned = Image.Exif()
    turned[0x0112] = 6
    assert problems_of(image) == []
    for jpeg, field in (
        (jpeg_of(pixels[:-1]), "image.width, image.height"),
        (jpeg_of(pixels[..., 0]), "jpeg"),
        (jpeg_of(pixels, exif=turned), "jpeg"),
        (b"no jpeg", "jpeg"),
        (b"", "jpeg"),
    ):
        assert problems_of(ExportImage(jpeg, image.record)) == [("sa_1.jpg", field)]


def test_half_images_wrong_order_and_unreadable_records_are_all_reported(tmp_path: Path) -> None:
    files = [*pair(2), pair(1)[1], pair(1)[0], pair(7)[0], ("sa_12.json", b"{}"), ("sa_12.jpg", pair(12)[0][1])]
    report = validate_tar(pack(tmp_path / "bad.tar", files))
    assert [(problem.file.rsplit("/", 1)[-1], problem.field) for problem in report.problems] == [
        ("sa_7.jpg", "members"),
        ("bad.tar", "members"),
        ("sa_12.json", "record"),
    ]
    assert (report.images, report.annotations) == (4, 2)


def test_a_record_under_another_images_name_is_found(tmp_path: Path) -> None:
    other = ("sa_2.json", dump_record(photograph(1, 1).record))
    [problem] = validate_tar(pack(tmp_path / "bad.tar", [pair(2)[0], other])).problems
    assert (problem.file, problem.field) == ("sa_2.json", "record")


def test_a_damaged_or_foreign_tar_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    path = write_tar(tmp_path, [photograph(1)])
    path.write_bytes(path.read_bytes()[:1000])
    deep = pack(tmp_path / "deep.tar", [("a/sa_1.jpg", b"")], tarfile.USTAR_FORMAT)
    for tar in (path, deep):
        [problem] = validate_tar(tar).problems
        assert problem.field == "members"
