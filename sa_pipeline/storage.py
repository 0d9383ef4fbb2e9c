"""Files by URL: read them, list them, and publish them whole or not at all."""

import contextlib
import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from sa_pipeline.errors import MissingFileError, StorageError
from sa_pipeline.processes import is_running

_ASIDE = ".aside-"


class Storage:
    """A folder, bucket or anything that fsspec reaches, addressed by names relative to its root.

    A file appears under its name only when it is complete: on a local disk it is written beside its place and
    renamed; elsewhere it is written to a temporary local file and uploaded in one put, which object stores publish
    atomically.
    """

    def __init__(self, url: str | Path) -> None:
        """Opens the root.

        Args:
            url: A local path or an fsspec URL such as `s3://bucket/folder` or `memory://name`.

        Raises:
            StorageError: No file system is known for the URL.
        """
        self.url = str(url)
        try:
            self._fs, root = fsspec.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise StorageError(f"Storage {self.url}: {error}; expected a path or a URL such as s3://bucket.") from error
        self._root = str(root).rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether the files lie on this machine's disk."""
        return isinstance(self._fs, LocalFileSystem)

    def url_of(self, name: str) -> str:
        """Full path (local) or URL of a file."""
        return self._path(name) if self.is_local else str(self._fs.unstrip_protocol(self._path(name)))

    def exists(self, name: str) -> bool:
        """Whether a complete file of that name exists."""
        return bool(self._fs.exists(self._path(name)))

    def list(self, folder: str, suffix: str = "") -> list[str]:
        """Sorted names (relative to the root) of the files directly in `folder` that end with `suffix`."""
        self._fs.invalidate_cache()
        path = self._path(folder)
        if not self._fs.isdir(path):
            return []
        found = (str(entry["name"]).rstrip("/").rsplit("/", 1)[-1] for entry in self._fs.ls(path, detail=True))
        return sorted(f"{folder}/{base}" for base in found if base.endswith(suffix) and _ASIDE not in base)

    def size(self, name: str) -> int:
        """Size in bytes."""
        return int(self._fs.size(self._path(name)))

    def fingerprint(self, name: str) -> str:
        """A text that changes when the file is replaced, from its listing alone.

        Raises:
            MissingFileError: The file does not exist.
            StorageError: It cannot be reached.
        """
        try:
            self._fs.invalidate_cache(self._path(name))
            return str(self._fs.ukey(self._path(name)))
        except FileNotFoundError as error:
            raise MissingFileError(f"{self.url_of(name)} cannot be read: there is no such file.") from error
        except OSError as error:
            raise StorageError(f"{self.url_of(name)} cannot be reached: {error.strerror or error}.") from error

    def read_bytes(self, name: str) -> bytes:
        """Reads a whole file.

        Raises:
            MissingFileError: The file does not exist.
            StorageError: It cannot be read.
        """
        with self.reading(name) as file:
            return file.read()

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """Opens a file for (random access) reading.

        Raises:
            MissingFileError: The file does not exist.
            StorageError: It cannot be read.
        """
        try:
            file = self._fs.open(self._path(name), "rb")
        except FileNotFoundError as error:
            raise MissingFileError(f"{self.url_of(name)} cannot be read: there is no such file.") from error
        except OSError as error:
            raise StorageError(f"{self.url_of(name)} cannot be read: {error.strerror or error}.") from error
        with file:
            yield cast(IO[bytes], file)

    @contextlib.contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        """Yields a local path that holds the file's content: the file itself, or a temporary download.

        Raises:
            MissingFileError: The file does not exist.
            StorageError: It cannot be read.
        """
        if self.is_local:
            if not self.exists(name):
                raise MissingFileError(f"{self.url_of(name)} cannot be read: there is no such file.")
            yield Path(self._path(name))
            return
        with tempfile.TemporaryDirectory(prefix="sa_pipeline-") as folder:
            path = Path(folder) / Path(name).name
            with self.reading(name) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 22)
            yield path

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yields a temporary local path; when the block ends without an error, its content is published as `name`.

        On an error nothing is published and the temporary file is removed. A file that a killed process of this
        machine left aside is removed by the next writer of the same name.

        Raises:
            StorageError: The file cannot be written, for instance because the disk is full.
        """
        target = self._path(name)
        try:
            if self.is_local:
                with _beside(Path(target)) as aside:
                    yield aside
                    _flush_to_disk(aside)
                    aside.replace(target)
            else:
                with tempfile.TemporaryDirectory(prefix="sa_pipeline-") as temporary:
                    aside = Path(temporary) / Path(name).name
                    yield aside
                    self._fs.put_file(str(aside), target)
                    self._fs.invalidate_cache()
        except OSError as error:
            raise StorageError(f"{self.url_of(name)} cannot be written: {error.strerror or error}.") from error

    def write_bytes(self, name: str, data: bytes) -> None:
        """Publishes `data` as a whole file.

        Raises:
            StorageError: The file cannot be written.
        """
        with self.writing(name) as path:
            path.write_bytes(data)

    def create_bytes(self, name: str, data: bytes) -> bool:
        """Publishes `data` as a whole file unless there is one of that name; of several who try at once, one succeeds.

        On a local disk this holds always. On an object store it holds where fsspec's driver puts conditionally (S3
        and Google Cloud Storage do); with another driver, two who try in the same instant may both succeed.

        Returns:
            Whether the file is now the one given.

        Raises:
            StorageError: The file cannot be written.
        """
        if self.exists(name):
            return False
        try:
            if self.is_local:
                _create_local(Path(self._path(name)), data)
            else:
                self._fs.pipe_file(self._path(name), data, mode="create")
                self._fs.invalidate_cache()
        except FileExistsError:
            return False
        except OSError as error:
            raise StorageError(f"{self.url_of(name)} cannot be written: {error.strerror or error}.") from error
        return True

    def remove(self, name: str) -> None:
        """Removes a file or a folder with all that is in it; nothing happens when there is none."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm(self._path(name), recursive=True)

    def digest(self, name: str) -> str:
        """SHA-256 of the file's bytes, as 64 hexadecimal digits.

        Raises:
            MissingFileError: The file does not exist.
            StorageError: It cannot be read.
        """
        with self.reading(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target.parent, target.name)
    aside = target.parent / f".{target.name}{_ASIDE}{socket.gethostname()}-{os.getpid()}"
    try:
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def _create_local(target: Path, data: bytes) -> None:
    with _beside(target) as aside:
        aside.write_bytes(data)
        _flush_to_disk(aside)
        try:
            target.hardlink_to(aside)
        except FileExistsError:
            raise
        except OSError:  # a disk without hard links, such as exFAT: claim the name, then fill it
            target.touch(exist_ok=False)
            aside.replace(target)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove_abandoned(folder: Path, name: str) -> None:
    prefix = f".{name}{_ASIDE}{socket.gethostname()}-"
    for path in folder.glob(f".{name}{_ASIDE}*"):
        pid = path.name.removeprefix(prefix)
        if pid.isdigit() and not is_running(int(pid)):
            path.unlink(missing_ok=True)
