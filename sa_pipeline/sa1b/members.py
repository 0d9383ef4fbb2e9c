"""What a tar of SA-1B holds: its members by name and place, each image paired with its record."""

import contextlib
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from sa_pipeline.errors import ArtifactError, RecordError, StorageError
from sa_pipeline.file_systems import open_file, open_file_system
from sa_pipeline.sa1b.records import image_name, record_name

TarSource = BinaryIO | str | Path
"""A tar's path or fsspec URL, or the tar opened for reading in binary mode; it must be seekable."""

IMAGE = "jpg"
RECORD = "json"

_FLAT_NAME = re.compile(r"sa_(0|[1-9][0-9]{0,15})\.(jpg|json)")


@dataclass(frozen=True)
class Member:
    """One file: its number N, its kind (`jpg` or `json`), and its content's place and size in bytes."""

    number: int
    kind: str
    offset: int
    size: int

    @property
    def name(self) -> str:
        """`sa_N.jpg` or `sa_N.json`."""
        return image_name(self.number) if self.kind == IMAGE else record_name(self.number)


def split_name(name: str) -> tuple[int, str] | None:
    """Number and kind of a flat name `sa_N.jpg` or `sa_N.json`; None for every other name."""
    match = _FLAT_NAME.fullmatch(name)
    return (int(match[1]), match[2]) if match else None


@contextlib.contextmanager
def opened(source: TarSource) -> Iterator[tuple[BinaryIO, str]]:
    """Yields the open tar and its name for messages; closes it if it was given by its place.

    Raises:
        StorageError: It cannot be opened.
    """
    if not isinstance(source, str | Path):
        yield source, str(getattr(source, "name", "the tar"))
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(_open(str(source)))
        except OSError as error:
            raise StorageError(f"{source} cannot be read: {error.strerror or error}.") from error
        yield file, str(source)


def _open(place: str) -> BinaryIO:
    if "://" not in place:
        return Path(place).open("rb")
    fs, path = open_file_system(place)
    return cast(BinaryIO, open_file(fs, path))


def list_members(file: BinaryIO, name: str) -> list[Member]:
    """Lists the files of a tar in their order, reading headers only.

    A leading `./` and the entry of the folder itself, which other packers write, are passed over.

    Raises:
        RecordError: A member is not a flat, regular file `sa_N.jpg` or `sa_N.json`, or occurs twice.
        ArtifactError: The file is no tar, or is cut off.
    """
    members: dict[str, Member] = {}
    try:
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                if info.isdir() and info.name in {".", "./"}:
                    continue
                member = _member(info, name)
                if member.name in members:
                    raise RecordError(f"{name}: {member.name} occurs twice; expected every name once.")
                members[member.name] = member
            # tarfile takes a damaged header, or the end of a file that was cut off, for the end of the archive.
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"no end of archive at byte {tar.offset}")
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ArtifactError(f"{name} is not a complete tar file ({error}); make or download it again.") from error
    return list(members.values())


def read_member(file: BinaryIO, member: Member, name: str) -> bytes:
    """Content of a member of the tar `name`.

    Raises:
        ArtifactError: The tar ends before the member does.
    """
    file.seek(member.offset)
    data = file.read(member.size)
    if len(data) != member.size:
        raise ArtifactError(f"{name} ends within {member.name}; make or download it again.")
    return data


def missing_partners(names: Iterable[str]) -> list[tuple[str, str]]:
    """Each flat name whose other half is not there, with the name that is missing, by number."""
    present = set(names)
    lonely = []
    for name in present:
        number, kind = split_name(name) or (0, "")
        partner = record_name(number) if kind == IMAGE else image_name(number)
        if kind and partner not in present:
            lonely.append((number, name, partner))
    return [(name, partner) for _, name, partner in sorted(lonely)]


def require_partners(names: Iterable[str], where: str) -> None:
    """Raises RecordError where an image has no record, or a record no image."""
    for name, partner in missing_partners(names):
        raise RecordError(f"{where}: {name} is there without {partner}; expected both.")


def _member(info: tarfile.TarInfo, tar_name: str) -> Member:
    split = split_name(info.name.removeprefix("./"))
    if split is None or not info.isreg() or info.issparse():
        raise RecordError(
            f"{tar_name}: member {info.name!r} is not a file of SA-1B; expected only sa_N.jpg and sa_N.json, flat."
        )
    number, kind = split
    return Member(number, kind, info.offset_data, info.size)
