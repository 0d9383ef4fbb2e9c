"""What lies in a source of images: a folder, tars, a single file, or any URL that fsspec reaches."""

import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sa_pipeline.dataset import is_home
from sa_pipeline.errors import SourceAccessError, SourceError, StorageAccessError, StorageError
from sa_pipeline.file_systems import (
    exists,
    is_local,
    location_of,
    open_file,
    open_file_system,
    telling_faults,
)
from sa_pipeline.images.uris import join_uri

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")

TAR_DAMAGE = (tarfile.TarError, EOFError, zlib.error)
"""What reading a damaged tar raises besides OSError."""

_SIDECAR_SUFFIXES = frozenset(
    (
        *(".json", ".jsonl", ".ndjson", ".txt", ".csv", ".tsv", ".md", ".rst", ".xml", ".yaml", ".yml", ".toml"),
        *(".ini", ".log", ".lst", ".mat", ".npy", ".npz", ".pkl", ".parquet", ".db", ".sqlite", ".sha256", ".md5"),
        *(".py", ".ipynb"),
    )
)
_HEADERS_BLOCK_BYTES = 1 << 18
"""Read ahead in a remote tar that is listed: several small members, little of a large one."""

_HIDDEN_FOLDERS = frozenset({"__MACOSX"})


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that may be an image; `uri` is in the form of `images.uris`."""

    uri: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Listed:
    path: str
    size_bytes: int


def list_source(source: str) -> Iterator[SourceFile]:
    """Lists the files that may be images, always in the same order.

    Folders are walked recursively in the order of names; the members of tars come in the order in which they stand.
    Hidden files, sidecars (.json, .txt, .csv ...) and the homes of datasets, which hold exports and overlays, are
    passed over. Everything else is listed, whatever its suffix, so that a file that turns out to be no image gets a row
    instead of vanishing. A linked folder is followed once, unless it lies within the source or contains it. A tar that
    is damaged is itself listed after its readable members.

    Args:
        source: A folder, a .tar, .tar.gz or .tgz file, an image file, a glob such as `photos/sa_*.tar`, or an fsspec
            URL of these (`s3://bucket/photos`, `memory://photos`).

    Raises:
        SourceError: The source does not exist or cannot be reached.
    """
    try:
        yield from _list(source)
    except StorageAccessError as error:
        raise SourceAccessError(f"Source {error}") from error
    except (StorageError, OSError, ValueError) as error:
        raise SourceError(f"Source {source} cannot be listed: {error} Check its address and your access.") from error


def _list(source: str) -> Iterator[SourceFile]:
    fs, path = open_file_system(source)
    roots = [path] if exists(fs, path) else sorted(fs.glob(path)) if set("*?[") & set(path) else []
    if not roots:
        raise SourceError(
            f"Source {source} does not exist; expected a folder, a .tar, .tar.gz or .tgz file, an image file, "
            "or a URL such as s3://bucket/photos. Check its spelling, and that its disk is mounted."
        )
    for root in roots:
        for listed in _list_root(fs, root):
            if listed.path.lower().endswith(TAR_SUFFIXES):
                yield from _list_tar(fs, listed)
            else:
                yield SourceFile(join_uri(location_of(fs, listed.path)), listed.size_bytes)


def _list_root(fs: Any, root: str) -> Iterator[_Listed]:
    if not is_local(fs):
        yield from _list_remote(fs, root)
    elif fs.isdir(root):
        yield from _walk_local(Path(root), _LinkedFolders(Path(root)))
    else:
        yield _Listed(root, fs.size(root) or 0)


def _list_remote(fs: Any, root: str) -> Iterator[_Listed]:
    with telling_faults(location_of(fs, root), "listed"):
        found = fs.find(root, detail=True)
    for path in sorted(found, key=lambda name: name.split("/")):
        # Consoles mark a folder by an empty object whose name ends with a slash.
        if path == root or (not path.endswith("/") and _may_be_image(path.removeprefix(root))):
            yield _Listed(path, found[path].get("size") or 0)


class _LinkedFolders:
    """Decides which links to folders are followed, so that no file is listed twice and no walk is endless."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._seen: set[Path] = set()

    def is_new(self, folder: Path) -> bool:
        target = folder.resolve()
        if target.is_relative_to(self._root) or self._root.is_relative_to(target):
            return False
        if any(target.is_relative_to(seen) for seen in self._seen):
            return False
        self._seen.add(target)
        return True


def _walk_local(folder: Path, links: _LinkedFolders) -> Iterator[_Listed]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError:
        yield _Listed(str(folder), 0)  # gets a row: unreadable
        return
    for entry in entries:
        if _is_dir(entry):
            path = Path(entry.path)
            if not _is_hidden(entry.name) and not is_home(path) and (not entry.is_symlink() or links.is_new(path)):
                yield from _walk_local(path, links)
        elif _may_be_image(entry.name) and (size := _regular_size(entry)) is not None:
            yield _Listed(entry.path, size)


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _regular_size(entry: os.DirEntry[str]) -> int | None:
    """Size in bytes; None for a pipe or device. A link that leads nowhere counts as a file, so that it gets a row."""
    try:
        status = entry.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _list_tar(fs: Any, tar: _Listed) -> Iterator[SourceFile]:
    location = location_of(fs, tar.path)
    try:
        with (
            open_file(fs, tar.path, block_bytes=_HEADERS_BLOCK_BYTES) as file,
            tarfile.open(fileobj=file, mode="r:*") as members,
        ):
            for member in members:
                if (member.isreg() or member.islnk()) and _may_be_image(member.name):
                    yield SourceFile(join_uri(location, member.name), member.size)
    except (*TAR_DAMAGE, OSError):
        yield SourceFile(join_uri(location), tar.size_bytes)


def _may_be_image(path: str) -> bool:
    *folders, name = path.split("/")
    if any(_is_hidden(part) for part in (*folders, name)):
        return False
    return os.path.splitext(name)[1].lower() not in _SIDECAR_SUFFIXES  # noqa: PTH122


def _is_hidden(name: str) -> bool:
    return name in _HIDDEN_FOLDERS or (name.startswith(".") and name not in (".", ".."))
