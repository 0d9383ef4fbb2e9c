"""Real photographs with drawn masks, as exports."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage import data

from sa_pipeline.masks.rle import area_from_runs, box_from_runs, decode_counts, mask_to_counts
from sa_pipeline.sa1b.records import Annotation, ImageInfo, Record, Segmentation
from sa_pipeline.sa1b.writer import ExportImage, write_shard

PHOTOGRAPHS: dict[int, Callable[[], npt.NDArray[np.uint8]]] = {
    1: data.astronaut,
    2: data.chelsea,
    7: data.coffee,
    12: data.rocket,
}
"""By image id, so that the order of numbers and that of names as text differ."""


def disc(height: int, width: int, x: float, y: float, radius: float) -> npt.NDArray[np.bool_]:
    rows, columns = np.ogrid[:height, :width]
    inside: npt.NDArray[np.bool_] = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    return inside


def annotate(mask: npt.NDArray[np.bool_], mask_id: int, **changes: Any) -> Annotation:
    height, width = mask.shape
    counts = mask_to_counts(mask)
    runs = decode_counts(counts)
    x0, y0, x1, y1 = box_from_runs(runs, height)
    values: dict[str, Any] = {
        "bbox": (float(x0), float(y0), float(x1 - x0), float(y1 - y0)),
        "area": area_from_runs(runs),
        "segmentation": Segmentation(size=(height, width), counts=counts),
        "predicted_iou": 0.8973201513290405,
        "point_coords": ((x0 + 0.5, y0 + 0.25),),
        "crop_box": (0, 0, width, height),
        "id": mask_id,
        "stability_score": 0.9846441745758057,
    }
    return Annotation(**values | changes)


def jpeg_of(pixels: npt.NDArray[np.uint8], **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def photograph(image_id: int, n_masks: int = 3, **changes: Any) -> ExportImage:
    pixels = PHOTOGRAPHS[image_id]()
    height, width = pixels.shape[:2]
    generator = np.random.default_rng(image_id)
    annotations = []
    for index in range(n_masks):
        x, y, radius = generator.uniform(0, 1, 3) * (width, height, 60)
        annotations.append(annotate(disc(height, width, x, y, 1 + radius), image_id * 1_000_000 + index, **changes))
    info = ImageInfo(image_id=image_id, width=width, height=height, file_name=f"sa_{image_id}.jpg")
    return ExportImage(jpeg_of(pixels), Record(image=info, annotations=tuple(annotations)))


def tricky_images() -> list[ExportImage]:
    """Scores of exactly 1, many masks, one mask, a mask at the border, an image without masks (not the first)."""
    perfect = photograph(1, 3, predicted_iou=1.0, stability_score=1.0)
    last_pixel = np.zeros((427, 640), np.bool_)
    last_pixel[-1, -1] = True
    rocket = photograph(12, 0)
    corner = rocket.record.model_copy(update={"annotations": (annotate(last_pixel, 12_000_000),)})
    return [perfect, photograph(2, 150), photograph(7, 0), ExportImage(rocket.jpeg, corner)]


def write_tar(folder: Path, images: list[ExportImage], name: str = "sa_000000.tar") -> Path:
    write_shard(folder / name, images)
    return folder / name
