"""Label maps as BSDS500 has them, and as PNG."""

import numpy as np
import pytest
from PIL import Image

from sa_pipeline.annotated.label_maps import LabelMapSource
from sa_pipeline.annotated.opening import open_annotated
from sa_pipeline.errors import AnnotationError
from sa_pipeline_tests.annotated.samples import quarters, write_bsds, write_images, write_mat


def test_every_persons_segments_come_out(tmp_path) -> None:
    images, label_maps = write_bsds(tmp_path)
    source = open_annotated(images, label_maps)
    assert isinstance(source, LabelMapSource)
    assert list(source.names) == ["chelsea.jpg", "coffee.jpg"]
    image = source.read(1)
    assert [len(masks) for masks in image.annotators] == [4, 2]
    labels = quarters(*image.size)
    for index in range(4):
        np.testing.assert_array_equal(image.mask(0, index), labels == index + 1)
    assert image.pixels.shape == (*image.size, 3)


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_png_label_maps_leave_label_0_out(tmp_path, mode) -> None:
    sizes = write_images(tmp_path / "images")
    for name, size in sizes.items():
        labels = quarters(*size) - 1
        picture = Image.fromarray(labels if mode == "I;16" else labels.astype(np.uint8))
        if mode == "P":
            picture.putpalette([value for index in range(256) for value in (index, 0, 255 - index)])
        (tmp_path / "labels").mkdir(exist_ok=True)
        picture.save(tmp_path / "labels" / f"{name}.png")
    image = open_annotated(tmp_path / "images", tmp_path / "labels").read(0)
    assert [len(masks) for masks in image.annotators] == [3]
    np.testing.assert_array_equal(image.mask(0, 0), quarters(*image.size) == 2)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda images, maps: (maps / "coffee.mat").write_bytes(b"no mat"), r"coffee\.mat: expected BSDS500's"),
        (lambda images, maps: (maps / "coffee.mat").unlink(), r"coffee\.jpg: no label map; expected coffee\.mat or"),
        (lambda images, maps: write_mat(maps / "coffee.mat", np.ones((4, 5), np.uint8)), "masks have 5 x 4 px"),
        (lambda images, maps: write_mat(maps / "coffee.mat", np.ones((4, 5))), r"found float64 \(4, 5\)"),
        (lambda images, maps: (images / "coffee.jpg").write_bytes(b"no image"), r"coffee\.jpg: expected an image"),
    ],
)
def test_bad_files_are_told_in_a_sentence(tmp_path, damage, sentence) -> None:
    images, label_maps = write_bsds(tmp_path)
    damage(images, label_maps)
    with pytest.raises(AnnotationError, match=sentence):
        open_annotated(images, label_maps).read(1)


def test_colour_pngs_are_no_label_maps(tmp_path) -> None:
    write_images(tmp_path / "images")
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "chelsea.png")
    (tmp_path / "images" / "coffee.jpg").unlink()
    (tmp_path / "images" / "chelsea.jpg").rename(tmp_path / "chelsea.jpg")
    with pytest.raises(AnnotationError, match="one channel"):
        open_annotated(tmp_path / "images", tmp_path / "images").read(0)


@pytest.mark.parametrize(
    ("source", "references", "sentence"),
    [
        ("nowhere", None, "nowhere does not exist"),
        (".", None, "expected SA-1B tars"),
        (".", "masks.txt", "expected COCO's instance file"),
        (".", "empty", "no image is in it"),
    ],
)
def test_what_is_no_source_says_so(tmp_path, source, references, sentence) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnnotationError, match=sentence):
        open_annotated(tmp_path / source, None if references is None else tmp_path / references)
