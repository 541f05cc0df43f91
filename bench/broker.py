"""A broker as a process of its own, and databases for it, for as long as one benchmark runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.postgres import PostgresServer, create_database

PROGRAM = Path(sys.executable).with_name("ark-broker")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres() -> Iterator[str]:
    """URL of an empty database on a server of its own."""
    with PostgresServer() as server:
        yield create_database(server.url)


@contextmanager
def directory() -> Iterator[Path]:
    """A directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="ark-bench-") as path:
        yield Path(path)


class Broker:
    """`ark-broker serve`, ready."""

    def __init__(self, database_url: str, **settings: object) -> None:
        self.port = free_port()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ARK_BROKER_")}
        given = {"database_url": database_url, "port": self.port, "grpc_port": 0, "log_level": "warning", **settings}
        environment = clean | {f"ARK_BROKER_{name.upper()}": str(value) for name, value in given.items()}
        if database_url.startswith("postgres"):
            subprocess.run([PROGRAM, "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)
        started = time.perf_counter()
        self._process = subprocess.Popen([PROGRAM, "serve"], env=environment, stdout=subprocess.DEVNULL)
        self._wait_ready()
        #: Seconds from exec to a 200 of `/readyz`.
        self.start_seconds = time.perf_counter() - started

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5):
                    return
            except OSError:
                time.sleep(0.005)
        raise TimeoutError("the broker did not get ready")

    @property
    def rss(self) -> int:
        """Resident memory in bytes."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def get(self, path: str) -> bytes:
        """Body of a GET."""
        with urllib.request.urlopen(self.url + path, timeout=30) as response:
            return bytes(response.read())

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(30)

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
