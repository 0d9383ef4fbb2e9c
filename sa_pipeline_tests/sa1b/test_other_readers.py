"""What SAM 2's training code and TensorFlow Datasets demand of SA-1B, held against an unpacked export."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from sa_pipeline.sa1b.reader import unpack
from sa_pipeline_tests.sa1b.samples import tricky_images, write_tar

ANNOTATION_KEYS = [
    "bbox",
    "area",
    "segmentation",
    "predicted_iou",
    "point_coords",
    "crop_box",
    "id",
    "stability_score",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    unpack(write_tar(tmp_path, tricky_images()), tmp_path / "unpacked")
    return tmp_path / "unpacked"


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def test_sam_2_finds_a_number_in_each_stem_and_the_record_beside_the_image(folder: Path) -> None:
    stems = [path.name.split(".")[0] for path in folder.iterdir() if path.name.endswith(".jpg")]
    assert sorted(int(stem.split("_")[-1]) for stem in stems) == [1, 2, 7, 12]
    assert all((folder / f"{stem}.json").is_file() for stem in stems)


def test_sam_2_decodes_each_mask_at_the_size_of_the_image(folder: Path) -> None:
    for record in records(folder):
        with Image.open(folder / record["image"]["file_name"]) as image:
            width, height = image.convert("RGB").size
        for annotation in record["annotations"]:
            assert annotation["area"] > 0
            mask = coco.decode([annotation["segmentation"]])
            assert mask.shape == (height, width, 1)
            assert mask.sum() == annotation["area"]


def test_tensorflow_datasets_finds_exactly_its_keys_and_types(folder: Path) -> None:
    for record in records(folder):
        assert list(record) == ["image", "annotations"]
        assert list(record["image"]) == ["image_id", "width", "height", "file_name"]
        assert all(type(record["image"][key]) is int for key in ("image_id", "width", "height"))
        for annotation in record["annotations"]:
            assert list(annotation) == ANNOTATION_KEYS
            assert list(annotation["segmentation"]) == ["size", "counts"]
            assert isinstance(annotation["segmentation"]["counts"], str)
            assert type(annotation["id"]) is type(annotation["area"]) is int
            assert type(annotation["predicted_iou"]) is type(annotation["stability_score"]) is float
            assert np.array(annotation["point_coords"], np.float64).shape == (1, 2)


def test_tensorflow_datasets_normalises_boxes_into_the_unit_square(folder: Path) -> None:
    for record in records(folder):
        size = np.array([record["image"]["width"], record["image"]["height"]])
        for annotation in record["annotations"]:
            for x, y, w, h in (annotation["bbox"], annotation["crop_box"]):
                low, high = np.array([x, y]) / size, np.array([x + w, y + h]) / size
                assert (low >= 0).all()
                assert (low <= high).all()
                assert (high <= 1).all()
