"""A PostgreSQL server of the tests' own, where PostgreSQL is installed."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


def postgresql_programs() -> Path | None:
    """The folder of `initdb` and `postgres`; None where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


@contextlib.contextmanager
def running_postgresql(programs: Path, *settings: str) -> Iterator[str]:
    """Runs a server in a temporary folder, reached by a socket in it.

    Args:
        programs: As `postgresql_programs` gives it.
        settings: Such as `fsync=off`.

    Yields:
        The URL of its database `postgres`.
    """
    user = _harmless_user()
    with tempfile.TemporaryDirectory(prefix="sa_pipeline-postgresql-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if user:
            shutil.chown(folder, user)
        data = folder / "data"
        calls = {"user": user, "check": True, "cwd": "/", "stdout": subprocess.DEVNULL}
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "studio", "-A", "trust", "--no-sync", "-E", "UTF8"], **calls
        )
        options = ["listen_addresses=", f"unix_socket_directories={folder}", "max_connections=200", *settings]
        arguments = " ".join(f"-c {option}" for option in options)
        control = [programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
        subprocess.run([*control, "-o", arguments, "start"], **calls)
        try:
            yield f"postgresql://studio@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **calls)


def _harmless_user() -> str | None:
    """A user to run as in place of root, whom PostgreSQL refuses; None to stay who we are."""
    if os.getuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)
