"""SA-1B tars as annotated images."""

import numpy as np
import pytest

from sa_pipeline.annotated.opening import open_annotated
from sa_pipeline.errors import AnnotationError, SaPipelineError
from sa_pipeline_tests.sa1b.samples import annotate, disc, photograph, write_tar


def test_the_images_of_several_tars_come_out_by_number(tmp_path) -> None:
    write_tar(tmp_path, [photograph(2, 3), photograph(12, 0)], "sa_000000.tar")
    write_tar(tmp_path, [photograph(7, 2)], "sa_000001.tar")
    source = open_annotated(tmp_path)
    assert list(source.names) == ["sa_000000.tar/sa_2.jpg", "sa_000000.tar/sa_12.jpg", "sa_000001.tar/sa_7.jpg"]
    assert [len(source.read(index).annotators[0]) for index in range(3)] == [3, 0, 2]
    last = open_annotated(tmp_path / "sa_000001.tar").read(0)
    assert last.pixels.shape == (400, 600, 3)
    expected = photograph(7, 2).record.annotations[1]
    assert last.mask(0, 1).sum() == expected.area


def test_tars_in_a_bucket_are_read_as_those_in_a_folder(tmp_path, s3) -> None:
    for number in (2, 7):
        name = f"sa_{number:06d}.tar"
        write_tar(tmp_path, [photograph(number, 2)], name)
        s3.write(f"ds/sa1b_export/{name}", (tmp_path / name).read_bytes())
    local, remote = open_annotated(tmp_path), open_annotated(f"{s3.url}/ds/sa1b_export")
    assert list(remote.names) == list(local.names)
    assert np.array_equal(remote.read(1).pixels, local.read(1).pixels)
    assert list(open_annotated(f"{s3.url}/ds/sa1b_export/sa_000007.tar").names) == ["sa_000007.tar/sa_7.jpg"]
    with pytest.raises(AnnotationError, match="expected SA-1B tars"):
        open_annotated(f"{s3.url}/ds/nothing")


def test_masks_without_pixels_are_left_out(tmp_path) -> None:
    coffee = photograph(7, 1)
    nothing = annotate(np.zeros((400, 600), bool), 7_000_009)
    record = coffee.record.model_copy(update={"annotations": (*coffee.record.annotations, nothing)})
    write_tar(tmp_path, [type(coffee)(coffee.jpeg, record)])
    assert len(open_annotated(tmp_path).read(0).annotators[0]) == 1


def test_bad_tars_are_told_in_a_sentence(tmp_path) -> None:
    coffee = photograph(7, 1)
    good = annotate(disc(400, 600, 100, 100, 20), 5)
    spoiled = good.model_copy(update={"segmentation": good.segmentation.model_copy(update={"counts": "1"})})
    record = coffee.record.model_copy(update={"annotations": (spoiled,)})
    write_tar(tmp_path, [type(coffee)(coffee.jpeg, record)])
    with pytest.raises(AnnotationError, match=r"sa_000000\.tar: sa_7\.json: annotation 5: expected COCO's run lengths"):
        open_annotated(tmp_path).read(0)
    (tmp_path / "sa_000000.tar").write_bytes(b"no tar")
    with pytest.raises(SaPipelineError, match="is not a complete tar file"):
        open_annotated(tmp_path)
