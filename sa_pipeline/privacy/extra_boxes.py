"""Faces and licence plates that people found where no detector did, in a CSV file."""

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sa_pipeline.errors import SettingsError, describe_validation_error
from sa_pipeline.privacy.detection import Detection, Kind

FOUND_BY = "people"
"""Stands where a detector's name would."""

ExtraBoxes = Mapping[int, tuple[Detection, ...]]
"""By number of the image."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    image_id: int = Field(ge=1)
    kind: Kind
    x: float
    y: float
    width: float = Field(gt=0)
    height: float = Field(gt=0)


def read_extra_boxes(path: str | None) -> ExtraBoxes:
    """Reads the boxes that people drew; none without a file.

    Args:
        path: A CSV file with the columns image_id, kind (face or license_plate), x, y, width and height, in px.

    Raises:
        SettingsError: The file is not there, or a line is not of that form.
    """
    boxes: dict[int, list[Detection]] = defaultdict(list)
    if path is not None:
        try:
            lines = Path(path).expanduser().read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"deidentification.extra_boxes: {path} cannot be read ({error}).") from error
        for number, row in enumerate(csv.DictReader(lines), start=2):
            try:
                box = _Row.model_validate(row)
            except ValidationError as error:
                raise SettingsError(describe_validation_error(error, name=f"{path}, line {number}")) from None
            boxes[box.image_id].append(Detection(box.kind, 1.0, (box.x, box.y, box.width, box.height)))
    return {image_id: tuple(found) for image_id, found in boxes.items()}


def digest_of_boxes(boxes: ExtraBoxes, image_ids: Collection[int]) -> str:
    """SHA-256 of the boxes on some images, so that a new line makes no other shard stale."""
    rows = [[image_id, each.kind, each.bbox] for image_id in sorted(image_ids) for each in boxes.get(image_id, ())]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
