"""COCO's instance annotations: one JSON file, masks as polygons or run lengths, crowds left out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sa_pipeline.annotated.image import AnnotatedImage, decode_annotated, has_pixels, read_file, require_size
from sa_pipeline.errors import AnnotationError, describe_validation_error
from sa_pipeline.masks.rle import RleError, encode_counts


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CocoImage(_Model):
    """An entry of `images`; sizes in px."""

    id: int
    file_name: str
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class CocoRunLengths(_Model):
    """A mask as run lengths: `counts` compressed (a string) or not (numbers); `size` is height, width."""

    size: tuple[int, int]
    counts: str | list[int]


class CocoAnnotation(_Model):
    """An entry of `annotations`; `segmentation` is polygons [[x, y, x, y, ...], ...] in px, or run lengths."""

    id: int
    image_id: int
    iscrowd: int = 0
    category_id: int | None = None
    segmentation: list[list[float]] | CocoRunLengths


class CocoCategory(_Model):
    """An entry of `categories`."""

    id: int
    name: str


class CocoInstances(_Model):
    """The lists of an instance file that masks and their labels need."""

    images: list[CocoImage]
    annotations: list[CocoAnnotation]
    categories: list[CocoCategory] = []


class InstanceFile:
    """A COCO instance file without its images: one person's masks, which may overlap, crowds left out."""

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            AnnotationError: It cannot be read, is not of the format, or names no image.
        """
        self._path = path
        parsed = _parse(read_file(path), path)
        self.images = sorted(parsed.images, key=lambda image: image.id)
        self._annotations: Mapping[int, list[CocoAnnotation]] = _by_image(parsed.annotations)
        self._labels = {category.id: category.name for category in parsed.categories}
        if not self.images:
            raise AnnotationError(f"{path}: images: expected at least one, found none.")

    def masks(self, image: CocoImage) -> list[tuple[str, str]]:
        """COCO compressed run lengths and label of each mask of an image; masks without pixels are left out.

        Raises:
            AnnotationError: A mask is malformed.
        """
        found = [(self._counts(each, image), each.category_id) for each in self._annotations.get(image.id, [])]
        return [
            (counts, "" if category is None else self._labels.get(category, ""))
            for counts, category in found
            if counts is not None
        ]

    def _counts(self, annotation: CocoAnnotation, image: CocoImage) -> str | None:
        """COCO compressed run lengths; None for a mask without pixels."""
        name = f"{self._path}: annotation {annotation.id}: segmentation"
        size = (image.height, image.width)
        if isinstance(annotation.segmentation, list):
            counts = _polygons_to_counts(annotation.segmentation, size, name)
        else:
            require_size(annotation.segmentation.size, size, name)
            counts = _compressed(annotation.segmentation.counts, name)
        return counts if has_pixels(counts, size, name) else None


class CocoSource:
    """A folder of images with a COCO instance file: one person, whose masks may overlap."""

    def __init__(self, images: Path, instances: Path) -> None:
        """Reads the instance file.

        Raises:
            AnnotationError: It cannot be read or is not of the format.
        """
        self._folder, self._path = images, instances
        self._instances = InstanceFile(instances)

    @property
    def names(self) -> Sequence[str]:
        """File names, by rising image id."""
        return [image.file_name for image in self._instances.images]

    def read(self, index: int) -> AnnotatedImage:
        """Reads one image and decodes its masks.

        Raises:
            AnnotationError: The image cannot be read or has another size, or a mask is malformed.
        """
        image = self._instances.images[index]
        path = self._folder / image.file_name
        pixels = decode_annotated(read_file(path), str(path))
        require_size((image.height, image.width), pixels.shape[:2], f"{self._path}: image {image.id}")
        return AnnotatedImage(image.file_name, pixels, (tuple(counts for counts, _ in self._instances.masks(image)),))


def _compressed(counts: str | list[int], name: str) -> str:
    try:
        return counts if isinstance(counts, str) else encode_counts(np.asarray(counts, np.int64))
    except RleError as error:
        raise AnnotationError(f"{name}: {error}") from error


def _polygons_to_counts(polygons: list[list[float]], size: tuple[int, int], name: str) -> str:
    if not polygons or any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons):
        raise AnnotationError(f"{name}: expected polygons of three or more points x, y each.")
    merged: dict[str, Any] = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
    return str(merged["counts"].decode("ascii"))


def _parse(data: bytes, path: Path) -> CocoInstances:
    try:
        return CocoInstances.model_validate_json(data)
    except ValidationError as error:
        raise AnnotationError(describe_validation_error(error, name=str(path))) from None


def _by_image(annotations: Sequence[CocoAnnotation]) -> dict[int, list[CocoAnnotation]]:
    grouped = defaultdict(list)
    for annotation in annotations:
        # A crowd is a region of many objects, none of which is delineated.
        if not annotation.iscrowd:
            grouped[annotation.image_id].append(annotation)
    return dict(grouped)
