"""Reading back what was written, reading what others packed, and refusing what would leave the folder."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from sa_pipeline.errors import ArtifactError, RecordError, StorageError
from sa_pipeline.sa1b.reader import read_folder, read_tar, unpack
from sa_pipeline.sa1b.records import dump_record
from sa_pipeline_tests.sa1b.samples import photograph, tricky_images, write_tar


def pack(path: Path, files: list[tuple[str, bytes]], format: int = tarfile.GNU_FORMAT) -> Path:  # noqa: A002
    with tarfile.open(path, "w", format=format) as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def pair(number: int) -> list[tuple[str, bytes]]:
    image = photograph(number, 1)
    return [(f"sa_{number}.jpg", image.jpeg), (f"sa_{number}.json", dump_record(image.record))]


def test_a_tar_gives_back_every_image_and_record(tmp_path: Path) -> None:
    images = tricky_images()
    path = write_tar(tmp_path, images)
    assert list(read_tar(path)) == [(image.jpeg, image.record) for image in images]
    with path.open("rb") as file:
        assert len(list(read_tar(file))) == len(images)


def test_an_unpacked_tar_gives_the_same_as_the_tar(tmp_path: Path) -> None:
    path = write_tar(tmp_path, tricky_images())
    assert unpack(path, tmp_path / "new" / "folder") == 4
    assert list(read_folder(tmp_path / "new" / "folder")) == list(read_tar(path))
    assert sorted(file.name for file in (tmp_path / "new" / "folder").iterdir()) == sorted(
        f"sa_{number}.{kind}" for number in (1, 2, 7, 12) for kind in ("jpg", "json")
    )


def test_unpacking_again_replaces_what_is_there(tmp_path: Path) -> None:
    path = write_tar(tmp_path, [photograph(1)])
    (tmp_path / "sa_1.jpg").write_bytes(b"half a file")
    unpack(path, tmp_path)
    unpack(path, tmp_path)
    assert (tmp_path / "sa_1.jpg").read_bytes() == photograph(1).jpeg


def test_other_files_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    unpack(write_tar(tmp_path, [photograph(1)]), tmp_path)
    (tmp_path / "README.md").write_text("about these images")
    (tmp_path / "sa_1.jpg.part").write_bytes(b"")
    assert len(list(read_folder(tmp_path))) == 1


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_other_packers_and_orders_are_read(tmp_path: Path, format: int) -> None:  # noqa: A002
    files = [(f"./{name}", data) for name, data in (*pair(12), *pair(2))]
    record = json.loads(files[1][1])
    record["annotations"][0]["bbox"] = [int(value) for value in record["annotations"][0]["bbox"]]
    files[1] = (files[1][0], json.dumps(record, indent=1).encode())
    path = pack(tmp_path / "sa_000000.tar", [files[1], files[2], files[0], files[3]], format)
    assert [record.image.image_id for _, record in read_tar(path)] == [2, 12]


@pytest.mark.parametrize(
    "name", ["../sa_1.jpg", "/tmp/sa_1.jpg", "deep/sa_1.jpg", "sa_1.jpg/..", "sa_01.jpg", "sa_1.JPG", "sa_1.jpg\n", "x"]
)
def test_a_tar_with_any_other_name_writes_nothing(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / "evil.tar", [*pair(2), (name, b"evil")])
    with pytest.raises(RecordError, match=r"expected only sa_N\.jpg and sa_N\.json, flat"):
        unpack(path, tmp_path / "out" / "folder")
    assert [file.name for file in tmp_path.rglob("*")] == ["evil.tar"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_folders_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("sa_1.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(RecordError, match=r"'sa_1\.jpg' is not a file of SA-1B"):
        unpack(path, tmp_path / "out")


def test_half_an_image_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    path = pack(tmp_path / "sa_000000.tar", [*pair(1), pair(2)[1]])
    with pytest.raises(RecordError, match=r"sa_2\.json is there without sa_2\.jpg"):
        list(read_tar(path))
    (tmp_path / "sa_3.jpg").write_bytes(b"")
    with pytest.raises(RecordError, match=r"sa_3\.jpg is there without sa_3\.json"):
        list(read_folder(tmp_path))


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"sa_1\.jpg occurs twice"):
        list(read_tar(pack(tmp_path / "sa_000000.tar", [*pair(1), pair(1)[0]])))


def test_a_tar_cut_off_anywhere_is_not_taken_for_a_shorter_one(tmp_path: Path) -> None:
    path = write_tar(tmp_path, [photograph(1), photograph(2)])
    with tarfile.open(path) as tar:
        places = [place for member in tar for place in (member.offset, member.offset + 100, member.offset_data + 5)]
    whole = path.read_bytes()
    for place in places:
        with pytest.raises(ArtifactError, match="not a complete tar file"):
            list(read_tar(io.BytesIO(whole[:place])))


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    path = write_tar(tmp_path, [photograph(1), photograph(2)])
    with tarfile.open(path) as tar:
        place = tar.getmember("sa_2.jpg").offset
    content = bytearray(path.read_bytes())
    content[place + 3] ^= 1
    with pytest.raises(ArtifactError, match="not a complete tar file"):
        list(read_tar(io.BytesIO(bytes(content))))


def test_what_is_not_there_or_no_tar_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"sa_9\.tar cannot be read: No such file"):
        list(read_tar(tmp_path / "sa_9.tar"))
    with pytest.raises(StorageError, match="cannot be listed: No such file"):
        list(read_folder(tmp_path / "nowhere"))
    (tmp_path / "text.tar").write_text("no tar at all" * 100)
    with pytest.raises(ArtifactError, match=r"text\.tar is not a complete tar file"):
        list(read_tar(tmp_path / "text.tar"))
