"""The ledger only grows, and gives the same numbers to the same files."""

import itertools
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies

from sa_pipeline.errors import ArtifactError, LedgerBusyError
from sa_pipeline.images.ledger import append_new_images, ledger_name, list_shards, read_ledger, read_ledger_shard
from sa_pipeline.settings import ImageSettings
from sa_pipeline.storage import Storage
from sa_pipeline_tests.images.test_sources import write_tar

THREE_A_SHARD = ImageSettings(images_per_shard=3)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path / "data")


def add(source: Path, *names: str) -> None:
    for name in names:
        (source / name).write_bytes(name.encode())


def files_of(storage: Storage) -> dict[str, bytes]:
    return {name: storage.read_bytes(name) for name in storage.list("ledger")}


def names_of(storage: Storage, shard: str) -> list[str]:
    return [entry.source_uri.rsplit("/", 1)[-1] for entry in read_ledger_shard(storage, shard)]


def test_images_are_numbered_from_one_and_fill_shards_in_the_source_s_order(storage, source):
    add(source, *(f"{index}.jpg" for index in range(7)))
    report = append_new_images(storage, str(source), THREE_A_SHARD)
    assert report.new_shards == ("000000", "000001", "000002")
    assert (report.new_images, report.total_images) == (7, 7)
    assert list_shards(storage) == ["000000", "000001", "000002"]
    assert [entry.image_id for entry in read_ledger(storage)] == list(range(1, 8))
    assert names_of(storage, "000002") == ["6.jpg"]


def test_appending_again_writes_nothing(storage, source):
    add(source, "a.jpg", "b.jpg")
    append_new_images(storage, str(source), THREE_A_SHARD)
    before = files_of(storage)
    report = append_new_images(storage, str(source), THREE_A_SHARD)
    assert (report.new_images, report.new_shards, report.total_images) == (0, (), 2)
    assert files_of(storage) == before


def test_new_images_go_to_new_shards_and_old_shards_stay(storage, source):
    add(source, "b.jpg", "d.jpg")
    append_new_images(storage, str(source), THREE_A_SHARD)
    before = files_of(storage)
    add(source, "a.jpg", "c.jpg")
    report = append_new_images(storage, str(source), THREE_A_SHARD)
    assert report.new_shards == ("000001",)
    assert names_of(storage, "000001") == ["a.jpg", "c.jpg"]
    assert before.items() <= files_of(storage).items()


def test_a_second_source_is_appended_to_the_first(storage, source, tmp_path):
    add(source, "a.jpg")
    append_new_images(storage, str(source), THREE_A_SHARD)
    tar = write_tar(tmp_path / "more.tar", [("x.jpg", b"x"), ("x.jpg", b"the name again"), ("y.jpg", b"y")])
    assert append_new_images(storage, str(tar), THREE_A_SHARD).total_images == 3
    assert [entry.image_id for entry in read_ledger(storage)] == [1, 2, 3]


def test_the_same_source_gives_the_same_bytes(source, tmp_path):
    add(source, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    first, second = Storage(tmp_path / "first"), Storage("memory://ledger_of_the_same_bytes")
    for storage in (first, second):
        append_new_images(storage, str(source), THREE_A_SHARD)
    assert files_of(first) == files_of(second)


def test_equal_bytes_are_duplicates_of_the_first_and_empty_files_are_not(storage, source):
    for name, content in {"a.jpg": b"same", "b.jpg": b"same", "c.jpg": b"", "d.jpg": b"", "e.jpg": b"same"}.items():
        (source / name).write_bytes(content)
    report = append_new_images(storage, str(source), THREE_A_SHARD)
    assert [entry.duplicate_of for entry in read_ledger(storage)] == [None, 1, None, None, 1]
    assert report.new_duplicates == 2
    (source / "f.jpg").write_bytes(b"same")
    append_new_images(storage, str(source), THREE_A_SHARD)
    assert read_ledger_shard(storage, "000002")[0].duplicate_of == 1


def test_an_unreadable_file_is_entered_and_entered_anew_once_it_can_be_read(storage, source):
    (source / "link.jpg").symlink_to(source / "missing")
    assert append_new_images(storage, str(source), THREE_A_SHARD).new_unreadable == 1
    assert append_new_images(storage, str(source), THREE_A_SHARD).new_images == 0
    (source / "missing").write_bytes(b"here now")
    append_new_images(storage, str(source), THREE_A_SHARD)
    entries = [entry for entry in read_ledger(storage) if entry.source_uri.endswith("link.jpg")]
    assert [(entry.image_id, entry.sha256 is None) for entry in entries] == [(1, True), (2, False)]


def test_no_more_than_the_limit_is_entered(storage, source):
    add(source, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
    assert append_new_images(storage, str(source), THREE_A_SHARD, limit=4).new_images == 4
    assert append_new_images(storage, str(source), THREE_A_SHARD, limit=4).new_images == 1


class StopsAfter:
    """Progress during which the user presses Ctrl-C."""

    def __init__(self, count: int) -> None:
        self.count = count

    def track(self, items: Iterable, *, description: str, total: int | None = None) -> Iterator:
        yield from itertools.islice(items, self.count)
        raise KeyboardInterrupt


@pytest.mark.parametrize("stop_after", range(7))
def test_after_ctrl_c_the_next_call_goes_on_to_the_same_ledger(storage, source, tmp_path, stop_after):
    add(source, *(f"{index}.jpg" for index in range(7)))
    with pytest.raises(KeyboardInterrupt):
        append_new_images(storage, str(source), THREE_A_SHARD, progress=StopsAfter(stop_after))
    assert len(list_shards(storage)) == stop_after // 3
    append_new_images(storage, str(source), THREE_A_SHARD)
    undisturbed = Storage(tmp_path / "undisturbed")
    append_new_images(undisturbed, str(source), THREE_A_SHARD)
    assert files_of(storage) == files_of(undisturbed)


class AppendsMeanwhile(StopsAfter):
    """Progress during which somebody else appends."""

    def __init__(self, storage: Storage, source: Path, index: Path | None) -> None:
        self.storage, self.source, self.index = storage, source, index

    def track(self, items: Iterable, *, description: str, total: int | None = None) -> Iterator:
        first = next(iter(items))
        append_new_images(self.storage, str(self.source), THREE_A_SHARD, index=self.index)
        yield first
        yield from items


@pytest.mark.parametrize("kept", [True, False])
def test_of_two_appends_at_once_one_goes_on_and_the_other_stops(storage, source, tmp_path, kept):
    add(source, *(f"{index}.jpg" for index in range(5)))
    index = tmp_path / "index.sqlite" if kept else None
    meanwhile = AppendsMeanwhile(storage, source, index)
    with pytest.raises(LedgerBusyError, match="another append"):
        append_new_images(storage, str(source), THREE_A_SHARD, index=index, progress=meanwhile)
    assert [entry.image_id for entry in read_ledger(storage)] == [1, 2, 3, 4, 5]
    assert append_new_images(storage, str(source), THREE_A_SHARD, index=index).new_images == 0


def test_with_an_index_old_shards_are_not_read_again(storage, source, tmp_path):
    index = tmp_path / "cache" / "index.sqlite"
    add(source, *(f"{index}.jpg" for index in range(4)))
    append_new_images(storage, str(source), THREE_A_SHARD, index=index)
    storage.write_bytes(ledger_name("000000"), b"would be found damaged if it were read")
    (source / "same.jpg").write_bytes(b"0.jpg")
    report = append_new_images(storage, str(source), THREE_A_SHARD, index=index)
    assert (report.new_shards, report.total_images) == (("000002",), 5)
    assert read_ledger_shard(storage, "000002")[0].duplicate_of == 1


def test_an_index_learns_what_others_appended(storage, source, tmp_path):
    index = tmp_path / "index.sqlite"
    add(source, "a.jpg")
    append_new_images(storage, str(source), THREE_A_SHARD, index=index)
    add(source, "b.jpg")
    append_new_images(storage, str(source), THREE_A_SHARD)
    assert append_new_images(storage, str(source), THREE_A_SHARD, index=index).new_images == 0


def test_an_index_of_another_ledger_or_a_damaged_one_is_made_anew(storage, source, tmp_path):
    index = tmp_path / "index.sqlite"
    add(source, "a.jpg", "b.jpg")
    append_new_images(storage, str(source), THREE_A_SHARD, index=index)
    other = Storage(tmp_path / "other")
    add(tmp_path, "c.jpg")
    append_new_images(other, str(tmp_path / "c.jpg"), THREE_A_SHARD)
    assert append_new_images(other, str(source), THREE_A_SHARD, index=index).total_images == 3
    index.write_bytes(b"no database" * 100)
    assert append_new_images(other, str(source), THREE_A_SHARD, index=index).new_images == 0


def test_a_damaged_shard_is_named(storage):
    storage.write_bytes(ledger_name("000000"), b"not parquet")
    with pytest.raises(ArtifactError, match=r"000000\.parquet is damaged"):
        list(read_ledger(storage))


@settings(max_examples=25, deadline=None)
@given(
    strategies.lists(strategies.lists(strategies.text("abc", min_size=1, max_size=3), max_size=5), max_size=5),
    strategies.integers(1, 4),
)
def test_however_images_arrive_the_ledger_only_grows(arrivals, images_per_shard):
    with tempfile.TemporaryDirectory() as folder:
        storage, source, index = Storage(f"{folder}/data"), Path(folder) / "source", Path(folder) / "index.sqlite"
        source.mkdir()
        before: dict[str, bytes] = {}
        for names in arrivals:
            add(source, *names)
            append_new_images(storage, str(source), ImageSettings(images_per_shard=images_per_shard), index=index)
            after = files_of(storage)
            assert before.items() <= after.items()
            before = after
        entries = list(read_ledger(storage))
        assert [entry.image_id for entry in entries] == list(range(1, len(entries) + 1))
        assert {Path(entry.source_uri).name for entry in entries} == {name for names in arrivals for name in names}
        assert len({entry.source_uri for entry in entries}) == len(entries)
        assert all(len(read_ledger_shard(storage, shard)) <= images_per_shard for shard in list_shards(storage))
