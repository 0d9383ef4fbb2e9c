"""Recall is COCO's: counted as pycocotools counts it."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sa_pipeline.detection.boxes import box_ious, boxes_from_xywh, mirrored
from sa_pipeline.detection.recall import RecallCount, random_boxes


def coco_recall(images: list[tuple[np.ndarray, np.ndarray]], max_boxes: int) -> tuple[float, float]:
    """Recall at an IoU of 0.5 and average recall by pycocotools; each image is (detected, wanted)."""

    def annotation(number: int, image: int, box: np.ndarray) -> dict:
        x0, y0, x1, y1 = (float(side) for side in box)
        area = (x1 - x0) * (y1 - y0)
        return {
            "id": number, "image_id": image, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "area": area,
            "iscrowd": 0, "score": 1 / number,
        }  # fmt: skip

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        wanted = [(image, box) for image, (_, boxes) in enumerate(images) for box in boxes]
        truth.dataset = {
            "images": [{"id": image} for image in range(len(images))],
            "categories": [{"id": 1}],
            "annotations": [annotation(number, *item) for number, item in enumerate(wanted, start=1)],
        }
        truth.createIndex()
        found = [(image, box) for image, (boxes, _) in enumerate(images) for box in boxes]
        results = truth.loadRes([annotation(number, *item) for number, item in enumerate(found, start=1)])
        evaluation = COCOeval(truth, results, "bbox")
        evaluation.params.maxDets = [max_boxes]
        evaluation.evaluate()
        evaluation.accumulate()
    recalls = evaluation.eval["recall"][:, 0, 0, 0]
    return float(recalls[0]), float(recalls.mean())


@pytest.mark.parametrize("seed", range(3))
def test_recall_equals_that_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(6):
        wanted = random_boxes((200, 300), int(rng.integers(1, 12)), rng)
        near = wanted[rng.integers(len(wanted), size=20)] + rng.normal(0, 6, (20, 4)).astype(np.float32)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        images.append((np.concatenate([near, random_boxes((200, 300), 10, rng)])[rng.permutation(30)], wanted))
    count = RecallCount()
    for detected, wanted in images:
        count.add(detected[:25], wanted)
    at_half, average = coco_recall(images, 25)
    assert 0.1 < at_half < 1
    assert (count.at_half, count.average) == (pytest.approx(at_half), pytest.approx(average))


def test_nothing_wanted_is_no_recall_and_nothing_detected_is_a_recall_of_zero() -> None:
    nothing, box = np.zeros((0, 4), np.float32), boxes_from_xywh([[10, 20, 29, 39]])
    count = RecallCount()
    count.add(box, nothing)
    assert (count.at_half, count.average) == (None, None)
    count.add(nothing, box)
    assert (count.at_half, count.average) == (0.0, 0.0)


def test_boxes_run_from_the_first_pixel_to_the_one_after_the_last() -> None:
    box = boxes_from_xywh([[10, 20, 29, 39]])  # pixels 10 to 39 and 20 to 59, as SA-1B writes it
    assert box.tolist() == [[10, 20, 40, 60]]
    assert mirrored(box, 100).tolist() == [[60, 20, 90, 60]]
    assert box_ious(box, np.array([[10, 20, 40, 60], [10, 20, 40, 40], [50, 0, 60, 5]], np.float32)).tolist() == [
        [1.0, 0.5, 0.0]
    ]
