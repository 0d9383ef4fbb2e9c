"""A PostgreSQL server of the tests' own, where PostgreSQL is installed."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
from sqlalchemy import make_url


def postgresql_programs() -> Path | None:
    """The folder of `initdb` and `postgres`; None where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


class PostgreSQL:
    """A server in a temporary folder, reached by a socket in it; `with` runs it.

    Attributes:
        url: Of its database `postgres`.
    """

    def __init__(self, programs: Path, *settings: str) -> None:
        """Makes an empty server.

        Args:
            programs: As `postgresql_programs` gives it.
            settings: Such as `fsync=off`.
        """
        self._scratch = tempfile.TemporaryDirectory(prefix="sa_pipeline-postgresql-", ignore_cleanup_errors=True)
        folder = Path(self._scratch.name)
        self._data = folder / "data"
        user = _harmless_user()
        if user:
            shutil.chown(folder, user)
        self._calls = {"user": user, "check": True, "cwd": "/", "stdout": subprocess.DEVNULL}
        make = [programs / "initdb", "-D", self._data, "-U", "studio", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(make, **self._calls)
        options = ["listen_addresses=", f"unix_socket_directories={folder}", "max_connections=200", *settings]
        self._options = " ".join(f"-c {option}" for option in options)
        self._control = [programs / "pg_ctl", "-D", self._data, "-w", "-l", folder / "log"]
        self.url = f"postgresql://studio@/postgres?host={folder}"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        subprocess.run([*self._control, "-o", self._options, "start"], **self._calls)

    def kill(self) -> None:
        """SIGKILL to the server and to the processes that serve its connections."""
        server = psutil.Process(int((self._data / "postmaster.pid").read_text().splitlines()[0]))
        killed = [server, *server.children()]
        for process in killed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(killed)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([*self._control, "-m", "immediate", "stop"], **self._calls)
        self._scratch.cleanup()


@contextlib.contextmanager
def running_postgresql(programs: Path, *settings: str) -> Iterator[str]:
    """Runs a server as `PostgreSQL` does; yields the URL of its database `postgres`."""
    with PostgreSQL(programs, *settings) as server:
        yield server.url


def dagster_url(url: str, database: str | None = None) -> str:
    """The URL as Dagster needs it: SQLAlchemy's default driver refuses what it sends. Of another database if named."""
    return make_url(url).set(drivername="postgresql+psycopg2", database=database).render_as_string(hide_password=False)


def _harmless_user() -> str | None:
    """A user to run as in place of root, whom PostgreSQL refuses; None to stay who we are."""
    if os.getuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)
