"""Backup and restore of what cannot be made again: the ledger and the studio's database, and the settings with them.

A backup is one tar. It is read to its end and compared with the digests that it carries before anything of it is
written anywhere, and nothing that is there is ever replaced.
"""

import contextlib
import hashlib
import io
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sa_pipeline.cards.questions import ANSWERS_FILE
from sa_pipeline.checkpoint_history import PROMOTIONS
from sa_pipeline.dataset import DAGSTER_FOLDER, SETTINGS_FILE, Dataset, open_dataset, validate_config
from sa_pipeline.errors import BackupError, describe_validation_error
from sa_pipeline.images.ledger import LEDGER, ledger_name, list_shards
from sa_pipeline.progress import Progress
from sa_pipeline.storage import Storage
from sa_pipeline.studio.database import sqlite_path, studio_folder
from sa_pipeline.studio.guidelines import PICTURES, TEXT

MANIFEST = "backup.json"
DATABASE = "studio.sqlite"
_HOME, _STORAGE = "home/", "storage/"
_BLOCK = 1 << 20


class Manifest(BaseModel):
    """What a backup says of itself, the last file in it.

    Attributes:
        format: Of the tar.
        made_by: Version of sa_pipeline.
        made_at: When.
        database: Where the studio's was: `sqlite`, it is in the tar; `postgresql`, it is not; `none`, there was none.
        digests: SHA-256 of each other file, by its name in the tar.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    made_by: str
    made_at: datetime
    database: Literal["sqlite", "postgresql", "none"]
    digests: dict[str, str]


def back_up(dataset: Dataset, target: Path, progress: Progress) -> Manifest:
    """Writes a backup, also while the studio and runs are at work; it appears under its name when it is complete.

    Args:
        dataset: Its SQLite database is copied as it stands at one moment, then its ledger, so that no task is of an
            image that the ledger does not know.
        target: The tar.
        progress: Shows the ledger's files.

    Raises:
        BackupError: There is a file of that name, or the studio's database is damaged.
        StorageError: Something cannot be read or written.
    """
    if target.exists():
        raise BackupError(f"{target} is there already, and a backup is never replaced; choose another name.")
    database = sqlite_path(dataset)
    digests: dict[str, str] = {}
    with Storage(target.parent).writing(target.name) as aside, tarfile.open(aside, "w") as tar:
        if database is not None and database.exists():
            with _copied(database) as copy, copy.open("rb") as file:
                digests[DATABASE] = _add(tar, DATABASE, file, copy.stat().st_size)
        for path in _files_of_home(dataset):
            name = _HOME + path.relative_to(dataset.home).as_posix()
            digests[name] = _add_bytes(tar, name, path.read_bytes())
        names = [ledger_name(shard) for shard in list_shards(dataset.storage)]
        names += [PROMOTIONS] if dataset.storage.exists(PROMOTIONS) else []
        for name in progress.track(names, description="backup", total=len(names)):
            digests[_STORAGE + name] = _add_bytes(tar, _STORAGE + name, dataset.storage.read_bytes(name))
        manifest = Manifest(
            made_by=version("sa-pipeline"),
            made_at=datetime.now(UTC),
            database="postgresql" if database is None else "sqlite" if DATABASE in digests else "none",
            digests=digests,
        )
        _add_bytes(tar, MANIFEST, manifest.model_dump_json(indent=1).encode())
    return manifest


def restore(source: Path, home: Path, progress: Progress) -> Manifest:
    """Puts the files of a backup into their places; an interrupted call may be repeated.

    Args:
        source: The tar.
        home: Folder of the dataset. The ledger goes into the storage that the settings in the backup name.
        progress: Shows the files.

    Raises:
        BackupError: The tar is damaged or none of ours, or a file that differs is in the place of one of its files.
        StorageError: Something cannot be written.
    """
    manifest = read_manifest(source)
    with tarfile.open(source) as tar:
        dataset = open_dataset(home)
        settings = _HOME + SETTINGS_FILE
        if settings in manifest.digests:
            config = validate_config(yaml.safe_load(_content(tar, settings)), name=f"{SETTINGS_FILE} in {source}")
            dataset = open_dataset(home, config)
        places = {name: _place(dataset, name) for name in manifest.digests}
        missing = [name for name, (storage, file) in places.items() if not storage.exists(file)]
        for name, (storage, file) in places.items():
            if name not in missing and storage.digest(file) != manifest.digests[name]:
                raise BackupError(
                    f"{storage.url_of(file)} is there already and differs from the one in {source}; nothing was "
                    "restored. Restore into an empty folder, or move the file away."
                )
        # The settings come last: without them no command takes the folder for a dataset.
        missing.sort(key=lambda name: name == settings)
        for name in progress.track(missing, description="restore", total=len(missing)):
            storage, file = places[name]
            with storage.writing(file) as aside, aside.open("wb") as out:
                for block in _blocks(_member(tar, name)):
                    out.write(block)
    return manifest


def read_manifest(source: Path) -> Manifest:
    """Reads a whole backup and compares it with its digests.

    Raises:
        BackupError: It is not there, damaged, or none of ours.
    """
    wrong = f"{source} is not a complete backup of sa_pipeline"
    try:
        with tarfile.open(source) as tar:
            manifest = Manifest.model_validate_json(_content(tar, MANIFEST))
            for name, digest in manifest.digests.items():
                _check_name(name, source)
                found = hashlib.sha256()
                for block in _blocks(_member(tar, name)):
                    found.update(block)
                if found.hexdigest() != digest:
                    raise BackupError(f"{wrong}: {name} in it is damaged.")
    except (OSError, tarfile.TarError, KeyError) as error:
        raise BackupError(f"{wrong} ({error}).") from error
    except ValidationError as error:
        raise BackupError(describe_validation_error(error, name=f"{MANIFEST} in {source}")) from None
    return manifest


def _files_of_home(dataset: Dataset) -> list[Path]:
    """What people wrote: settings, answers of the annotation card, Dagster's settings, guidelines with pictures."""
    home, studio = dataset.home, studio_folder(dataset)
    wanted = [home / SETTINGS_FILE, home / ANSWERS_FILE, home / DAGSTER_FOLDER / "dagster.yaml", studio / TEXT]
    return [path for path in (*wanted, *sorted((studio / PICTURES).glob("*"))) if path.is_file()]


@contextlib.contextmanager
def _copied(database: Path) -> Iterator[Path]:
    """A copy of an SQLite database as it stands at one moment, whoever writes to it meanwhile."""
    with tempfile.TemporaryDirectory(prefix="sa_pipeline-") as folder:
        copy = Path(folder) / DATABASE
        try:
            with (
                contextlib.closing(sqlite3.connect(database)) as live,
                contextlib.closing(sqlite3.connect(copy)) as made,
            ):
                live.backup(made)
                made.execute("PRAGMA journal_mode=DELETE")
                found = made.execute("PRAGMA quick_check").fetchone()[0]
        except sqlite3.Error as error:
            raise BackupError(f"{database} cannot be backed up: {error}.") from error
        if found != "ok":
            raise BackupError(f"{database} is damaged ({found}); restore it from an earlier backup.")
        yield copy


def _place(dataset: Dataset, name: str) -> tuple[Storage, str]:
    """Where a file of the tar belongs."""
    if name == DATABASE:
        path = sqlite_path(dataset)
        if path is None:
            raise BackupError(
                "The backup holds an SQLite database, and SA_PIPELINE_STUDIO_DATABASE names PostgreSQL; unset it."
            )
        return Storage(path.parent), path.name
    if name.startswith(_HOME):
        return Storage(dataset.home), name.removeprefix(_HOME)
    return dataset.storage, name.removeprefix(_STORAGE)


def _check_name(name: str, source: Path) -> None:
    """Sees that a file of a tar, which may come from anywhere, leads nowhere else."""
    inside = name.startswith((f"{_STORAGE}{LEDGER}/", _HOME)) or name in (DATABASE, _STORAGE + PROMOTIONS)
    if not inside or ".." in name.split("/"):
        raise BackupError(f"{source}: {name} in it is not a file of a backup.")


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> str:
    """Adds a file; its SHA-256."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o600
    tar.addfile(entry, file)
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> str:
    return _add(tar, name, io.BytesIO(content), len(content))


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is no file")
    return file


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    return _member(tar, name).read()


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block
