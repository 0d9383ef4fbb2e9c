"""The record: it comes back as it was released, and whatever departs from the format is refused with its place."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sa_pipeline.errors import RecordError
from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.sa1b.records import Annotation, Record, dump_record, parse_record, parse_record_of
from sa_pipeline.sa1b.validation import validate_record
from sa_pipeline_tests.sa1b.samples import annotate, photograph


def released() -> dict[str, Any]:
    """A record as released; its mask is drawn so that it has the stated box and area."""
    mask = np.zeros((1500, 2250), np.bool_)
    inside = mask[157 : 157 + 130, 1167 : 1167 + 108]
    rows = 7948 // 108
    inside[:rows] = True
    inside[-1, : 7948 % 108] = True
    return {
        "image": {"image_id": 560, "width": 2250, "height": 1500, "file_name": "sa_560.jpg"},
        "annotations": [
            {
                "bbox": [1167.0, 157.0, 107.0, 129.0],
                "area": 7948,
                "segmentation": {"size": [1500, 2250], "counts": mask_to_counts(mask)},
                "predicted_iou": 0.8973201513290405,
                "point_coords": [[1233.9375, 177.1875]],
                "crop_box": [998, 0, 755, 567],
                "id": 1103484716,
                "stability_score": 0.9846441745758057,
            }
        ],
    }


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def test_a_released_record_comes_back_byte_for_byte() -> None:
    assert dump_record(parse_record(compact(released()), "sa_560.json")) == compact(released())


def test_a_released_record_fits_its_mask_in_the_released_box_convention() -> None:
    assert validate_record(parse_record(compact(released()), "sa_560.json")) == []


@pytest.mark.parametrize("box", [[1167, 157, 107, 129], [1167.0, 157.0, 107.0, 129.0]])
def test_boxes_of_integers_and_of_floats_are_read_and_kept_as_they_are(box: list[float]) -> None:
    value = released()
    value["annotations"][0].update(bbox=box, crop_box=box)
    record = parse_record(compact(value), "sa_560.json")
    assert dump_record(record) == compact(value)
    assert validate_record(record) == []


def test_a_score_of_one_is_written_as_a_float() -> None:
    written = dump_record(photograph(1, 1, predicted_iou=1.0, stability_score=1.0).record)
    assert b'"predicted_iou":1.0,' in written
    assert b'"stability_score":1.0}' in written


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 99, width=32), st.integers(0, 2**53 - 1))
def test_every_number_comes_back_exactly(score: float, coordinate: float, mask_id: int) -> None:
    mask = np.ones((100, 100), np.bool_)
    annotation = annotate(mask, mask_id, predicted_iou=score, point_coords=((coordinate, 0),))
    image = {"image_id": mask_id, "width": 100, "height": 100, "file_name": f"sa_{mask_id}.jpg"}
    record = Record.model_validate({"image": image, "annotations": [annotation]})
    again = parse_record(dump_record(record), "record")
    assert again == record
    assert dump_record(again) == dump_record(record)


def annotation_of(value: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = value["annotations"][0]
    return first


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.update(licence="CC"), ["licence", "no such field"]),
        (lambda r: r["image"].update(licence="CC"), ["image.licence", "no such field"]),
        (lambda r: annotation_of(r).update(label=3), ["annotations.0.label", "no such field"]),
        (lambda r: r["image"].pop("width"), ["image.width", "required"]),
        (lambda r: annotation_of(r).pop("crop_box"), ["annotations.0.crop_box", "required"]),
        (lambda r: r["image"].update(file_name="../sa_560.jpg"), ["'sa_560.jpg'", "'../sa_560.jpg'"]),
        (lambda r: r["image"].update(file_name="sa_561.jpg"), ["'sa_560.jpg'", "'sa_561.jpg'"]),
        (lambda r: r["image"].update(width=2250.0), ["image.width", "integer", "2250.0"]),
        (lambda r: annotation_of(r).update(predicted_iou=1), ["0.predicted_iou", "JSON float", "got 1."]),
        (lambda r: annotation_of(r).update(stability_score="1.0"), ["0.stability_score", "JSON float", "'1.0'"]),
        (lambda r: annotation_of(r).update(predicted_iou=float("nan")), ["0.predicted_iou", "finite", "nan"]),
        (lambda r: annotation_of(r).update(id=2**53), ["0.id", "9007199254740991", "9007199254740992"]),
        (lambda r: annotation_of(r).update(id=-1), ["0.id", "-1"]),
        (lambda r: annotation_of(r).update(id=True), ["0.id", "integer", "True"]),
        (lambda r: annotation_of(r).update(bbox=[1, 2, 3]), ["0.bbox.3", "required"]),
        (lambda r: annotation_of(r).update(bbox=[1, "2", 3, 4]), ["0.bbox.1", "number", "'2'"]),
        (lambda r: annotation_of(r).update(bbox=[1, 10**400, 3, 4]), ["0.bbox.1", "number"]),
        (lambda r: annotation_of(r).update(bbox=[1, -2, 3, 4]), ["0.bbox", "negative", "-2"]),
        (lambda r: annotation_of(r).update(bbox=[2200, 0, 51, 9]), ["0.bbox (id 1103484716)", "2250 x 1500", "2200"]),
        (lambda r: annotation_of(r).update(crop_box=[0, 0, 9, 1501]), ["0.crop_box", "2250 x 1500", "1501"]),
        (lambda r: annotation_of(r).update(point_coords=[[2251.0, 2.0]]), ["0.point_coords", "2250 x 1500", "2251.0"]),
        (lambda r: annotation_of(r).update(point_coords=[[1, 2], [3, 4]]), ["0.point_coords", "at most 1"]),
        (lambda r: annotation_of(r).update(point_coords=[1, 2]), ["0.point_coords"]),
        (lambda r: annotation_of(r)["segmentation"].update(size=[2250, 1500]), ["0.segmentation.size", "[1500, 2250]"]),
        (lambda r: annotation_of(r)["segmentation"].update(counts=[9] * 999), ["0.segmentation.counts", "string"]),
    ],
)
def test_what_departs_from_the_format_is_refused_by_file_and_field(
    change: Callable[[dict[str, Any]], object], words: list[str]
) -> None:
    value = released()
    change(value)
    with pytest.raises(RecordError) as caught:
        parse_record(compact(value), "sa_560.json")
    text = str(caught.value)
    assert text.startswith("sa_560.json: ")
    assert "\n" not in text
    assert len(text) < 250
    for word in words:
        assert word in text


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 5000])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError, match=r"^sa_1\.json: "):
        parse_record(data, "sa_1.json")


def test_a_record_of_another_image_is_refused() -> None:
    with pytest.raises(RecordError, match="expected 561, as the file is named, got 560"):
        parse_record_of(561, compact(released()), "sa_561.json")


def test_a_record_cannot_be_changed_nor_made_with_numbers_json_has_no_word_for() -> None:
    annotation = photograph(1, 1).record.annotations[0]
    with pytest.raises(ValidationError):
        annotation.area = 3
    with pytest.raises(ValidationError):
        Annotation(**annotation.model_dump() | {"stability_score": float("inf")})
