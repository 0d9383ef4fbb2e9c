"""Label maps, one or several an image: BSDS500's `.mat` files, and plain PNG files."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from sa_pipeline.annotated.image import AnnotatedImage, decode_annotated, read_file, require_size
from sa_pipeline.errors import AnnotationError
from sa_pipeline.masks.rle import mask_to_counts

LABEL_MAP_SUFFIXES = (".mat", ".png")
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})

LabelMap = npt.NDArray[np.integer]


class LabelMapSource:
    """A folder of images beside a folder of label maps with the same stems.

    `NAME.mat` is BSDS500's format (Arbeláez et al., 2011): `groundTruth[0][i]["Segmentation"]`, one map for each
    person. `NAME.png` is one person's map, 8 or 16 bit of grey or palette. Every label but 0 is a segment.
    """

    def __init__(self, images: Path, label_maps: Path) -> None:
        """Lists both folders.

        Raises:
            AnnotationError: A folder cannot be listed, no image is in it, or an image has no label map.
        """
        self._pairs = [(path, _label_map_of(path, label_maps)) for path in _list_images(images)]
        if not self._pairs:
            raise AnnotationError(f"{images}: no image is in it; expected {', '.join(sorted(IMAGE_SUFFIXES))} files.")

    @property
    def names(self) -> Sequence[str]:
        """File names, sorted."""
        return [path.name for path, _ in self._pairs]

    def read(self, index: int) -> AnnotatedImage:
        """Reads one image and everybody's label map.

        Raises:
            AnnotationError: A file is missing or damaged, or the sizes differ.
        """
        path, label_map = self._pairs[index]
        pixels = decode_annotated(read_file(path), str(path))
        maps = read_label_maps(label_map)
        for labels in maps:
            require_size(labels.shape, pixels.shape[:2], str(label_map))
        return AnnotatedImage(path.name, pixels, tuple(segments_of(labels) for labels in maps))


def segments_of(labels: LabelMap) -> tuple[str, ...]:
    """The segments of a label map (H, W), by rising label, as COCO compressed run lengths; label 0 is none."""
    return tuple(mask_to_counts(labels == label) for label in np.unique(labels) if label != 0)


def list_label_maps(folder: Path) -> list[Path]:
    """The label maps of a folder, sorted.

    Raises:
        AnnotationError: The folder cannot be listed, or none is in it.
    """
    found = sorted(path for path in _listed(folder) if path.suffix in LABEL_MAP_SUFFIXES and path.name[0] != ".")
    if not found:
        raise AnnotationError(f"{folder}: no label map is in it; expected {' or '.join(LABEL_MAP_SUFFIXES)} files.")
    return found


def read_label_maps(path: Path) -> list[LabelMap]:
    """Everybody's label maps of an image, (H, W) each.

    Raises:
        AnnotationError: The file cannot be read or holds something else.
    """
    return read_mat(path) if path.suffix == ".mat" else [read_png(path)]


def read_mat(path: Path) -> list[LabelMap]:
    """Reads the label maps of a BSDS500 file, (H, W) each, one for each person.

    Raises:
        AnnotationError: The file cannot be read or holds something else.
    """
    import scipy.io

    data = read_file(path)
    try:
        people = scipy.io.loadmat(io.BytesIO(data))["groundTruth"][0]
        maps = [np.asarray(person["Segmentation"][0, 0]) for person in people]
    except Exception as error:  # scipy raises nearly anything on damaged files
        raise _not_bsds(path, f"{type(error).__name__}: {error}") from error
    if not maps or any(labels.ndim != 2 or labels.dtype.kind not in "iu" for labels in maps):
        found = ", ".join(f"{labels.dtype} {labels.shape}" for labels in maps) or "nothing"
        raise _not_bsds(path, found)
    return maps


def read_png(path: Path) -> LabelMap:
    """Reads a label map (H, W) from a PNG of one channel; a palette's indices are the labels.

    Raises:
        AnnotationError: The file cannot be read or has several channels.
    """
    try:
        with Image.open(io.BytesIO(read_file(path))) as image:
            labels = np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise AnnotationError(f"{path}: expected a PNG label map, found a damaged file ({error}).") from error
    if labels.ndim != 2:
        raise AnnotationError(
            f"{path}: expected a label map of one channel (grey or palette), found {labels.shape[2]} channels."
        )
    return labels.astype(np.int64)


def _not_bsds(path: Path, found: str) -> AnnotationError:
    return AnnotationError(
        f'{path}: expected BSDS500\'s groundTruth[0][i]["Segmentation"] with integer label maps (H, W), found {found}.'
    )


def _list_images(folder: Path) -> list[Path]:
    return sorted(path for path in _listed(folder) if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != ".")


def _label_map_of(image: Path, folder: Path) -> Path:
    for suffix in LABEL_MAP_SUFFIXES:
        path = folder / f"{image.stem}{suffix}"
        if path.is_file():
            return path
    raise AnnotationError(f"{image}: no label map; expected {image.stem}.mat or {image.stem}.png in {folder}.")


def _listed(folder: Path) -> Iterable[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise AnnotationError(f"{folder} cannot be listed: {error.strerror or error}.") from error
