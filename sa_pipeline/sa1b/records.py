"""The SA-1B record, one JSON per image: its models, and the only way to read and write it.

The shape is that of the released files (paper §5, "Images" and "Masks"): keys, their order, their types.
"""

import json
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PlainValidator,
    StrictInt,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from sa_pipeline.errors import RecordError, describe_validation_error, shown

MAX_ID = 2**53 - 1
"""The largest integer up to which JavaScript reads every one exactly."""


def image_name(image_id: int) -> str:
    """Name of an image in a tar or folder, `sa_N.jpg`."""
    return f"sa_{image_id}.jpg"


def record_name(image_id: int) -> str:
    """Name of an image's record in a tar or folder, `sa_N.json`."""
    return f"sa_{image_id}.json"


def _require_float(value: Any) -> Any:
    # Datumaro refuses a score that JSON holds as an integer, and pydantic's strict float would take it.
    if not isinstance(value, float):
        raise PydanticCustomError("json_float", "expected a JSON float such as 1.0")
    return value


def _require_number(value: Any) -> Any:
    # Released boxes are floats in most places and integers in some; either is kept as it was written.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_ID:
        raise PydanticCustomError("number", "expected a finite number")
    return value


def _require_size(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    if min(box) < 0:
        raise PydanticCustomError("box", "expected [x, y, width, height], none of them negative")
    return box


Id = Annotated[StrictInt, Field(ge=0, le=MAX_ID)]
Pixels = Annotated[StrictInt, Field(ge=1)]
Score = Annotated[FiniteFloat, BeforeValidator(_require_float)]
Number = Annotated[float, PlainValidator(_require_number)]
Box = Annotated[tuple[Number, Number, Number, Number], AfterValidator(_require_size)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageInfo(_Model):
    """The image that a record belongs to; `width` and `height` in pixels."""

    image_id: Id
    width: Pixels
    height: Pixels
    file_name: str

    @model_validator(mode="after")
    def _named_by_id(self) -> "ImageInfo":
        if self.file_name != image_name(self.image_id):
            raise PydanticCustomError(
                "file_name",
                "file_name: expected {expected} for this image_id, got {got}",
                {"expected": repr(image_name(self.image_id)), "got": shown(self.file_name)},
            )
        return self


class Segmentation(_Model):
    """A mask; `size` is (height, width) and `counts` COCO's compressed run-length string."""

    size: tuple[Pixels, Pixels]
    counts: str


class Annotation(_Model):
    """One mask of an image.

    Boxes are XYWH in pixels of the image. `bbox` runs from the first to the last foreground pixel, w = x_max - x_min,
    which is one less than pycocotools' `toBbox` gives. `point_coords` is the one point (x, y) that prompted the mask.
    """

    bbox: Box
    area: Annotated[StrictInt, Field(ge=0)]
    segmentation: Segmentation
    predicted_iou: Score
    point_coords: tuple[tuple[Number, Number]]
    crop_box: Box
    id: Id
    stability_score: Score


class Record(_Model):
    """An image and its masks."""

    image: ImageInfo
    annotations: tuple[Annotation, ...]

    @model_validator(mode="after")
    def _within_the_image(self) -> "Record":
        for index, annotation in enumerate(self.annotations):
            misfit = _misfit(annotation, self.image)
            if misfit:
                field, got, expected = misfit
                raise PydanticCustomError(
                    "outside",
                    "annotations.{index}.{field} (id {id}): expected {expected}, got {got}",
                    {"index": index, "field": field, "id": annotation.id, "expected": expected, "got": repr(got)},
                )
        return self


def dump_record(record: Record) -> bytes:
    """Writes a record as compact ASCII JSON; equal records give equal bytes, and floats stay floats (1.0, never 1)."""
    # A model's attributes are its fields in their order; `model_dump` would first copy them all.
    return json.dumps(record, default=vars, separators=(",", ":"), allow_nan=False).encode("ascii")


def parse_record(data: bytes, name: str) -> Record:
    """Reads a record.

    Args:
        data: The JSON text.
        name: What the record is called in messages, usually its file name.

    Raises:
        RecordError: The text is not JSON or not a record; the message names `name`, the field, what was got and what
            was expected.
    """
    try:
        return Record.model_validate_json(data)
    except ValidationError as error:
        raise RecordError(describe_validation_error(error, name=name)) from None


def parse_record_of(image_id: int, data: bytes, name: str) -> Record:
    """Reads the record of a known image; otherwise as `parse_record`.

    Raises:
        RecordError: Also where the record is of another image.
    """
    record = parse_record(data, name)
    if record.image.image_id != image_id:
        raise RecordError(
            f"{name}: image.image_id: expected {image_id}, as the file is named, got {record.image.image_id}."
        )
    return record


def _misfit(annotation: Annotation, image: ImageInfo) -> tuple[str, object, str] | None:
    """The first field that does not lie in the image: its name, what it holds, what was expected."""
    width, height = image.width, image.height
    if annotation.segmentation.size != (height, width):
        return "segmentation.size", list(annotation.segmentation.size), f"[height, width] = [{height}, {width}]"
    for field, (x, y, w, h) in (("bbox", annotation.bbox), ("crop_box", annotation.crop_box)):
        if x + w > width or y + h > height:
            return field, [x, y, w, h], f"a box [x, y, w, h] within the image of {width} x {height}"
    (x, y), *_ = annotation.point_coords
    if not (0 <= x <= width and 0 <= y <= height):
        return "point_coords", [[x, y]], f"one point [[x, y]] within the image of {width} x {height}"
    return None
