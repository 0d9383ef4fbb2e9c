"""Every byte of an export counts: whichever is changed, the file that holds it is named."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sa_pipeline.artifacts import AssetName
from sa_pipeline.sa1b.index import parse_index
from sa_pipeline_tests.verification.conftest import found, verified

EXAMPLES = 120


@pytest.fixture(scope="module")
def folder(run_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exports alone; each example puts back what it changed."""
    return shutil.copytree(run_home / AssetName.SA1B_EXPORT, tmp_path_factory.mktemp("flipped") / "exports")


def named_when_changed(folder: Path, file: Path, change: Callable[[bytes], bytes]) -> None:
    before = file.read_bytes()
    file.write_bytes(change(before))
    try:
        report = verified(folder)
        assert not report.ok
        assert {name for _, name in found(report)} == {file.name}, report.findings
    finally:
        file.write_bytes(before)


def flip(place: int, bits: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        return data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]

    return change


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_any_flipped_byte_in_any_file_is_found_and_its_file_is_named(folder: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(sorted(folder.iterdir())), label="file")
    place = data.draw(st.integers(0, file.stat().st_size - 1), label="place")
    bits = data.draw(st.integers(1, 255), label="bits")
    named_when_changed(folder, file, flip(place, bits))


@settings(max_examples=EXAMPLES // 5, deadline=None)
@given(data=st.data())
def test_a_file_that_is_cut_off_or_goes_on_is_found(folder: Path, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(sorted(folder.iterdir())), label="file")
    size = data.draw(st.integers(0, file.stat().st_size - 1), label="size")
    named_when_changed(folder, file, lambda before: before[:size])
    named_when_changed(folder, file, lambda before: before + b"\0")


def test_every_single_byte_of_an_index_counts(folder: Path) -> None:
    from sa_pipeline.errors import ArtifactError

    data = (folder / "sa_000000.index.json").read_bytes()
    parse_index(data, "sa_000000.index.json")
    unnoticed = []
    for place in range(len(data)):
        for bit in range(8):
            try:
                parse_index(flip(place, 1 << bit)(data), "sa_000000.index.json")
            except ArtifactError:
                continue
            unnoticed.append((place, bit))
    assert unnoticed == []


def test_after_all_changes_were_taken_back_the_exports_are_well(folder: Path) -> None:
    report = verified(folder)
    assert report.ok
    assert found(report) == []
    assert (report.shards, report.images) == (2, 3)
