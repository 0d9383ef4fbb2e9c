"""Images in a bucket: loose and in tars, read through a real S3 API."""

import io
import tarfile

import pytest

from sa_pipeline.dataset import validate_config
from sa_pipeline.errors import SettingsError, SourceAccessError, SourceError
from sa_pipeline.images.reading import SourceReader, read_source_file
from sa_pipeline.images.rejection import ImageRejected
from sa_pipeline.images.sources import list_source
from sa_pipeline_tests.s3_server import Fault

MAX_BYTES = 10_000_000


def tar_of(members: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def test_what_lies_in_a_bucket_is_listed_in_order_and_read_again(s3) -> None:
    loose = {"a #1.jpg": b"1", "b/100%.png": b"2", "b/ä?.jpg": b"3", "c*.jpg": b"4"}
    for name, content in loose.items():
        s3.write(f"photos/{name}", content)
    s3.write("photos/z.tar", tar_of({"m1.jpg": b"first", "m1.json": b"{}", "m2.jpg": b"second"}))
    for passed_over in ("photos/", "photos/b/", "photos/.hidden/1.jpg", "photos/notes.txt", "photos2/other.jpg"):
        s3.write(passed_over, b"")
    files = list(list_source(f"{s3.url}/photos"))
    with SourceReader() as reader:
        read = [reader.read(file.uri, size_bytes=file.size_bytes, max_bytes=MAX_BYTES) for file in files]
    assert read == [b"1", b"2", b"3", b"4", b"first", b"second"]
    assert files == list(list_source(f"{s3.url}/photos/"))


@pytest.mark.parametrize("name", ["one.tar", "*.tar"])
def test_a_tar_or_a_pattern_of_tars_in_a_bucket_is_a_source(s3, name) -> None:
    s3.write("one.tar", tar_of({"m.jpg": b"member"}))
    assert [file.uri for file in list_source(f"{s3.url}/{name}")] == [f"{s3.url}/one.tar#m.jpg"]


def test_the_members_of_a_tar_are_listed_without_reading_them_and_read_in_few_requests(s3) -> None:
    members = {f"{number}.jpg": bytes([number]) * (2 << 20) for number in range(8)}
    s3.write("large.tar", tar_of(members))
    s3.server.heal()
    files = list(list_source(f"{s3.url}/large.tar"))
    assert len(files) == 8
    assert _bytes_asked_for(s3) < 6 << 20
    s3.server.heal()
    with SourceReader() as reader:
        assert [reader.read(file.uri, max_bytes=MAX_BYTES) for file in files] == list(members.values())
    assert len([request for request in s3.requests() if request.range]) <= 4


def test_a_fault_that_passes_is_not_held_against_an_image(s3) -> None:
    s3.write("a.jpg", b"data" * 1000)
    for fault in (Fault(kind="error", times=1), Fault(kind="reset", times=1), Fault(kind="truncate", times=1)):
        s3.fail(fault)
        assert read_source_file(f"{s3.url}/a.jpg", max_bytes=MAX_BYTES) == b"data" * 1000


def test_a_fault_that_lasts_stops_the_work_and_rejects_nothing(s3) -> None:
    s3.write("a.jpg", b"data" * 1000)
    s3.fail(Fault(kind="truncate", method="GET"))
    with pytest.raises(SourceError, match="run it again"):
        read_source_file(f"{s3.url}/a.jpg", max_bytes=MAX_BYTES)


def test_a_refusal_stops_the_work_at_once_and_rejects_nothing(s3) -> None:
    s3.write("a.jpg", b"data")
    s3.fail(Fault(kind="error", status=403, code="AccessDenied"))
    for work in (lambda: read_source_file(f"{s3.url}/a.jpg", max_bytes=MAX_BYTES), lambda: list(list_source(s3.url))):
        with pytest.raises(SourceAccessError, match="Check the address, and that you have access") as told:
            work()
        assert not told.value.transient


def test_what_does_not_exist_is_named(s3) -> None:
    with pytest.raises(SourceError, match=r"there is no such bucket|does not exist"):
        list(list_source("s3://no-such-bucket/photos"))
    with pytest.raises(SourceError, match="/photos does not exist"):
        list(list_source(f"{s3.url}/photos"))


def test_an_object_that_is_gone_or_archived_is_a_rejected_image(s3) -> None:
    s3.server.client().put_object(Bucket=s3.name, Key="cold.jpg", Body=b"data", StorageClass="GLACIER")
    for name, reason in (("gone.jpg", "no such file"), ("cold.jpg", "archive")):
        with pytest.raises(ImageRejected, match=reason) as caught:
            read_source_file(f"{s3.url}/{name}", max_bytes=MAX_BYTES)
        assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("storage", ["s3://bucket/photos/ds", "s3://bucket/photos", "s3://bucket/photos/"])
def test_storage_within_the_source_is_refused_since_exports_would_be_read_as_images(storage) -> None:
    with pytest.raises(SettingsError, match="lies within the source"):
        validate_config({"source": "s3://bucket/photos/", "storage_url": storage}, name="settings.yaml")
    validate_config({"source": "s3://bucket/photos", "storage_url": "s3://bucket/photos-ds"}, name="settings.yaml")


def _bytes_asked_for(s3) -> int:
    ranges = [request.range.removeprefix("bytes=").split("-") for request in s3.requests() if request.range]
    return sum(int(last) - int(first) + 1 for first, last in ranges)
