"""Bytes of source files by URI, with the tar that was read last kept open."""

import tarfile
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from sa_pipeline.errors import MissingFileError, SourceAccessError, SourceError, StorageAccessError, StorageError
from sa_pipeline.file_systems import describe, open_file, open_file_system
from sa_pipeline.images.rejection import ImageRejected, RejectReason
from sa_pipeline.images.sources import TAR_DAMAGE, TAR_SUFFIXES
from sa_pipeline.images.uris import split_uri

_TAR_BLOCK_BYTES = 8 << 20
"""Read ahead in a remote tar, whose members are asked for one after another."""


class SourceReader:
    """Reads source files; members of one tar, asked for in the tar's order, are read in one pass.

    Use it as a context manager. It is not meant for several threads at once.
    """

    def __init__(self) -> None:
        self._tar: _OpenTar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the tar that is open."""
        if self._tar is not None:
            self._tar.close()
            self._tar = None

    def read(self, uri: str, *, max_bytes: int, size_bytes: int = 0) -> bytes:
        """Reads a whole file.

        Args:
            uri: As `list_source` gives it.
            max_bytes: Files with more are not read into memory.
            size_bytes: The size that the listing gave, so that a file that is too large is not even opened.

        Raises:
            ImageRejected: unreadable, or too_large.
            SourceError: The remote storage fails, which is no fault of the file; worth another try.
        """
        if size_bytes > max_bytes:
            raise _too_large(max_bytes)
        location, member = split_uri(uri)
        if member is None and location.lower().endswith(TAR_SUFFIXES):
            raise ImageRejected(RejectReason.UNREADABLE, "the archive is damaged or cut short; fetch it again")
        try:
            data = self._read(location, member, max_bytes + 1)
        except (*TAR_DAMAGE, KeyError) as error:
            raise ImageRejected(RejectReason.UNREADABLE, f"its archive is damaged or changed: {error}") from error
        except (MissingFileError, OSError) as error:
            raise ImageRejected(RejectReason.UNREADABLE, describe(error)) from error
        # A local disk's fault stays with the file. A network's fault or refusal concerns all files: it must not end
        # in rejected rows that nobody looks at again.
        except StorageAccessError as error:
            raise SourceAccessError(str(error)) from error
        except StorageError as error:
            raise SourceError(f"{error} It cannot be reached; run it again.") from error
        if len(data) > max_bytes:
            raise _too_large(max_bytes)
        return data

    def _read(self, location: str, member: str | None, length: int) -> bytes:
        if member is None:
            fs, path = open_file_system(location)
            with open_file(fs, path) as file:
                return file.read(length)
        if self._tar is None or self._tar.location != location:
            self.close()
            self._tar = _OpenTar(location)
        return self._tar.read(member, length)


def read_source_file(uri: str, *, max_bytes: int) -> bytes:
    """Reads one file; for many, keep a `SourceReader`.

    Raises:
        ImageRejected: unreadable, or too_large.
        SourceError: The remote storage fails.
    """
    with SourceReader() as reader:
        return reader.read(uri, max_bytes=max_bytes)


class _OpenTar:
    """A tar that is searched no further than the members asked for."""

    def __init__(self, location: str) -> None:
        self.location = location
        fs, path = open_file_system(location)
        with ExitStack() as stack:
            file = stack.enter_context(open_file(fs, path, block_bytes=_TAR_BLOCK_BYTES))
            self._tar = stack.enter_context(tarfile.open(fileobj=file, mode="r:*"))
            self._open = stack.pop_all()
        self._members: dict[str, tarfile.TarInfo] = {}

    def read(self, name: str, length: int) -> bytes:
        while name not in self._members:
            member = self._tar.next()
            if member is None:
                raise KeyError(f"no member {name!r}")
            # The first of equal names: what the listing met first.
            self._members.setdefault(member.name, member)
        file = self._tar.extractfile(self._members[name])
        if file is None:
            raise KeyError(f"member {name!r} is not a file")
        with file:
            return file.read(length)

    def close(self) -> None:
        self._open.close()


def _too_large(max_bytes: int) -> ImageRejected:
    return ImageRejected(
        RejectReason.TOO_LARGE,
        f"the file has more than {max_bytes} bytes, which no image within images.max_pixels needs",
    )
