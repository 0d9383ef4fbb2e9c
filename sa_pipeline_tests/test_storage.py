"""Storage publishes files whole or not at all."""

import os
import pickle
import subprocess
import sys
import uuid

import pytest

from sa_pipeline.errors import MissingFileError, StorageError
from sa_pipeline.storage import Storage


@pytest.fixture(params=["local", "memory", "s3"])
def storage(request, tmp_path) -> Storage:
    if request.param == "s3":
        return Storage(f"{request.getfixturevalue('s3').url}/root")
    return Storage(tmp_path / "root" if request.param == "local" else f"memory://{uuid.uuid4().hex}")


def test_a_written_file_is_read_back_listed_and_digested(storage) -> None:
    storage.write_bytes("folder/b.bin", b"two")
    storage.write_bytes("folder/a.bin", b"one")
    assert storage.read_bytes("folder/a.bin") == b"one"
    assert storage.list("folder", ".bin") == ["folder/a.bin", "folder/b.bin"]
    assert storage.size("folder/a.bin") == 3
    assert storage.digest("folder/a.bin").startswith("7692c3ad3540")
    with storage.local_copy("folder/a.bin") as path:
        assert path.read_bytes() == b"one"


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(storage) -> None:
    storage.write_bytes("a.bin", b"old")
    with pytest.raises(RuntimeError), storage.writing("a.bin") as path:  # noqa: PT012
        path.write_bytes(b"half")
        raise RuntimeError
    assert storage.read_bytes("a.bin") == b"old"
    assert storage.list("") == ["a.bin"]


def test_what_a_killed_process_left_aside_is_removed_by_the_next_writer(tmp_path) -> None:
    storage = Storage(tmp_path)
    child = os.fork()
    if child == 0:
        with storage.writing("a.bin") as path:
            path.write_bytes(b"half")
            os._exit(9)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 1
    assert storage.list("") == []
    storage.write_bytes("a.bin", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_missing_file_is_named(storage) -> None:
    with pytest.raises(MissingFileError, match=r"nothing\.bin cannot be read: there is no such file"):
        storage.read_bytes("nothing.bin")
    with pytest.raises(MissingFileError, match=r"nothing\.bin"), storage.local_copy("nothing.bin"):
        pass
    assert not storage.exists("nothing.bin")
    assert storage.list("nothing") == []
    storage.remove("nothing.bin")


def test_a_folder_is_removed_with_what_is_in_it_and_nothing_else(storage) -> None:
    for name in ("parts/one", "parts/two", "parts2/three"):
        storage.write_bytes(name, b"data")
    storage.remove("parts")
    assert storage.list("parts") == []
    assert storage.list("parts2") == ["parts2/three"]


def test_a_replaced_file_has_another_fingerprint(storage) -> None:
    storage.write_bytes("a", b"first")
    first = storage.fingerprint("a")
    assert storage.fingerprint("a") == first
    storage.write_bytes("a", b"other")
    assert storage.fingerprint("a") != first


def test_storage_travels_to_another_process(tmp_path) -> None:
    Storage(tmp_path).write_bytes("a", b"data")
    assert pickle.loads(pickle.dumps(Storage(tmp_path))).read_bytes("a") == b"data"


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(StorageError, match="expected a path or a URL"):
        Storage("nonsense://bucket")


def test_a_file_is_created_once(storage) -> None:
    assert storage.create_bytes("folder/file", b"first")
    assert not storage.create_bytes("folder/file", b"second")
    assert storage.read_bytes("folder/file") == b"first"
    assert storage.list("folder") == ["folder/file"]


CREATE = """
import sys
from sa_pipeline.storage import Storage
sys.stdin.readline()
print(Storage(sys.argv[1]).create_bytes("a", sys.argv[2].encode() * 1000))
"""


@pytest.mark.parametrize("place", ["local", "s3"])
def test_of_several_processes_that_create_a_file_at_once_one_succeeds(place, request, tmp_path) -> None:
    root = str(tmp_path) if place == "local" else f"{request.getfixturevalue('s3').url}/root"
    command = [sys.executable, "-W", "ignore", "-c", CREATE, root]
    started = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(4)
    ]
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0].strip() for process in started]
    assert sorted(said) == ["False", "False", "False", "True"]
    assert Storage(root).read_bytes("a") == str(said.index("True")).encode() * 1000
