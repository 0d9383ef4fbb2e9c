"""Reference masks without their images, to be laid on images that are elsewhere: COCO, label maps, SA-1B."""

import enum
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sa_pipeline.annotated.coco import InstanceFile
from sa_pipeline.annotated.image import has_pixels
from sa_pipeline.annotated.label_maps import list_label_maps, read_label_maps, segments_of
from sa_pipeline.errors import AnnotationError
from sa_pipeline.sa1b.reader import read_tar
from sa_pipeline.sa1b.records import Annotation, Record


class ReferenceFormat(enum.StrEnum):
    """Formats of reference masks."""

    COCO = "coco"
    LABEL_MAPS = "label-maps"
    SA1B = "sa1b"


@dataclass(frozen=True)
class ReferenceMask:
    """A mask.

    Attributes:
        counts: COCO compressed run lengths, not empty.
        label: In words; empty for none.
        predicted_iou: What a model said of it, if one did.
        point: XY of the point that prompted it, px, if one did.
    """

    counts: str
    label: str = ""
    predicted_iou: float | None = None
    point: tuple[float, float] | None = None


@dataclass(frozen=True)
class ReferenceMasks:
    """The masks of one image.

    Attributes:
        name: The image's file name; without a suffix where masks are told by the stem alone.
        size: Height and width in px.
        people: Each person's masks.
        sha256: Of the image's bytes, where they are at hand.
    """

    name: str
    size: tuple[int, int]
    people: tuple[tuple[ReferenceMask, ...], ...]
    sha256: str | None = None


def open_references(path: str | Path, form: ReferenceFormat) -> Iterator[ReferenceMasks]:
    """Opens reference masks; those of one image come after those of another.

    Args:
        path: COCO's instance file; a label map or a folder of such; an SA-1B tar or a folder of such.
        form: Which of these.

    Raises:
        SaPipelineError: Something is missing, damaged or of another format; the text names it. Some of it is found only
            when the masks are read.
    """
    source = Path(path).expanduser()
    if not source.exists():
        raise AnnotationError(f"{source} does not exist; expected reference masks in the format {form}.")
    match form:
        case ReferenceFormat.COCO:
            return _coco(InstanceFile(source))
        case ReferenceFormat.LABEL_MAPS:
            return _label_maps(list_label_maps(source) if source.is_dir() else [source])
        case ReferenceFormat.SA1B:
            tars = sorted(source.glob("*.tar")) if source.is_dir() else [source]
            if not tars:
                raise AnnotationError(f"{source}: no tar is in it; expected SA-1B tars.")
            return _sa1b(tars)


def _coco(file: InstanceFile) -> Iterator[ReferenceMasks]:
    for image in file.images:
        masks = tuple(ReferenceMask(counts, label) for counts, label in file.masks(image))
        # COCO's own files name an image, others its path below a folder of images.
        yield ReferenceMasks(Path(image.file_name).name, (image.height, image.width), (masks,))


def _label_maps(paths: Sequence[Path]) -> Iterator[ReferenceMasks]:
    for path in paths:
        maps = read_label_maps(path)
        sizes = {(labels.shape[0], labels.shape[1]) for labels in maps}
        if len(sizes) > 1:
            raise AnnotationError(f"{path}: the label maps of several people differ in size: {sorted(sizes)}.")
        people = tuple(tuple(ReferenceMask(counts) for counts in segments_of(labels)) for labels in maps)
        yield ReferenceMasks(path.stem, sizes.pop(), people)


def _sa1b(tars: Sequence[Path]) -> Iterator[ReferenceMasks]:
    for path in tars:
        for jpeg, record in read_tar(path):
            size = (record.image.height, record.image.width)
            masks = tuple(_from_annotation(each, size, path, record) for each in record.annotations)
            kept = tuple(mask for mask in masks if mask is not None)
            yield ReferenceMasks(record.image.file_name, size, (kept,), hashlib.sha256(jpeg).hexdigest())


def _from_annotation(annotation: Annotation, size: tuple[int, int], path: Path, record: Record) -> ReferenceMask | None:
    name = f"{path}: {record.image.file_name}: annotation {annotation.id}"
    if not has_pixels(annotation.segmentation.counts, size, name):
        return None
    x, y = annotation.point_coords[0]
    return ReferenceMask(annotation.segmentation.counts, "", annotation.predicted_iou, (float(x), float(y)))
