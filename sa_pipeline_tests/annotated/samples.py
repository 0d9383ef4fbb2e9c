"""Two photographs of scikit-image, made small, with label maps that are drawn here."""

from pathlib import Path

import numpy as np
import scipy.io
import skimage.data
from PIL import Image

NAMES = ("chelsea", "coffee")
SIDE = 120


def quarters(height: int, width: int) -> np.ndarray:
    """(H, W) labels 1 to 4, one for each quarter."""
    rows, columns = np.ogrid[:height, :width]
    return (1 + (rows >= height // 2) * 2 + (columns >= width // 2)).astype(np.uint16)


def halves(height: int, width: int) -> np.ndarray:
    """(H, W) labels 1 and 2, left and right."""
    return np.broadcast_to(1 + (np.arange(width) >= width // 2), (height, width)).astype(np.uint16)


def write_images(folder: Path) -> dict[str, tuple[int, int]]:
    """Writes the photographs as JPEG; returns height and width by stem."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {}
    for name in NAMES:
        image = Image.fromarray(getattr(skimage.data, name)())
        image.thumbnail((SIDE, SIDE))
        image.save(folder / f"{name}.jpg", quality=95)
        sizes[name] = (image.height, image.width)
    return sizes


def write_mat(path: Path, *label_maps: np.ndarray) -> None:
    """Writes label maps of several people as BSDS500 does."""
    people = np.empty((1, len(label_maps)), object)
    for index, labels in enumerate(label_maps):
        people[0, index] = {"Segmentation": labels, "Boundaries": np.zeros_like(labels)}
    scipy.io.savemat(path, {"groundTruth": people})


def write_bsds(root: Path) -> tuple[Path, Path]:
    """Both photographs, each segmented by two people: quarters and halves. Returns images and label maps."""
    images, label_maps = root / "images", root / "groundTruth"
    label_maps.mkdir(parents=True)
    for name, (height, width) in write_images(images).items():
        write_mat(label_maps / f"{name}.mat", quarters(height, width), halves(height, width))
    return images, label_maps
