"""Datumaro detects and reads an export as SA-1B; it runs in an environment of its own, since it wants pandas 2.

`make datumaro` sets it up and `make test` then finds it; SA_PIPELINE_DATUMARO_PYTHON names any other Python with it.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sa_pipeline.sa1b.reader import unpack
from sa_pipeline.sa1b.writer import ExportImage
from sa_pipeline_tests.sa1b.samples import tricky_images, write_tar

VARIABLE = "SA_PIPELINE_DATUMARO_PYTHON"
PYTHON = os.environ.get(VARIABLE)

SCRIPT = """
import json, sys
from datumaro.components.dataset import Dataset
from datumaro.components.environment import Environment

folder = sys.argv[1]
items = {}
for item in Dataset.import_from(folder, "segment_anything"):
    masks = [a for a in item.annotations if a.type.name == "mask"]
    boxes = [a for a in item.annotations if a.type.name == "bbox"]
    items[item.id] = {
        "size": list(item.media.data.shape[:2]),
        "ids": [mask.id for mask in masks],
        "areas": [int(mask.get_area()) for mask in masks],
        "pixels": [int(mask.image.sum()) for mask in masks],
        "scores": [[m.attributes["predicted_iou"], m.attributes["stability_score"]] for m in masks],
        "boxes": [box.get_bbox() for box in boxes],
    }
print("RESULT" + json.dumps({"formats": Environment().detect_dataset(folder), "items": items}, default=float))
"""

pytestmark = pytest.mark.skipif(
    not PYTHON, reason=f"{VARIABLE} does not name a Python that has datumaro; run: make datumaro"
)


def read_with_datumaro(folder: Path) -> dict[str, Any]:
    assert PYTHON is not None
    done = subprocess.run([PYTHON, "-c", SCRIPT, str(folder)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.split("RESULT", 1)[1])
    return result


def exported(folder: Path, images: list[ExportImage]) -> Path:
    unpack(write_tar(folder, images), folder / "unpacked")
    return folder / "unpacked"


def expected_items(images: list[ExportImage]) -> dict[str, Any]:
    return {
        f"sa_{image.record.image.image_id}": {
            "size": [image.record.image.height, image.record.image.width],
            "ids": [mask.id for mask in image.record.annotations],
            "areas": [mask.area for mask in image.record.annotations],
            "pixels": [mask.area for mask in image.record.annotations],
            "scores": [[mask.predicted_iou, mask.stability_score] for mask in image.record.annotations],
            "boxes": [list(mask.bbox) for mask in image.record.annotations],
        }
        for image in images
    }


def test_datumaro_detects_an_export_and_reads_every_mask_as_it_was_written(tmp_path: Path) -> None:
    images = [image for image in tricky_images() if image.record.annotations]
    result = read_with_datumaro(exported(tmp_path, images))
    assert result["formats"] == ["segment_anything"]
    assert result["items"] == expected_items(images)


def test_datumaro_told_the_format_reads_an_export_with_an_image_without_masks(tmp_path: Path) -> None:
    images = tricky_images()
    assert any(not image.record.annotations for image in images)
    # It cannot detect the format then: its detector takes the first mask of the first records that it comes upon.
    assert read_with_datumaro(exported(tmp_path, images))["items"] == expected_items(images)
