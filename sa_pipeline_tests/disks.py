"""A small disk of a test's own, which can be filled and made read-only."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted_disk(folder: Path) -> Iterator[None]:
    """A disk of 64 MB in an empty folder; skips where this process may not mount one."""
    mounted = _mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", folder)
    if mounted.returncode:
        pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Leaves no room on a disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 12))
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Lets nobody write to a disk, which nobody may be writing to."""
    assert _mount("-o", "remount,ro", disk).returncode == 0
    try:
        yield
    finally:
        assert _mount("-o", "remount,rw", disk).returncode == 0


def _mount(*arguments: object) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess([], 1, "", str(error))
