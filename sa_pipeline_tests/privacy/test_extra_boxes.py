"""Boxes that people drew."""

import pytest

from sa_pipeline.errors import SettingsError
from sa_pipeline.privacy.detection import Detection, Kind
from sa_pipeline.privacy.extra_boxes import digest_of_boxes, read_extra_boxes

HEADER = "image_id,kind,x,y,width,height\n"


def test_boxes_are_read_by_image(tmp_path) -> None:
    (tmp_path / "boxes.csv").write_text(HEADER + "7,face,1,2,3,4.5\n7,license_plate,9,8,7,6\n8,face,0,0,1,1\n")
    boxes = read_extra_boxes(str(tmp_path / "boxes.csv"))
    assert boxes[7] == (Detection(Kind.FACE, 1.0, (1, 2, 3, 4.5)), Detection(Kind.LICENSE_PLATE, 1.0, (9, 8, 7, 6)))
    assert digest_of_boxes(boxes, [7]) != digest_of_boxes(boxes, [8])
    assert digest_of_boxes(boxes, [1, 7]) == digest_of_boxes(boxes, [7, 2])
    assert read_extra_boxes(None) == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("7,nose,1,2,3,4", "line 2.*kind"),
        ("7,face,1,2,-3,4", "line 2.*width"),
        ("0,face,1,2,3,4", "line 2.*image_id"),
        ("7,face,1,2", "line 2.*width"),
    ],
)
def test_a_line_that_is_no_box_is_refused(tmp_path, line, message) -> None:
    (tmp_path / "boxes.csv").write_text(HEADER + line + "\n")
    with pytest.raises(SettingsError, match=message):
        read_extra_boxes(str(tmp_path / "boxes.csv"))


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"extra_boxes: /nowhere/boxes\.csv cannot be read"):
        read_extra_boxes("/nowhere/boxes.csv")
