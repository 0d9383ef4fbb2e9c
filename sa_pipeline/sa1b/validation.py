"""Checking SA-1B against itself: what no reader of the format checks, each box and area against its mask."""

import io
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from sa_pipeline.errors import ArtifactError, RecordError
from sa_pipeline.masks.many_rles import measure_masks
from sa_pipeline.masks.rle import RleError, check_runs, decode_counts
from sa_pipeline.sa1b.members import (
    IMAGE,
    RECORD,
    Member,
    TarSource,
    list_members,
    missing_partners,
    opened,
    read_member,
)
from sa_pipeline.sa1b.records import Annotation, ImageInfo, Record, Segmentation, parse_record_of, record_name

_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1


@dataclass(frozen=True)
class Problem:
    """What is wrong: in which file, with which annotation if it is one's, in which field, in a sentence."""

    file: str
    field: str
    message: str
    annotation_id: int | None = None

    def __str__(self) -> str:
        """The problem in one line."""
        annotation = "" if self.annotation_id is None else f"annotation {self.annotation_id}: "
        return f"{self.file}: {annotation}{self.field}: {self.message}"


@dataclass(frozen=True, eq=False)
class ValidationReport:
    """What a tar holds and what is wrong with it.

    `members` are its files in their order, `masks` the number of masks by image id of readable records, and
    `annotation_ids`, shape (A,), int64, sorted, has each id of them once.
    """

    name: str
    members: tuple[Member, ...]
    masks: Mapping[int, int]
    problems: tuple[Problem, ...]
    annotation_ids: npt.NDArray[np.int64]

    @property
    def images(self) -> int:
        """Number of JPEGs."""
        return sum(member.kind == IMAGE for member in self.members)

    @property
    def annotations(self) -> int:
        """Number of masks of readable records."""
        return sum(self.masks.values())

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def validate_record(record: Record) -> list[Problem]:
    """Checks each mask of a record: its RLE decodes, area and box are the mask's own, its id occurs once.

    The box convention is SA-1B's, w = x_max - x_min over foreground pixels. The shape of the record itself, and that
    boxes and points lie in the image, is checked when a `Record` is made.
    """
    file = record_name(record.image.image_id)
    masks = [annotation.segmentation for annotation in record.annotations]
    measured = measure_masks([mask.counts for mask in masks], [mask.size for mask in masks])
    problems = [
        Problem(file, field, message, annotation.id)
        for annotation, sound, area, box in zip(
            record.annotations, measured.sound.tolist(), measured.areas.tolist(), measured.boxes.tolist(), strict=True
        )
        for field, message in (_compare(annotation, area, box) if sound else _fault(annotation.segmentation))
    ]
    for repeated, times in Counter(annotation.id for annotation in record.annotations).items():
        if times > 1:
            problems.append(Problem(file, "id", f"occurs {times} times in the record; expected once", repeated))
    return problems


def validate_tar(source: TarSource) -> ValidationReport:
    """Checks a whole tar of an export, one image at a time.

    Beyond `validate_record`: names are flat `sa_N.jpg` and `sa_N.json`, both there for each N, in this order and by
    rising N; the JPEG is upright RGB of the record's size; annotation ids are unique over the tar.

    Args:
        source: Path of the tar, or the tar opened in binary mode, seekable.

    Raises:
        StorageError: The tar cannot be opened. All else becomes a problem of the report.
    """
    with opened(source) as (file, name):
        try:
            members = list_members(file, name)
        except (RecordError, ArtifactError) as error:
            return ValidationReport(name, (), {}, (Problem(name, "members", str(error)),), np.zeros(0, np.int64))
        problems = _layout_problems(members, name)
        ids: list[npt.NDArray[np.int64]] = []
        masks: dict[int, int] = {}
        jpegs = {member.number: member for member in members if member.kind == IMAGE}
        for member in members:
            if member.kind != RECORD:
                continue
            try:
                record = parse_record_of(member.number, read_member(file, member, name), member.name)
            except (RecordError, ArtifactError) as error:
                problems.append(Problem(member.name, "record", str(error)))
                continue
            problems += validate_record(record)
            if member.number in jpegs:
                problems += _image_problems(file, jpegs[member.number], record.image, name)
            masks[member.number] = len(record.annotations)
            ids.append(np.unique(np.array([annotation.id for annotation in record.annotations], np.int64)))
    unique, repeated = _merge(ids)
    problems += [Problem(name, "id", "occurs in more than one record of the tar", int(one)) for one in repeated]
    return ValidationReport(name, tuple(members), masks, tuple(problems), unique)


def find_shared_ids(reports: Iterable[ValidationReport]) -> list[Problem]:
    """Annotation ids that occur in more than one tar of a dataset, each as a problem naming the tars."""
    reports = list(reports)
    _, repeated = _merge([report.annotation_ids for report in reports])
    return [
        Problem(", ".join(r.name for r in reports if one in r.annotation_ids), "id", "occurs in several tars", int(one))
        for one in repeated
    ]


def _fault(segmentation: Segmentation) -> list[tuple[str, str]]:
    """Field and message of what is wrong with a string that describes no mask of its size."""
    try:
        check_runs(decode_counts(segmentation.counts), segmentation.size)
    except RleError as error:
        return [("segmentation.counts", str(error))]
    raise AssertionError(f"{segmentation.counts!r} was called unsound and decodes")


def _compare(annotation: Annotation, area: int, box: list[int]) -> list[tuple[str, str]]:
    """Field and message of what is wrong between a mask's area and box and what its annotation says of them."""
    problems = []
    if annotation.area != area:
        problems.append(("area", f"the mask has {area} pixels; got {annotation.area}"))
    if list(annotation.bbox) != box:
        problems.append(("bbox", f"the mask's box is {box}; got {list(annotation.bbox)}"))
    return problems


def _layout_problems(members: list[Member], tar_name: str) -> list[Problem]:
    names = [member.name for member in members]
    problems = [
        Problem(name, "members", f"is in the tar without {partner}; expected both")
        for name, partner in missing_partners(names)
    ]
    in_order = sorted(members, key=lambda member: (member.number, member.kind != IMAGE))
    for got, expected in zip(members, in_order, strict=True):
        if got != expected:
            message = f"{got.name} stands where {expected.name} belongs; expected sa_N.jpg, sa_N.json by rising N"
            problems.append(Problem(tar_name, "members", message))
            break
    return problems


def _image_problems(file: BinaryIO, member: Member, info: ImageInfo, tar_name: str) -> list[Problem]:
    jpeg = read_member(file, member, tar_name)
    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
            size, mode = image.size, image.mode
            orientation = image.getexif().get(_ORIENTATION_TAG, _UPRIGHT)
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        return [Problem(member.name, "jpeg", f"cannot be read: {error}")]
    problems = []
    if size != (info.width, info.height):
        message = f"the JPEG has {size[0]} x {size[1]} pixels; its record says {info.width} x {info.height}"
        problems.append(Problem(member.name, "image.width, image.height", message))
    if mode != "RGB":
        problems.append(Problem(member.name, "jpeg", f"holds {mode} pixels; expected RGB"))
    if orientation != _UPRIGHT:
        # Some readers (OpenCV) turn such an image and others (Pillow) do not; the masks fit one of them only.
        problems.append(
            Problem(member.name, "jpeg", f"carries EXIF orientation {orientation}; expected upright pixels")
        )
    return problems


def _merge(parts: list[npt.NDArray[np.int64]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All values of arrays that hold each value once, sorted; and those that occur in more than one array."""
    values, times = np.unique(np.concatenate([np.zeros(0, np.int64), *parts]), return_counts=True)
    return values, values[times > 1]
