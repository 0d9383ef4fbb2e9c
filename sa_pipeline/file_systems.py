"""File systems by URL, as fsspec opens them, with this project's patience and this project's words for what fails."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import IO, Any, cast

import fsspec
import fsspec.config
from fsspec.implementations.local import LocalFileSystem

from sa_pipeline.errors import MissingFileError, StorageAccessError, StorageError

ATTEMPTS = 6
"""Of one request, the first included. botocore waits a random share of 1, 2, 4, 8 and 16 s between them."""

ANSWER_SECONDS = 20
"""How long a server may stay silent before a request counts as failed."""

BODY_ATTEMPTS = 2
"""Of reading an answer whose body breaks off, which botocore leaves to s3fs."""

BLOCK_BYTES = 1 << 20
"""What is asked for beyond a read that is not yet in memory: little for a row group, much for a tar's headers."""

_S3 = ("s3", "s3a")
_DRIVERS = {"s3": "sa-pipeline[s3]", "s3a": "sa-pipeline[s3]", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}


def open_file_system(url: str) -> tuple[Any, str]:
    """Opens the file system of a URL; listings are never answered from memory.

    Args:
        url: A local path or an fsspec URL.

    Returns:
        The fsspec file system, and the path within it.

    Raises:
        StorageError: No file system is known for the URL, or its driver is not installed.
    """
    protocol = url.partition("://")[0] if "://" in url else "file"
    options = {"config_kwargs": _patience(protocol)} if protocol in _S3 else {}
    try:
        fs, path = fsspec.url_to_fs(url, use_listings_cache=False, **options)
    except ImportError as error:
        driver = _DRIVERS.get(protocol)
        install = f"; install its driver: pip install '{driver}'" if driver else ""
        raise StorageError(f"Storage {url}: {error}{install}.") from error
    except ValueError as error:
        raise StorageError(f"Storage {url}: {error}; expected a path or a URL such as s3://bucket.") from error
    if is_s3(fs):
        fs.retries = BODY_ATTEMPTS
        if fs.session is None:
            fs.session = _session(fs.kwargs)
    return fs, str(path)


def is_local(fs: Any) -> bool:
    """Whether the files lie on this machine's disk."""
    return isinstance(fs, LocalFileSystem)


def is_s3(fs: Any) -> bool:
    """Whether the driver is s3fs."""
    return bool({fs.protocol} & set(_S3) if isinstance(fs.protocol, str) else set(fs.protocol) & set(_S3))


def location_of(fs: Any, path: str) -> str:
    """Absolute path of a local file, URL of any other."""
    return path if is_local(fs) else str(fs.unstrip_protocol(path))


def exists(fs: Any, path: str) -> bool:
    """Whether there is a file or folder.

    Raises:
        StorageError: That cannot be found out; a bucket that does not exist is told so.
    """
    if is_local(fs):
        return bool(fs.exists(path))
    try:
        with telling_faults(location_of(fs, path), "looked up"):
            fs.info(path)
    except MissingFileError:
        return False
    return True


def open_file(fs: Any, path: str, *, block_bytes: int = BLOCK_BYTES) -> IO[bytes]:
    """Opens a file for random access; one that is not local is read by range requests.

    Args:
        fs: As `open_file_system` gives it.
        path: Within it.
        block_bytes: Bytes fetched beyond those asked for, in case that reading goes on there.

    Raises:
        OSError: A local file cannot be opened.
        MissingFileError: Another does not exist.
        StorageError: It cannot be read; so do the file's own methods.
    """
    if is_local(fs):
        return cast(IO[bytes], fs.open(path, "rb"))
    return cast(IO[bytes], _RemoteFile(fs, path, block_bytes))


@contextlib.contextmanager
def telling_faults(url: str, deed: str) -> Iterator[None]:
    """Turns what a driver raises into a `StorageError`.

    Args:
        url: The file or folder.
        deed: What was being done to it: `read`, `written`, `listed`.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        raise fault_of(error, url, deed) from error


def fault_of(error: Exception, url: str, deed: str) -> StorageError:
    """What a driver's error means: a file that is missing, a refusal, or a fault that may pass."""
    reason = describe(error)
    if _code(error) == "NoSuchBucket":
        return StorageAccessError(f"{url} cannot be {deed}: there is no such bucket; make it, or check its name.")
    if _code(error) == "InvalidObjectState":
        return MissingFileError(f"{url} cannot be {deed}: it lies in an archive; restore it first.")
    if isinstance(error, FileNotFoundError) and deed != "written":
        return MissingFileError(f"{url} cannot be {deed}: there is no such file.")
    if _is_refusal(error):
        return StorageAccessError(f"{url} cannot be {deed}: {reason}. Check the address, and that you have access.")
    return StorageError(f"{url} cannot be {deed}: {reason}.")


def is_conflict(error: Exception) -> bool:
    """Whether a file was not created because there is one of its name."""
    return isinstance(error, FileExistsError) or _code(error) in ("PreconditionFailed", "412")


def describe(error: Exception) -> str:
    """An error's words, without a full stop."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text or type(error).__name__).rstrip(".")


def _patience(protocol: str) -> dict[str, Any]:
    given = fsspec.config.conf.get(protocol, {}).get("config_kwargs", {})
    retries = {
        "mode": os.environ.get("AWS_RETRY_MODE", "standard"),
        "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS", ATTEMPTS)),
    }
    return {"retries": retries, "read_timeout": ANSWER_SECONDS} | given


def _session(options: dict[str, Any]) -> Any:
    """A session of aiobotocore whose requests do not wait for `100 Continue`.

    aiohttp stops its clock at each such answer, so that with one that comes after the body a server may stay silent
    for ever.
    """
    from aiobotocore.session import AioSession

    session = AioSession(**options)
    session.register("before-call.s3", _send_body_at_once)
    return session


def _send_body_at_once(params: dict[str, Any], **_others: Any) -> None:
    params["headers"].pop("Expect", None)


def _code(error: BaseException | None) -> str | None:
    """S3's word for an error that s3fs has translated."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return cast("str | None", response.get("Error", {}).get("Code"))
        error = error.__cause__
    return None


def _is_refusal(error: Exception) -> bool:
    """Whether the same request would fail again: no right, no credentials, an impossible name."""
    botocore = sys.modules.get("botocore.exceptions")  # there only where S3 is in use
    if isinstance(error, PermissionError) or botocore is None:
        return isinstance(error, PermissionError)
    passing = (botocore.HTTPClientError, botocore.ConnectionError, botocore.IncompleteReadError)
    return isinstance(error, botocore.BotoCoreError) and not isinstance(error, passing)


class _RemoteFile(io.BufferedIOBase):
    """A file whose every fault is a `StorageError`, and which takes no short answer for its end.

    s3fs asks for each range on condition that the object is still the one that was opened.
    """

    def __init__(self, fs: Any, path: str, block_bytes: int) -> None:
        self._url = location_of(fs, path)
        with telling_faults(self._url, "read"):
            self._file = fs.open(path, "rb", block_size=block_bytes)
            self._size = self._file.seek(0, io.SEEK_END)
            self._file.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._file.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self.tell())
        wanted = left if size is None or size < 0 else min(size, left)
        with telling_faults(self._url, "read"):
            data = bytes(self._file.read(wanted))
        if len(data) != wanted:
            raise StorageError(f"{self._url} cannot be read: {len(data)} bytes came where {wanted} were asked for.")
        return data

    def read1(self, size: int = -1) -> bytes:
        return self.read(size)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
