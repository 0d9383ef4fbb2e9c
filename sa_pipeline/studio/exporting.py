"""A round's snapshot in the formats that others read: COCO's instance JSON, and SA-1B.

Where several people worked on an image on their own, the first one's masks are exported.
"""

import enum
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sa_pipeline.artifacts import RoundAssetName, iterate_row_groups
from sa_pipeline.dataset import Dataset
from sa_pipeline.errors import ArtifactError
from sa_pipeline.evaluation.clicks import centre_click
from sa_pipeline.masks.rle import counts_to_mask
from sa_pipeline.sa1b.records import Annotation, ImageInfo, Record
from sa_pipeline.sa1b.validation import validate_tar
from sa_pipeline.sa1b.writer import ExportImage, write_shard
from sa_pipeline.stages.shard_images import ShardImage, iterate_images
from sa_pipeline.storage import Storage
from sa_pipeline.studio.rounds import require_round_name

UNLABELLED = "object"
"""Category of masks without a label, as the paper's one generic class (§4)."""

_COLUMNS = [
    "mask_id",
    "image_id",
    "shard",
    "replica",
    "label",
    "bbox",
    "area",
    "size",
    "counts",
    "predicted_iou",
    "point_coords",
    "point_labels",
]

_Row = dict[str, Any]


class ExportFormat(enum.StrEnum):
    """Formats of an export."""

    COCO = "coco"
    SA1B = "sa1b"


@dataclass(frozen=True)
class ExportReport:
    """What an export holds, and the masks of further people on the same images that it does not hold."""

    images: int
    masks: int
    left_out: int


def export_round(dataset: Dataset, round_name: str, form: ExportFormat, output: Path) -> ExportReport:
    """Writes a round's snapshot to a file, whole or not at all.

    Args:
        dataset: The dataset.
        round_name: Of the round; its snapshot must lie there.
        form: Of the file.
        output: The file; replaced if it is there.

    Raises:
        StudioError: The round's name cannot be one.
        ArtifactError: The snapshot was not made or is damaged, or the images of one of its shards.
        StorageError: The file cannot be written.
    """
    require_round_name(round_name)
    target = output.expanduser().absolute()
    write = _write_coco if form is ExportFormat.COCO else _write_sa1b
    with Storage(target.parent).writing(target.name) as path:
        return write(dataset, round_name, path)


def _write_coco(dataset: Dataset, round_name: str, path: Path) -> ExportReport:
    """COCO's instance JSON with compressed run lengths; boxes are COCO's, whose width is one more than SA-1B's."""
    labels = sorted({row["label"] or UNLABELLED for _, rows, _ in _by_image(dataset, round_name) for row in rows})
    categories = {label: number for number, label in enumerate(labels, start=1)}
    images: list[dict[str, object]] = []
    masks = left_out = 0
    with path.open("w", encoding="utf-8") as file:
        description = f"Round {round_name} of {dataset.home.name}, made with sa_pipeline"
        file.write(f'{{"info": {json.dumps({"description": description})},\n"annotations": [')
        for image_id, rows, further in _by_image(dataset, round_name):
            height, width = rows[0]["size"]
            images.append({"id": image_id, "file_name": f"sa_{image_id}.jpg", "width": width, "height": height})
            left_out += further
            for row in rows:
                file.write(",\n" if masks else "\n")
                file.write(json.dumps(_coco_annotation(row, categories), separators=(",", ":")))
                masks += 1
        file.write("\n]")
        _write_list(file, "images", images)
        _write_list(file, "categories", [{"id": number, "name": label} for label, number in categories.items()])
        file.write("}\n")
    return ExportReport(len(images), masks, left_out)


def _coco_annotation(row: _Row, categories: Mapping[str, int]) -> dict[str, object]:
    x, y, width, height = row["bbox"]
    return {
        "id": row["mask_id"],
        "image_id": row["image_id"],
        "category_id": categories[row["label"] or UNLABELLED],
        "iscrowd": 0,
        "area": row["area"],
        "bbox": [x, y, width + 1, height + 1],
        "segmentation": {"size": row["size"], "counts": row["counts"]},
    }


def _write_list(file: IO[str], name: str, items: list[dict[str, object]]) -> None:
    lines = ",\n".join(json.dumps(item, separators=(",", ":")) for item in items)
    file.write(f',\n"{name}": [\n{lines}\n]')


def _write_sa1b(dataset: Dataset, round_name: str, path: Path) -> ExportReport:
    """One SA-1B tar, checked.

    What the format asks for and people do not give: a mask without a click of theirs has its innermost pixel as its
    point; predicted IoU is SAM's for its prompts, else 1; stability is 1, and the crop is the whole image.
    """
    left_out = 0

    def images() -> Iterator[ExportImage]:
        nonlocal left_out
        reader = _ImageReader(dataset)
        for image_id, rows, further in _by_image(dataset, round_name):
            left_out += further
            image = reader.get(rows[0]["shard"], image_id)
            info = ImageInfo(image_id=image_id, width=image.width, height=image.height, file_name=image.file_name)
            annotations = tuple(_sa1b_annotation(row) for row in rows)
            yield ExportImage(image.jpeg, Record(image=info, annotations=annotations))

    index = write_shard(path, images())
    report = validate_tar(path)
    if not report.ok:
        raise ArtifactError(f"The export of round {round_name} would not be valid SA-1B: {report.problems[0]}.")
    return ExportReport(len(index.images), index.annotations, left_out)


def _sa1b_annotation(row: _Row) -> Annotation:
    height, width = row["size"]
    return Annotation.model_validate(
        {
            "bbox": [float(side) for side in row["bbox"]],
            "area": row["area"],
            "segmentation": {"size": (height, width), "counts": row["counts"]},
            "predicted_iou": 1.0 if row["predicted_iou"] is None else float(row["predicted_iou"]),
            "point_coords": [_point(row)],
            "crop_box": [0.0, 0.0, float(width), float(height)],
            "id": row["mask_id"],
            "stability_score": 1.0,
        }
    )


def _point(row: _Row) -> list[float]:
    height, width = row["size"]
    for (x, y), label in zip(row["point_coords"], row["point_labels"], strict=True):
        if label == 1 and 0 <= x <= width and 0 <= y <= height:
            return [x, y]
    inner = centre_click(counts_to_mask(row["counts"], (height, width)))
    return [float(inner.x), float(inner.y)]


def _by_image(dataset: Dataset, round_name: str) -> Iterator[tuple[int, list[_Row], int]]:
    """Image id, the first person's masks, and how many masks others have, by rising image id."""
    rows: list[_Row] = []
    for group in iterate_row_groups(dataset.storage, RoundAssetName.HUMAN_MASKS, round_name, columns=_COLUMNS):
        for row in group.to_pylist():
            if rows and row["image_id"] != rows[0]["image_id"]:
                yield _first_person(rows)
                rows = []
            rows.append(row)
    if rows:
        yield _first_person(rows)


def _first_person(rows: list[_Row]) -> tuple[int, list[_Row], int]:
    first = [row for row in rows if row["replica"] == rows[0]["replica"]]
    return rows[0]["image_id"], first, len(rows) - len(first)


class _ImageReader:
    """Images by rising id, read shard by shard."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._shard = ""
        self._images: Iterator[ShardImage] = iter(())

    def get(self, shard: str, image_id: int) -> ShardImage:
        """The image, which comes after the one before.

        Raises:
            ArtifactError: The shard does not hold it any more.
        """
        if shard != self._shard:
            self._shard, self._images = shard, iterate_images(self._dataset, shard)
        for image in self._images:
            if image.image_id == image_id:
                return image
        raise ArtifactError(f"raw_images of shard {shard} does not hold image {image_id}; materialize it again.")
