"""Local files that are not yet what they shall be: beside their place, or in a scratch folder of their own."""

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sa_pipeline.processes import is_running

ASIDE = ".aside-"
"""Part of the name of a file that is not complete."""

_SCRATCH = "sa_pipeline-"


@contextlib.contextmanager
def beside(target: Path) -> Iterator[Path]:
    """Yields a path in the target's folder; what lies there when the block ends is removed.

    A file that a killed process of this machine left beside the same target is removed first.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for path in target.parent.glob(f".{target.name}{ASIDE}*"):
        if _is_abandoned(path.name.removeprefix(f".{target.name}{ASIDE}")):
            path.unlink(missing_ok=True)
    aside = target.parent / f".{target.name}{ASIDE}{socket.gethostname()}-{os.getpid()}"
    try:
        yield aside
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yields a folder in the machine's temporary folder (`TMPDIR`); it is removed when the block ends.

    Those that killed processes of this machine left are removed first.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*-*-*"):
        if _is_abandoned(path.name.removeprefix(_SCRATCH).rpartition("-")[0]):
            shutil.rmtree(path, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{socket.gethostname()}-{os.getpid()}-") as folder:
        yield Path(folder)


def publish(aside: Path, target: Path) -> None:
    """Gives a complete file its name, in place of one that has it."""
    _flush_to_disk(aside)
    aside.replace(target)


def create(target: Path, data: bytes) -> None:
    """Publishes a whole file.

    Raises:
        FileExistsError: There is one of that name.
    """
    with beside(target) as aside:
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


def _is_abandoned(owner: str) -> bool:
    host, _, pid = owner.rpartition("-")
    return host == socket.gethostname() and pid.isdigit() and not is_running(int(pid))
