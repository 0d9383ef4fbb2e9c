"""COCO's instance files: polygons, both kinds of run lengths, crowds, and what is wrong with a file."""

import json

import numpy as np
import pytest

from sa_pipeline.annotated.opening import open_annotated
from sa_pipeline.errors import AnnotationError
from sa_pipeline.masks.rle import mask_to_counts, mask_to_runs
from sa_pipeline_tests.annotated.samples import write_images


@pytest.fixture
def mask() -> np.ndarray:
    mask = np.zeros((80, 120), bool)
    mask[10:30, 20:60] = True
    return mask


@pytest.fixture
def instances(tmp_path, mask) -> dict:
    sizes = write_images(tmp_path / "images")
    assert sizes == {"chelsea": (80, 120), "coffee": (80, 120)}
    segmentations = [
        [[20, 10, 60, 10, 60, 30, 20, 30]],
        {"size": [80, 120], "counts": mask_to_runs(mask).tolist()},
        {"size": [80, 120], "counts": mask_to_counts(mask)},
    ]
    annotations = [
        {"id": i, "image_id": 7, "iscrowd": 0, "segmentation": item, "category_id": 1}
        for i, item in enumerate(segmentations)
    ]
    crowd = {"id": 9, "image_id": 7, "iscrowd": 1, "segmentation": segmentations[1]}
    images = [
        {"id": number, "file_name": f"{name}.jpg", "width": 120, "height": 80, "license": 1}
        for number, name in ((7, "coffee"), (3, "chelsea"))
    ]
    return {"images": images, "annotations": [*annotations, crowd], "categories": []}


def opened(tmp_path, instances):
    (tmp_path / "instances.json").write_text(json.dumps(instances))
    return open_annotated(tmp_path / "images", tmp_path / "instances.json")


def test_polygons_and_both_kinds_of_run_lengths_give_the_same_mask(tmp_path, instances, mask) -> None:
    source = opened(tmp_path, instances)
    assert list(source.names) == ["chelsea.jpg", "coffee.jpg"]
    assert source.read(0).annotators == ((),)
    image = source.read(1)
    assert len(image.annotators[0]) == 3, "the crowd is left out"
    for index in range(3):
        np.testing.assert_array_equal(image.mask(0, index), mask)


def test_masks_without_pixels_are_left_out(tmp_path, instances) -> None:
    instances["annotations"][1]["segmentation"]["counts"] = [80 * 120]
    assert len(opened(tmp_path, instances).read(1).annotators[0]) == 2


def broken(changes):
    def change(instances):
        changes(instances["annotations"][1])

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.pop("images"), r"instances\.json: images: Field required"),
        (lambda d: d["images"][0].update(width=121), "image 7: the masks have 121 x 80 px, its image has 120 x 80"),
        (lambda d: d["images"][0].update(file_name="gone.jpg"), r"gone\.jpg cannot be read"),
        (broken(lambda a: a["segmentation"].update(counts=[5, 6])), "annotation 1: segmentation.*add up to 11"),
        (broken(lambda a: a["segmentation"].update(counts="~")), "annotation 1: segmentation.*alphabet"),
        (
            broken(lambda a: a["segmentation"].update(size=[120, 80])),
            "annotation 1: segmentation: the masks have 80 x 120",
        ),
        (broken(lambda a: a.update(segmentation=[[1, 2, 3, 4]])), "three or more points"),
    ],
)
def test_bad_files_are_told_in_a_sentence(tmp_path, instances, change, sentence) -> None:
    change(instances)
    with pytest.raises(AnnotationError, match=sentence):
        opened(tmp_path, instances).read(1)
