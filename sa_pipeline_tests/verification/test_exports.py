"""Exports alone, as somebody has them who got the folder and nothing else."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sa_pipeline.errors import MissingFileError
from sa_pipeline.sa1b.index import parse_index
from sa_pipeline.sa1b.reader import read_tar
from sa_pipeline.sa1b.records import Record
from sa_pipeline.sa1b.writer import ExportImage, write_shard
from sa_pipeline.verification.place import find_place
from sa_pipeline.verification.verify import verify
from sa_pipeline_tests.verification.conftest import found, verified

TAR, INDEX = "sa_000000.tar", "sa_000000.index.json"
Edit = Callable[[Record], Record]


def rehashed(folder: Path, edit: Edit, **header: Any) -> None:
    """Edits the first record of the first shard with the package's own writer, so that all digests are right again."""
    images = [ExportImage(jpeg, record) for jpeg, record in read_tar(folder / TAR)]
    images[0] = dataclasses.replace(images[0], record=edit(images[0].record))
    before = parse_index((folder / INDEX).read_bytes(), INDEX)
    index = write_shard(folder / TAR, images)
    counts = {"images": len(index.images), "masks": index.annotations}
    told = {**(before.header or {}), "counts": counts, "content_digest": index.tar_sha256, **header}
    (folder / INDEX).write_bytes(index.model_copy(update={"header": told}).dump())


def first_mask(**changes: Any) -> Edit:
    def edit(record: Record) -> Record:
        first, *others = record.annotations
        return record.model_copy(update={"annotations": (first.model_copy(update=changes), *others)})

    return edit


def test_an_edit_without_effect_is_well_so_that_the_others_are_found_for_what_they_change(exports: Path) -> None:
    rehashed(exports, lambda record: record)
    assert found(verified(exports)) == []


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (first_mask(area=3), "area: the mask has"),
        (first_mask(bbox=(0.0, 0.0, 1.0, 1.0)), "bbox: the mask's box is"),
        (first_mask(id=2_000_000), "not every id is of a mask of its image"),
        (first_mask(predicted_iou=1), "expected a JSON float"),
        (
            lambda record: record.model_copy(update={"annotations": (*record.annotations, record.annotations[0])}),
            "occurs 2 times",
        ),
        (lambda record: record.model_copy(update={"image": record.image.model_copy(update={"width": 79})}), "width"),
    ],
)
def test_a_record_edited_with_all_digests_made_right_again_is_found(exports: Path, edit: Edit, words: str) -> None:
    rehashed(exports, edit)
    report = verified(exports)
    assert not report.ok
    assert {name for _, name in found(report)} == {TAR}
    assert any(words in finding.message for finding in report.findings), report.findings


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"counts": {"images": 2, "masks": 1}}, "says counts"),
        ({"partition": "000001"}, "says partition 000001"),
        ({"content_digest": "0" * 64}, "says content_digest"),
        ({"asset": "nothing"}, "no header that can be read"),
    ],
)
def test_a_header_that_is_not_of_this_tar_is_found(exports: Path, header: dict[str, Any], words: str) -> None:
    rehashed(exports, lambda record: record, **header)
    [finding] = verified(exports).findings
    assert finding.file.endswith(INDEX)
    assert words in finding.message


def test_an_index_that_tells_other_places_or_numbers_of_masks_than_the_tar_has_is_found(exports: Path) -> None:
    index = parse_index((exports / INDEX).read_bytes(), INDEX)
    first, *others = index.images
    for changed in (
        first.model_copy(update={"jpeg": first.jpeg.model_copy(update={"offset": first.jpeg.offset + 1})}),
        first.model_copy(update={"record": first.record.model_copy(update={"sha256": "0" * 64})}),
        first.model_copy(update={"jpeg": first.jpeg.model_copy(update={"name": "sa_9.jpg"})}),
    ):
        (exports / INDEX).write_bytes(index.model_copy(update={"images": (changed, *others)}).dump())
        report = verified(exports)
        assert not report.ok
        assert {name for _, name in found(report)} == {TAR}


def test_missing_swapped_and_extra_files_are_told_apart(exports: Path) -> None:
    (exports / "notes.txt").write_text("mine")
    assert found(verified(exports)) == [("unexplained", "notes.txt")]
    assert verified(exports).ok
    (exports / "notes.txt").unlink()

    aside = exports / f".{TAR}.aside-elsewhere-1"
    aside.write_bytes(b"half")
    assert found(verified(exports)) == []

    for name in (TAR, INDEX):
        kept = (exports / name).read_bytes()
        (exports / name).unlink()
        assert found(verified(exports)) == [("missing", name)]
        (exports / name).write_bytes(kept)

    other = exports / "sa_000001.tar"
    swapped = exports / "swapped"
    (exports / TAR).rename(swapped)
    other.rename(exports / TAR)
    swapped.rename(other)
    assert found(verified(exports)) == [("damaged", TAR), ("damaged", "sa_000001.tar")]


def test_a_shard_under_the_number_of_another_is_found(exports: Path) -> None:
    for suffix in ("tar", "index.json"):
        shutil.copy(exports / f"sa_000000.{suffix}", exports / f"sa_000002.{suffix}")
    report = verified(exports)
    assert ("damaged", "sa_000002.index.json") in found(report)
    assert any("ids of images more than once" in finding.message for finding in report.findings)


def test_a_gap_between_shards_is_told_and_is_no_fault(exports: Path) -> None:
    for path in list(exports.glob("sa_000000*")):
        path.unlink()
    report = verified(exports)
    assert report.ok
    assert found(report) == [("unexplained", TAR)]


def test_an_index_of_an_earlier_version_is_read_and_told_and_a_digest_that_was_taken_away_is_a_fault(
    exports: Path,
) -> None:
    data = (exports / INDEX).read_bytes()
    without = data[: data.index(b',"index_sha256"')] + b"}"
    (exports / INDEX).write_bytes(without)
    assert found(verified(exports)) == [("damaged", INDEX)]
    (exports / INDEX).write_bytes(without.replace(b'"schema_version":2', b'"schema_version":1'))
    report = verified(exports)
    assert report.ok
    assert found(report) == [("stale", INDEX)]


def test_some_shards_by_a_pattern_and_processes_side_by_side(exports: Path) -> None:
    (exports / "sa_000001.tar").write_bytes(b"")
    place = find_place(str(exports))
    assert verify(place, shards="*0").findings == ()
    alone, together = verify(place), verify(place, jobs=2)
    assert alone.findings == together.findings != ()
    assert (alone.size, alone.files) == (together.size, together.files)
    with pytest.raises(MissingFileError, match="there are 000000 to 000001"):
        verify(place, shards="9*")


def test_a_folder_with_nothing_in_it_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="neither a dataset nor exports; expected"):
        find_place(str(tmp_path))


def test_storage_by_url() -> None:
    import fsspec

    from sa_pipeline.storage import Storage
    from sa_pipeline_tests.sa1b.samples import photograph

    storage = Storage("memory://verification-test")
    with storage.writing(TAR) as path:
        index = write_shard(path, [photograph(1, 2)])
    storage.write_bytes(INDEX, index.dump())
    try:
        assert verify(find_place("memory://verification-test")).findings == ()
        storage.write_bytes(TAR, storage.read_bytes(TAR)[:-1])
        assert found(verify(find_place("memory://verification-test"))) == [("damaged", TAR)]
    finally:
        fsspec.filesystem("memory").rm("/verification-test", recursive=True)
