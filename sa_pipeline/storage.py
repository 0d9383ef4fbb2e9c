"""Files by URL: read them, list them, and publish them whole or not at all."""

import contextlib
import hashlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from sa_pipeline import aside as asides
from sa_pipeline.errors import MissingFileError, StorageError
from sa_pipeline.file_systems import (
    BLOCK_BYTES,
    exists,
    fault_of,
    is_conflict,
    is_local,
    is_s3,
    location_of,
    open_file,
    open_file_system,
    telling_faults,
)

PART_BYTES = 16 << 20
"""Of a multipart upload. A file smaller than two parts is sent in one request."""

MAX_PARTS = 10_000
"""Of a multipart upload, by S3's rules."""

PARTS_AT_ONCE = 4
"""Parts of one file on their way at the same time, up or down; each is held in memory."""

DOWNLOADS = 3
"""Tries to copy a file that others replace meanwhile."""


class Storage:
    """A folder, bucket or anything that fsspec reaches, addressed by names relative to its root.

    A file appears under its name only when it is complete. On a local disk it is written beside its place and renamed.
    Elsewhere it is written to a local scratch folder and uploaded in one request, or in parts that the last request
    joins; object stores publish either atomically.
    """

    def __init__(self, url: str | Path) -> None:
        """Opens the root.

        Args:
            url: A local path or an fsspec URL such as `s3://bucket/folder` or `memory://name`.

        Raises:
            StorageError: No file system is known for the URL, or its driver is not installed.
        """
        self.url = str(url)
        self._open()

    def __reduce__(self) -> tuple[type["Storage"], tuple[str]]:
        """Travels to other processes as its URL."""
        return Storage, (self.url,)

    @property
    def is_local(self) -> bool:
        """Whether the files lie on this machine's disk."""
        return is_local(self._fs)

    def url_of(self, name: str) -> str:
        """Full path (local) or URL of a file."""
        return location_of(self._fs, self._path(name))

    def exists(self, name: str) -> bool:
        """Whether a complete file of that name exists.

        Raises:
            StorageError: The storage cannot be reached.
        """
        return exists(self._files(), self._path(name))

    def list(self, folder: str, suffix: str = "") -> list[str]:
        """Sorted names (relative to the root) of the files directly in `folder` that end with `suffix`.

        Raises:
            StorageError: The storage cannot be reached.
        """
        path = self._path(folder)
        try:
            with telling_faults(self.url_of(folder), "listed"):
                entries = self._files().ls(path, detail=True)
        except MissingFileError:
            return []
        found = (str(entry["name"]).rstrip("/").rpartition("/") for entry in entries)
        names = (base for parent, _, base in found if parent == path)
        return sorted(
            f"{folder}/{base}" if folder else base
            for base in names
            if base.endswith(suffix) and asides.ASIDE not in base
        )

    def size(self, name: str) -> int:
        """Size in bytes.

        Raises:
            MissingFileError: The file does not exist.
            StorageError: It cannot be reached.
        """
        with telling_faults(self.url_of(name), "looked up"):
            return int(self._files().size(self._path(name)))

    def fingerprint(self, name: str) -> str:
        """A text that changes when the file is replaced, from its listing alone.

        Raises:
            MissingFileError: The file does not exist.
            StorageError: It cannot be reached.
        """
        with telling_faults(self.url_of(name), "looked up"):
            return str(self._files().ukey(self._path(name)))

    def read_bytes(self, name: str) -> bytes:
        """Reads a whole file.

        Raises:
            MissingFileError: The file does not exist.
            StorageError: It cannot be read.
        """
        with self.reading(name) as file:
            return file.read()

    @contextlib.contextmanager
    def reading(self, name: str, *, block_bytes: int = BLOCK_BYTES) -> Iterator[IO[bytes]]:
        """Opens a file for (random access) reading.

        A file that is not local is read by range requests. It is an error, not a mixture, when it is replaced
        meanwhile, and an error, not the file's end, when an answer breaks off.

        Args:
            name: The file.
            block_bytes: Bytes fetched beyond those asked for, in case that reading goes on there.

        Raises:
            MissingFileError: The file does not exist.
            StorageError: It cannot be read.
        """
        try:
            file = open_file(self._files(), self._path(name), block_bytes=block_bytes)
        except OSError as error:
            raise fault_of(error, self.url_of(name), "read") from error
        with file:
            yield file

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
        with asides.scratch_folder() as folder:
            path = folder / Path(name).name
            self._download(name, path)
            yield path

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yields a temporary local path; when the block ends without an error, its content is published as `name`.

        On an error nothing is published and the temporary file is removed. A file that a killed process of this
        machine left aside is removed by the next writer, locally of the same name, elsewhere of any.

        Raises:
            StorageError: The file cannot be written, for instance because the disk is full.
        """
        target = self._path(name)
        try:
            if self.is_local:
                with asides.beside(Path(target)) as aside:
                    yield aside
                    asides.publish(aside, Path(target))
            else:
                with asides.scratch_folder() as folder:
                    aside = folder / Path(name).name
                    yield aside
                    self._upload(aside, name)
        except OSError as error:
            raise fault_of(error, self.url_of(name), "written") from error

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
        and Google Cloud Storage do); with another driver, two who try in the same instant may both succeed. On an
        object store, two who try in the same instant with the same bytes may both be told that they succeeded: one
        whose success was not heard of cannot be told from another with the same file.

        Returns:
            Whether the file is now the one given.

        Raises:
            StorageError: The file cannot be written.
        """
        if self.exists(name):
            return False
        try:
            if self.is_local:
                asides.create(Path(self._path(name)), data)
            else:
                self._files().pipe_file(self._path(name), data, mode="create")
        except Exception as error:
            if is_conflict(error):
                return not self.is_local and self.read_bytes(name) == data
            raise fault_of(error, self.url_of(name), "written") from error
        return True

    def remove(self, name: str) -> None:
        """Removes a file or a folder with all that is in it; nothing happens when there is none.

        Raises:
            StorageError: It cannot be removed.
        """
        with contextlib.suppress(MissingFileError), telling_faults(self.url_of(name), "removed"):
            self._files().rm(self._path(name), recursive=True)

    def digest(self, name: str) -> str:
        """SHA-256 of the file's bytes, as 64 hexadecimal digits.

        Raises:
            MissingFileError: The file does not exist.
            StorageError: It cannot be read.
        """
        with self.reading(name, block_bytes=PART_BYTES) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _open(self) -> None:
        self._fs, root = open_file_system(self.url)
        self._root = root.rstrip("/")
        self._process = os.getpid()

    def _files(self) -> Any:
        if self._process != os.getpid():  # a forked process would wait for the network thread that it does not have
            self._open()
        return self._fs

    def _upload(self, path: Path, name: str) -> None:
        options = {}
        if is_s3(self._fs):
            part = max(PART_BYTES, math.ceil(path.stat().st_size / MAX_PARTS))
            options = {"chunksize": part, "max_concurrency": PARTS_AT_ONCE}
        with telling_faults(self.url_of(name), "written"):
            self._files().put_file(str(path), self._path(name), **options)

    def _download(self, name: str, path: Path) -> None:
        # Another run of the shard may publish the same file anew at any moment.
        for _ in range(DOWNLOADS):
            before, size = self.fingerprint(name), self.size(name)
            self._copy_ranges(name, path, size)
            if path.stat().st_size == size and self.fingerprint(name) == before:
                return
        url = self.url_of(name)
        raise StorageError(
            f"{url} cannot be read: {DOWNLOADS} times it was replaced meanwhile, or an answer broke off; try again."
        )

    def _copy_ranges(self, name: str, path: Path, size: int) -> None:
        batch = PART_BYTES * PARTS_AT_ONCE
        with telling_faults(self.url_of(name), "copied to this machine"), path.open("wb") as target:
            for start in range(0, size, batch):
                starts = list(range(start, min(start + batch, size), PART_BYTES))
                ends = [min(start + PART_BYTES, size) for start in starts]
                places = [self._path(name)] * len(starts)
                target.writelines(self._files().cat_ranges(places, starts, ends, on_error="raise"))
