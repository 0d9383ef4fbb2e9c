"""Reading SA-1B, ours or the released files, from a tar or an unpacked folder; and unpacking."""

from collections.abc import Iterator
from pathlib import Path

from sa_pipeline.errors import StorageError
from sa_pipeline.sa1b.members import (
    IMAGE,
    Member,
    TarSource,
    list_members,
    opened,
    read_member,
    require_partners,
    split_name,
)
from sa_pipeline.sa1b.records import Record, image_name, parse_record_of, record_name


def read_tar(source: TarSource) -> Iterator[tuple[bytes, Record]]:
    """Reads the images of a tar one by one, by rising number; memory stays at one image.

    Args:
        source: Path of the tar, or the tar opened in binary mode, seekable.

    Yields:
        The JPEG's bytes and its record.

    Raises:
        RecordError: A member has another name than `sa_N.jpg` or `sa_N.json`, lacks its other half, or is not a record.
        ArtifactError: The tar is damaged.
        StorageError: The tar cannot be opened.
    """
    with opened(source) as (file, name):
        members = list_members(file, name)
        by_name = {member.name: member for member in members}
        require_partners(by_name, name)
        for number in sorted(member.number for member in members if member.kind == IMAGE):
            jpeg = read_member(file, by_name[image_name(number)], name)
            record = read_member(file, by_name[record_name(number)], name)
            yield jpeg, parse_record_of(number, record, f"{name}: {record_name(number)}")


def read_folder(folder: str | Path) -> Iterator[tuple[bytes, Record]]:
    """Reads the images of an unpacked tar one by one, by rising number; files of other names are passed over.

    Yields:
        The JPEG's bytes and its record.

    Raises:
        RecordError: An image lacks its record or the reverse, or a file is not a record.
        StorageError: The folder or a file cannot be read.
    """
    folder = Path(folder)
    try:
        splits = {path.name: split for path in folder.iterdir() if (split := split_name(path.name))}
    except OSError as error:
        raise StorageError(f"{folder} cannot be listed: {error.strerror or error}.") from error
    require_partners(splits, str(folder))
    for number in sorted(number for number, kind in splits.values() if kind == IMAGE):
        jpeg, record = _read(folder / image_name(number)), _read(folder / record_name(number))
        yield jpeg, parse_record_of(number, record, str(folder / record_name(number)))


def unpack(source: TarSource, folder: str | Path) -> int:
    """Writes the files of a tar flat into a folder, each aside first and then renamed.

    Every name is checked before the first file is written, so that a tar with a path such as `../sa_1.jpg` writes
    nothing. Files that are there already are replaced.

    Args:
        source: Path of the tar, or the tar opened in binary mode, seekable.
        folder: Made when it does not exist.

    Returns:
        Number of images.

    Raises:
        RecordError: A member has another name than `sa_N.jpg` or `sa_N.json`, or lacks its other half.
        ArtifactError: The tar is damaged.
        StorageError: The tar cannot be opened or a file cannot be written.
    """
    folder = Path(folder)
    with opened(source) as (file, name):
        members = list_members(file, name)
        require_partners((member.name for member in members), name)
        for member in members:
            _publish(folder, member, read_member(file, member, name))
    return sum(member.kind == IMAGE for member in members)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}.") from error


def _publish(folder: Path, member: Member, data: bytes) -> None:
    aside = folder / f".{member.name}.aside"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_bytes(data)
            aside.replace(folder / member.name)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{folder / member.name} cannot be written: {error.strerror or error}.") from error
