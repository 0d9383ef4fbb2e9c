"""Storage on a real S3 API: whole objects or none, patience with faults that pass, a sentence for those that do not."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3fs import S3FileSystem

from sa_pipeline.errors import MissingFileError, StorageAccessError, StorageError
from sa_pipeline.storage import PART_BYTES, Storage
from sa_pipeline_tests.late_continue import late_continue
from sa_pipeline_tests.s3_server import Fault

BIG = 3 * PART_BYTES


@pytest.fixture
def storage(s3) -> Storage:
    return Storage(f"{s3.url}/ds")


def test_a_large_file_goes_up_and_comes_down_in_parts(storage, s3) -> None:
    data = os.urandom(1 << 20) * (BIG >> 20) + b"end"
    storage.write_bytes("big", data)
    uploaded = [request for request in s3.requests() if "partNumber" in request.path]
    assert len(uploaded) == 4
    assert s3.open_uploads() == []
    s3.server.heal()
    with storage.local_copy("big") as path:
        assert path.read_bytes() == data
    assert len([request for request in s3.requests() if request.range]) == 4


def test_a_writer_killed_between_the_parts_leaves_nothing_under_the_name(storage, s3, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    s3.fail(Fault(kind="slow", seconds=3600, path="partNumber=2"))
    code = f"from sa_pipeline.storage import Storage; Storage({storage.url!r}).write_bytes('big', bytes({BIG}))"
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", code]) as writer:
        _wait_for(lambda: any(request.fault for request in s3.requests()))
        writer.send_signal(signal.SIGKILL)
    s3.server.heal()
    assert not storage.exists("big")
    assert s3.keys() == []
    assert s3.open_uploads() == ["ds/big"]  # what a bucket's lifecycle rule clears away
    assert len(list(tmp_path.glob("sa_pipeline-*"))) == 1
    storage.write_bytes("big", b"whole")
    assert storage.read_bytes("big") == b"whole"
    assert not list(tmp_path.glob("sa_pipeline-*"))


def test_an_upload_that_fails_for_good_is_called_off(storage, s3) -> None:
    storage.write_bytes("big", b"old")
    s3.fail(Fault(kind="error", status=403, code="AccessDenied", path="partNumber=2"))
    with pytest.raises(StorageAccessError, match=r"big cannot be written: Injected AccessDenied"):
        storage.write_bytes("big", bytes(BIG))
    assert storage.read_bytes("big") == b"old"
    assert s3.open_uploads() == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="error", status=500, code="InternalError", times=1),
        Fault(kind="error", status=503, code="SlowDown", times=1),
        Fault(kind="reset", times=1),
        Fault(kind="reset", times=1, done=True),
        Fault(kind="truncate", method="GET", times=1),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.code}-{fault.done}",
)
def test_a_fault_that_passes_is_not_noticed(storage, s3, fault) -> None:
    def while_it_fails(work) -> object:
        s3.fail(fault)
        return work()

    while_it_fails(lambda: storage.write_bytes("folder/a", b"data" * 1000))
    assert while_it_fails(lambda: storage.read_bytes("folder/a")) == b"data" * 1000
    assert while_it_fails(lambda: storage.list("folder")) == ["folder/a"]
    assert while_it_fails(lambda: storage.create_bytes("folder/b", b"new"))
    assert not while_it_fails(lambda: storage.create_bytes("folder/b", b"other"))
    assert storage.read_bytes("folder/b") == b"new"


def test_a_server_that_does_not_answer_is_asked_again(s3, monkeypatch) -> None:
    monkeypatch.setattr("sa_pipeline.file_systems.ANSWER_SECONDS", 2)
    storage = Storage(f"{s3.url}/patience")
    for method, work in (("PUT", lambda: storage.write_bytes("a", b"data")), ("GET", lambda: storage.read_bytes("a"))):
        s3.fail(Fault(kind="slow", method=method, seconds=120, times=1))
        begun = time.monotonic()
        work()
        assert time.monotonic() - begun < 120
        assert [request.fault for request in s3.requests() if request.method == method] == ["slow", None]
    assert storage.read_bytes("a") == b"data"


def test_a_server_that_falls_silent_after_a_late_100_continue_is_asked_again(s3, monkeypatch) -> None:
    monkeypatch.setattr("sa_pipeline.file_systems.ANSWER_SECONDS", 2)
    with late_continue(silent_seconds=60) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        begun = time.monotonic()
        Storage("s3://bucket/late").write_bytes("a", b"data")
    assert time.monotonic() - begun < 30


def test_a_fault_that_lasts_is_told_in_a_sentence_and_may_be_tried_again(s3, monkeypatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    storage = Storage(f"{s3.url}/ds")
    s3.fail(Fault(kind="error", status=500, code="InternalError"))
    with pytest.raises(StorageError, match=r"s3://bucket-.*/ds/a cannot be written: Injected InternalError\.$") as told:
        storage.write_bytes("a", b"data")
    assert told.value.transient
    assert len(s3.requests()) == 2


@pytest.mark.parametrize("work", ["read_bytes", "exists", "list", "size", "digest", "write_bytes", "create_bytes"])
def test_what_is_refused_is_told_at_once(storage, s3, work) -> None:
    s3.write("ds/a", b"data")
    call = getattr(storage, work)
    arguments = ("a", b"data") if work.endswith("e_bytes") else ("a",)
    s3.fail(Fault(kind="error", status=403, code="AccessDenied"))
    with pytest.raises(StorageAccessError, match="Check the address, and that you have access") as told:
        call(*arguments)
    assert not told.value.transient
    assert [request.fault for request in s3.requests()] == ["error"]


@pytest.mark.parametrize("work", ["read_bytes", "exists", "list", "size", "write_bytes", "create_bytes"])
def test_a_bucket_that_does_not_exist_is_named(s3, work) -> None:
    storage = Storage("s3://no-such-bucket/ds")
    arguments = ("a", b"data") if work.endswith("e_bytes") else ("a",)
    with pytest.raises(StorageAccessError, match="there is no such bucket; make it, or check its name"):
        getattr(storage, work)(*arguments)


def test_without_credentials_it_says_so(s3, monkeypatch, tmp_path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    S3FileSystem.clear_instance_cache()
    with pytest.raises(StorageAccessError, match="Unable to locate credentials"):
        Storage(s3.url).list("a")


def test_without_its_driver_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['s3fs'] = None; from sa_pipeline.storage import Storage; Storage('s3://bucket')"
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert "pip install 'sa-pipeline[s3]'" in found.stderr


def test_more_names_than_one_answer_holds_are_listed_and_new_ones_at_once(storage, s3) -> None:
    names = [f"shards/{number:06d}.parquet" for number in range(1_100)]
    with ThreadPoolExecutor(8) as pool:
        client = s3.server.client()
        list(pool.map(lambda name: client.put_object(Bucket=s3.name, Key=f"ds/{name}", Body=b""), names))
    s3.server.heal()
    assert storage.list("shards", ".parquet") == names
    assert len(s3.requests()) == 2
    s3.write("ds/shards/new.parquet", b"")
    assert storage.list("shards")[-1] == "shards/new.parquet"
    assert storage.exists("shards/new.parquet")


def test_an_object_replaced_by_another_program_is_seen_as_it_is(storage, s3) -> None:
    storage.write_bytes("a", b"first")
    assert storage.size("a") == 5
    s3.write("ds/a", b"second")
    assert storage.size("a") == 6
    assert storage.read_bytes("a") == b"second"
    s3.server.client().delete_object(Bucket=s3.name, Key="ds/a")
    assert not storage.exists("a")
    with pytest.raises(MissingFileError):
        storage.read_bytes("a")


def test_an_object_replaced_while_it_is_read_is_an_error_and_no_mixture(storage, s3) -> None:
    storage.write_bytes("a", bytes(4 << 20))
    with storage.reading("a") as file:
        file.read(10)
        s3.write("ds/a", b"\1" * (4 << 20))
        with pytest.raises(StorageError, match="cannot be read"):
            file.read()


def test_a_file_replaced_while_it_is_copied_is_copied_again(storage, s3) -> None:
    storage.write_bytes("a", bytes(5000))
    s3.fail(Fault(kind="slow", method="GET", seconds=1.0, times=1))

    def copy() -> bytes:
        with storage.local_copy("a") as path:
            return path.read_bytes()

    with ThreadPoolExecutor() as threads:
        copied = threads.submit(copy)
        while not any(request.fault for request in s3.requests()):
            time.sleep(0.01)
        s3.write("ds/a", b"\1" * 5000)
        assert copied.result() == b"\1" * 5000
    assert sum(request.method == "GET" for request in s3.requests()) == 2


def test_answers_that_always_break_off_are_an_error(storage, s3) -> None:
    storage.write_bytes("a", bytes(5000))
    s3.fail(Fault(kind="truncate", method="GET"))
    with pytest.raises(StorageError, match=r"a cannot be read: .*2500 of 5000 bytes"):
        storage.read_bytes("a")
    with pytest.raises(StorageError, match="a cannot be copied to this machine"), storage.local_copy("a"):
        pass


def test_one_row_group_is_read_without_the_others(storage, s3) -> None:
    with storage.writing("table.parquet") as path, pq.ParquetWriter(path, pa.schema({"pixels": pa.binary()})) as writer:
        for _ in range(8):
            writer.write_table(pa.table({"pixels": [os.urandom(1 << 20)]}))
    s3.server.heal()
    with storage.reading("table.parquet") as file:
        assert pq.ParquetFile(file).read_row_group(3).num_rows == 1
    ranges = [request.range.removeprefix("bytes=").split("-") for request in s3.requests() if request.range]
    assert sum(int(last) - int(first) + 1 for first, last in ranges) < 3 << 20
    assert len(ranges) <= 3


def test_a_forked_process_reads_what_its_parent_had_opened(storage) -> None:
    storage.write_bytes("a", b"data")
    child = os.fork()
    if child == 0:
        os._exit(0 if storage.read_bytes("a") == b"data" else 1)
    assert os.waitpid(child, 0)[1] == 0


def _wait_for(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
