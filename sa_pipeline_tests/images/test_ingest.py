"""A folder of good, odd and broken files: each is an image or a row with its reason."""

import dataclasses
import os

import numpy as np
import pyarrow as pa
import pytest

from sa_pipeline.images.ingest import RawImage, ingest_image, ingest_shard
from sa_pipeline.images.jpeg import decode_jpeg
from sa_pipeline.images.ledger import append_new_images, read_ledger, read_ledger_shard
from sa_pipeline.images.reading import SourceReader
from sa_pipeline.schemas import RAW_IMAGES
from sa_pipeline.settings import ImageSettings
from sa_pipeline.storage import Storage
from sa_pipeline_tests.images import samples
from sa_pipeline_tests.images.test_sources import write_tar

SETTINGS = ImageSettings(images_per_shard=20)


def ingest(storage: Storage, source: object) -> list[RawImage]:
    report = append_new_images(storage, str(source), SETTINGS)
    return [row for shard in report.new_shards for row in ingest_shard(read_ledger_shard(storage, shard), SETTINGS)]


def write_files(folder, files):
    folder.mkdir()
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path / "data")


def test_every_file_of_a_wild_folder_becomes_a_row_with_the_right_outcome(storage, tmp_path):
    files = samples.broken_and_odd_files()
    folder = tmp_path / "wild"
    write_files(folder, files)
    (folder / "zz_copy.jpg").write_bytes(files["progressive.jpg"][0])
    (folder / "zz_nowhere.jpg").symlink_to(tmp_path / "missing.jpg")
    (folder / "zz_folder.jpg").mkdir()
    (folder / "zz_folder.jpg" / "loop").symlink_to(folder)
    expected = {name: outcome for name, (_, outcome) in files.items()}
    expected |= {"zz_copy.jpg": "duplicate", "zz_nowhere.jpg": "unreadable"}
    rows = ingest(storage, folder)
    names = sorted(expected)
    assert {name: row.reason or row.status for name, row in zip(names, rows, strict=True)} == expected
    assert sum(row.status == "rejected" for row in rows) >= 30
    for image_id, row in enumerate(rows, start=1):
        assert (row.image_id, row.file_name) == (image_id, f"sa_{image_id}.jpg")
        if row.status == "ok":
            assert decode_jpeg(row.jpeg).shape == (row.height, row.width, 3)
        else:
            assert row.jpeg is None
            assert row.detail


def test_rows_fit_the_columns_of_the_raw_images_table(storage, tmp_path):
    files = samples.broken_and_odd_files()
    write_files(tmp_path / "wild", {name: files[name] for name in ("cut.jpg", "cmyk.jpg", "line\nbreak.png")})
    rows = [dataclasses.asdict(row) for row in ingest(storage, tmp_path / "wild")]
    assert set(rows[0]) == set(RAW_IMAGES.names)
    table = pa.Table.from_pylist(rows, schema=RAW_IMAGES)
    assert table["status"].to_pylist() == ["ok", "rejected", "ok"]
    assert table["reason"].to_pylist() == [None, "truncated", None]
    assert table["format"].to_pylist() == ["JPEG", None, "PNG"]


def test_the_same_files_from_a_tar_give_the_same_images(storage, tmp_path):
    files = {name: content for name, (content, outcome) in samples.broken_and_odd_files().items() if outcome == "ok"}
    write_files(tmp_path / "folder", {name: (content, "ok") for name, content in files.items()})
    tar = write_tar(tmp_path / "photos.tgz", sorted(files.items()), "w:gz")
    from_folder = ingest(storage, tmp_path / "folder")
    from_tar = ingest(Storage(tmp_path / "other"), tar)
    assert [row.jpeg for row in from_tar] == [row.jpeg for row in from_folder]
    assert [row.sha256 for row in from_tar] == [row.sha256 for row in from_folder]


def test_a_file_that_changed_or_vanished_after_it_was_entered_says_so(storage, tmp_path):
    folder = tmp_path / "photos"
    files = samples.broken_and_odd_files()
    write_files(folder, {name: files[name] for name in ("UPPER.JPG", "bitmap.bmp", "grey.jpg")})
    append_new_images(storage, str(folder), SETTINGS)
    (folder / "UPPER.JPG").write_bytes(files["progressive.jpg"][0])
    (folder / "bitmap.bmp").unlink()
    rows = list(ingest_shard(read_ledger_shard(storage, "000000"), SETTINGS))
    assert [row.reason for row in rows] == ["changed", "unreadable", None]


def test_a_file_readable_only_later_stays_rejected_under_its_old_number(storage, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "late.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    assert [row.reason for row in ingest(storage, folder)] == ["unreadable"]
    (tmp_path / "elsewhere.jpg").write_bytes(samples.encode(samples.photo(), "JPEG"))
    assert [(row.image_id, row.status) for row in ingest(storage, folder)] == [(2, "ok")]
    first, second = read_ledger(storage)
    with SourceReader() as reader:
        assert ingest_image(first, reader, SETTINGS).reason == "unreadable"
        assert ingest_image(second, reader, SETTINGS).status == "ok"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_row(storage, tmp_path):
    write_files(tmp_path / "photos", {"closed.jpg": (samples.encode(samples.photo(), "JPEG"), "ok")})
    (tmp_path / "photos" / "closed.jpg").chmod(0)
    assert [row.reason for row in ingest(storage, tmp_path / "photos")] == ["unreadable"]


def test_a_shard_keeps_its_order_and_gives_the_same_bytes_each_time(storage, tmp_path):
    sizes = [(400, 500), (20, 30), (300, 200), (16, 16), (250, 250)] * 4
    rng = np.random.default_rng(0)
    images = {
        f"{index:02d}.png": (samples.encode(rng.integers(0, 256, (*size, 3), np.uint8), "PNG"), "ok")
        for index, size in enumerate(sizes)
    }
    write_files(tmp_path / "photos", images)
    rows = ingest(storage, tmp_path / "photos")
    assert [(row.height, row.width) for row in rows] == sizes
    again = list(ingest_shard(read_ledger_shard(storage, "000000"), SETTINGS))
    assert again == rows


def test_a_consumer_that_stops_early_is_not_kept_waiting(storage, tmp_path):
    write_files(tmp_path / "photos", samples.broken_and_odd_files())
    append_new_images(storage, str(tmp_path / "photos"), SETTINGS)
    rows = ingest_shard(read_ledger_shard(storage, "000000"), SETTINGS)
    next(rows)
    rows.close()


def test_an_empty_shard_has_no_rows():
    assert list(ingest_shard([], SETTINGS)) == []
