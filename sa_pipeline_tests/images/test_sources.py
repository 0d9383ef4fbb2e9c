"""What is listed of a source, in which order, and that it can be read again by its URI."""

import io
import os
import tarfile
from pathlib import Path

import fsspec
import pytest

from sa_pipeline.dataset import DatasetConfig, open_dataset, save_config
from sa_pipeline.errors import SourceError
from sa_pipeline.images.reading import SourceReader, read_source_file
from sa_pipeline.images.rejection import ImageRejected
from sa_pipeline.images.sources import list_source
from sa_pipeline.images.uris import split_uri
from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline_tests.images import samples

MAX_BYTES = 10_000_000


def write_tar(path: Path, members: list[tuple[str, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def listed(source: object) -> list[str]:
    return [file.uri for file in list_source(str(source))]


def listed_under(folder: Path) -> list[str]:
    return [uri.removeprefix(f"{folder}/") for uri in listed(folder)]


@pytest.fixture
def memory():
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()


def test_a_folder_is_walked_in_the_order_of_names(tmp_path):
    for name in ("b/2.jpg", "b/10.PNG", "a.jpg", "c.tiff", "B.jpg", "b.jpg"):
        touch(tmp_path / name)
    assert listed_under(tmp_path) == ["B.jpg", "a.jpg", "b/10.PNG", "b/2.jpg", "b.jpg", "c.tiff"]


def test_hidden_files_and_sidecars_are_passed_over_and_all_else_is_listed(tmp_path):
    for name in (".hidden.jpg", ".git/x.jpg", "__MACOSX/x.jpg", "sa_1.json", "labels.CSV", "Thumbs.db", ".DS_Store"):
        touch(tmp_path / name)
    for name in ("photo.jpg", "README", "film.mp4", "archive.zip", "odd.xyz"):
        touch(tmp_path / name)
    assert listed_under(tmp_path) == ["README", "archive.zip", "film.mp4", "odd.xyz", "photo.jpg"]


def test_a_folder_named_as_an_image_is_walked(tmp_path):
    touch(tmp_path / "x.jpg" / "y.jpg")
    assert listed_under(tmp_path) == ["x.jpg/y.jpg"]


def test_the_home_of_a_dataset_within_the_source_is_passed_over(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"1")
    dataset = open_dataset(tmp_path / "masks", DatasetConfig(source=str(tmp_path)))
    save_config(dataset)
    dataset.storage.write_bytes("report/overlay/sa_1.jpg", b"2")
    with ensure_dagster_home(dataset):
        assert [file.uri for file in list_source(str(tmp_path))] == [str(tmp_path / "photo.jpg")]


def test_links_neither_loop_nor_list_twice(tmp_path):
    outside = tmp_path / "outside"
    source = tmp_path / "source"
    touch(outside / "deep" / "o.jpg")
    touch(source / "a" / "i.jpg")
    (source / "a" / "loop").symlink_to(source)
    (source / "a" / "up").symlink_to(tmp_path)
    (source / "again").symlink_to(source / "a")
    (source / "linked").symlink_to(outside)
    (source / "linked_again").symlink_to(outside / "deep")
    (outside / "back").symlink_to(source)
    (source / "itself.jpg").symlink_to(source / "itself.jpg")
    (source / "nowhere.jpg").symlink_to(tmp_path / "missing.jpg")
    (source / "file.jpg").symlink_to(source / "a" / "i.jpg")
    assert listed_under(source) == ["a/i.jpg", "file.jpg", "itself.jpg", "linked/deep/o.jpg", "nowhere.jpg"]


def test_pipes_are_not_listed_since_reading_them_never_ends(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert listed(tmp_path) == []


@pytest.mark.parametrize("name", samples.ODD_NAMES)
def test_odd_names_are_read_back(tmp_path, name):
    touch(tmp_path / "folder" / name, name.encode())
    write_tar(tmp_path / "folder" / f"{name}.tar", [(f"in side/{name}", name.encode())])
    uris = listed(tmp_path)
    assert len(uris) == 2
    for uri in uris:
        assert read_source_file(uri, max_bytes=MAX_BYTES) == name.encode()


def test_a_name_that_is_not_utf_8_is_read_back(tmp_path):
    touch(tmp_path / os.fsdecode(b"caf\xe9.jpg"), b"latin-1")
    (uri,) = listed(tmp_path)
    uri.encode("utf-8")
    assert read_source_file(uri, max_bytes=MAX_BYTES) == b"latin-1"


@pytest.mark.parametrize(("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz")])
def test_members_of_a_tar_come_as_they_stand(tmp_path, suffix, mode):
    members = [("./b.jpg", b"b"), ("sub/a.jpg", b"a"), ("sa_1.json", b"{}"), ("._b.jpg", b"mac"), ("c", b"c")]
    tar = write_tar(tmp_path / f"photos{suffix}", members, mode)
    uris = listed(tar)
    assert [split_uri(uri)[1] for uri in uris] == ["./b.jpg", "sub/a.jpg", "c"]
    with SourceReader() as reader:
        assert [reader.read(uri, max_bytes=MAX_BYTES) for uri in uris] == [b"b", b"a", b"c"]
        assert reader.read(uris[0], max_bytes=MAX_BYTES) == b"b"


def test_tars_in_a_folder_and_tars_named_by_a_pattern_are_opened(tmp_path):
    write_tar(tmp_path / "sa_2.tar", [("2.jpg", b"2")])
    write_tar(tmp_path / "sa_1.tar", [("1.jpg", b"1")])
    touch(tmp_path / "0.jpg", b"0")
    tars = [f"{tmp_path}/sa_1.tar#1.jpg", f"{tmp_path}/sa_2.tar#2.jpg"]
    assert listed(tmp_path) == [f"{tmp_path}/0.jpg", *tars]
    assert listed(tmp_path / "sa_*.tar") == tars


def test_members_read_in_order_open_their_tar_once(tmp_path, monkeypatch):
    tar = write_tar(tmp_path / "many.tar", [(f"{index}.jpg", b"%d" % index) for index in range(50)])
    uris = listed(tar)
    opened = []
    original = tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda *args, **kwargs: opened.append(1) or original(*args, **kwargs))
    with SourceReader() as reader:
        assert [reader.read(uri, max_bytes=MAX_BYTES) for uri in uris] == [b"%d" % index for index in range(50)]
    assert len(opened) == 1


@pytest.mark.parametrize(("suffix", "mode"), [(".tar", "w"), (".tgz", "w:gz")])
def test_a_tar_that_is_cut_short_yields_its_whole_members_and_is_itself_listed(tmp_path, suffix, mode):
    noise = [os.urandom(30_000) for _ in range(4)]
    tar = write_tar(tmp_path / f"cut{suffix}", [(f"{index}.jpg", noise[index]) for index in range(4)], mode)
    tar.write_bytes(tar.read_bytes()[:75_000])
    *members, last = listed(tar)
    assert last == str(tar)
    outcomes = []
    with SourceReader() as reader:
        for uri in (*members, last):
            try:
                outcomes.append(reader.read(uri, max_bytes=MAX_BYTES))
            except ImageRejected as rejection:
                outcomes.append(rejection.reason)
    assert outcomes[:2] == noise[:2]
    assert set(outcomes[2:]) == {"unreadable"}


def test_a_file_that_only_claims_to_be_a_tar_gets_a_row(tmp_path):
    tar = touch(tmp_path / "not_really.tar.gz", b"nothing of the kind")
    assert listed(tmp_path) == [str(tar)]
    with pytest.raises(ImageRejected, match="archive is damaged"):
        read_source_file(str(tar), max_bytes=MAX_BYTES)


def test_a_single_file_is_a_source(tmp_path):
    assert listed(touch(tmp_path / "photo.jpg")) == [f"{tmp_path}/photo.jpg"]


def test_a_url_is_a_source(memory, tmp_path):
    memory.pipe("/bucket/b/2.jpg", b"2")
    memory.pipe("/bucket/a #1.jpg", b"1")
    memory.pipe("/bucket/.hidden/3.jpg", b"3")
    memory.pipe("/bucket/sa_1.json", b"{}")
    memory.pipe("/bucket/z.tar", write_tar(tmp_path / "z.tar", [("m.jpg", b"member")]).read_bytes())
    uris = listed("memory://bucket")
    assert len(uris) == 3
    assert all(uri.startswith("memory://") for uri in uris)
    with SourceReader() as reader:
        assert [reader.read(uri, max_bytes=MAX_BYTES) for uri in uris] == [b"1", b"2", b"member"]


@pytest.mark.parametrize("source", ["/no/such/folder", "memory://no/such", "nonsense://x/y", "/no/such/*.tar"])
def test_a_missing_source_is_named_in_a_sentence(source):
    with pytest.raises(SourceError, match=r"no/such|nonsense"):
        listed(source)


def test_files_that_vanished_or_are_too_large_are_rejected(tmp_path):
    with pytest.raises(ImageRejected) as caught:
        read_source_file(str(tmp_path / "gone.jpg"), max_bytes=MAX_BYTES)
    assert caught.value.reason == "unreadable"
    large = touch(tmp_path / "large.jpg", bytes(1001))
    with pytest.raises(ImageRejected) as caught:
        read_source_file(str(large), max_bytes=1000)
    assert caught.value.reason == "too_large"
    assert len(read_source_file(str(large), max_bytes=1001)) == 1001


def test_a_tar_member_that_is_gone_is_rejected(tmp_path):
    tar = write_tar(tmp_path / "a.tar", [("here.jpg", b"x")])
    with pytest.raises(ImageRejected) as caught:
        read_source_file(f"{tar}#gone.jpg", max_bytes=MAX_BYTES)
    assert caught.value.reason == "unreadable"


def test_a_network_that_fails_is_not_held_against_the_file(memory, monkeypatch):
    memory.pipe("/bucket/a.jpg", b"a")

    def fail(*_args, **_kwargs):
        raise TimeoutError("the network is down")

    monkeypatch.setattr(type(memory), "open", fail)
    with pytest.raises(SourceError, match="run it again"):
        read_source_file("memory://bucket/a.jpg", max_bytes=MAX_BYTES)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_gets_a_row(tmp_path):
    closed = tmp_path / "closed"
    touch(closed / "x.jpg")
    closed.chmod(0)
    try:
        assert listed(tmp_path) == [str(closed)]
        with pytest.raises(ImageRejected, match="unreadable"):
            read_source_file(str(closed), max_bytes=MAX_BYTES)
    finally:
        closed.chmod(0o700)
