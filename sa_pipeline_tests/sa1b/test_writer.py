"""The tar: flat, in order, the same bytes for the same images, and found again through its index."""

import dataclasses
import hashlib
import io
import shutil
import subprocess
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from sa_pipeline.errors import ArtifactError, RecordError
from sa_pipeline.sa1b.index import parse_index
from sa_pipeline.sa1b.records import dump_record
from sa_pipeline.sa1b.writer import ExportImage, write_shard
from sa_pipeline_tests.sa1b.samples import photograph, tricky_images


def test_a_tar_holds_each_image_and_then_its_record_flat() -> None:
    file = io.BytesIO()
    images = tricky_images()
    write_shard(file, images)
    file.seek(0)
    with tarfile.open(fileobj=file) as tar:
        assert tar.getnames() == [f"sa_{number}.{kind}" for number in (1, 2, 7, 12) for kind in ("jpg", "json")]
        for image in images:
            number = image.record.image.image_id
            jpeg, record = tar.extractfile(f"sa_{number}.jpg"), tar.extractfile(f"sa_{number}.json")
            assert jpeg is not None
            assert record is not None
            assert jpeg.read() == image.jpeg
            assert record.read() == dump_record(image.record)


def test_writing_again_gives_the_same_bytes_without_time_or_owner(tmp_path: Path) -> None:
    first, second = io.BytesIO(), tmp_path / "sa_000000.tar"
    assert write_shard(first, tricky_images()) == write_shard(second, iter(tricky_images()))
    assert first.getvalue() == second.read_bytes()
    with tarfile.open(second) as tar:
        traces = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar}
    assert traces == {(0, 0, 0, "", "", 0o644)}


def test_the_index_says_where_every_file_lies_and_what_its_digest_is() -> None:
    file = io.BytesIO()
    images = tricky_images()
    index = write_shard(file, images)
    content = file.getvalue()
    assert index.tar_size == len(content)
    assert index.tar_sha256 == hashlib.sha256(content).hexdigest()
    assert index.annotations == sum(len(image.record.annotations) for image in images)
    for image, indexed in zip(images, index.images, strict=True):
        assert indexed.annotations == len(image.record.annotations)
        for place, expected in ((indexed.jpeg, image.jpeg), (indexed.record, dump_record(image.record))):
            assert content[place.offset : place.offset + place.size] == expected
            assert place.sha256 == hashlib.sha256(expected).hexdigest()


def test_the_index_comes_back_with_its_header() -> None:
    index = write_shard(io.BytesIO(), tricky_images()).model_copy(update={"header": {"shard": "000000"}})
    assert parse_index(index.dump(), "sa_000000.index.json") == index
    with pytest.raises(ArtifactError, match=r"sa_000000\.index\.json: tar_size"):
        parse_index(b'{"images": []}', "sa_000000.index.json")


@pytest.mark.parametrize("numbers", [(2, 1), (1, 1)])
def test_image_ids_that_do_not_rise_are_refused(numbers: tuple[int, int]) -> None:
    with pytest.raises(RecordError, match="expected rising image ids"):
        write_shard(io.BytesIO(), [photograph(number, 1) for number in numbers])


def test_a_shard_without_images_is_a_tar_that_other_programs_read(tmp_path: Path) -> None:
    index = write_shard(tmp_path / "sa_000000.tar", [])
    assert index.images == ()
    with tarfile.open(tmp_path / "sa_000000.tar") as tar:
        assert tar.getnames() == []


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar program on this machine")
def test_the_tar_program_lists_it(tmp_path: Path) -> None:
    write_shard(tmp_path / "sa_000000.tar", [photograph(1, 1)])
    listed = subprocess.run(["tar", "-tf", "sa_000000.tar"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert listed.stdout.split() == ["sa_1.jpg", "sa_1.json"]


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    sample = photograph(1, 1)
    size = 1 << 20

    def large_images(count: int) -> Iterator[ExportImage]:
        for number in range(count):
            info = sample.record.image.model_copy(update={"image_id": number, "file_name": f"sa_{number}.jpg"})
            yield dataclasses.replace(sample, jpeg=bytes(size), record=sample.record.model_copy(update={"image": info}))

    tracemalloc.start()
    write_shard(tmp_path / "sa_000000.tar", large_images(40))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * size
