"""`ark-broker serve` as users run it: a process of its own, reached over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import httpx

from tests.support.waiting import wait_until

PROGRAM: Final = Path(sys.executable).with_name("ark-broker")


def environment(settings: Mapping[str, object] | None = None) -> dict[str, str]:
    """This process's environment with nobody's settings but these: field names → values."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ARK_BROKER_") and not name.startswith("OTEL_")
    }
    return clean | {f"ARK_BROKER_{name.upper()}": str(value) for name, value in (settings or {}).items()}


def run_command(*arguments: str | Path, timeout: float = 60, **settings: object) -> subprocess.CompletedProcess[str]:
    """`ark-broker <arguments>` to its end, with only these settings."""
    return subprocess.run(
        [PROGRAM, *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Broker:
    """One `ark-broker serve`. It keeps its port, so that after a restart it is found where it was.

    `settings` are field names of `ark_broker.settings.Settings`, without the prefix.
    """

    def __init__(self, directory: Path, settings: Mapping[str, object]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = int(str(settings.get("port") or free_port()))
        self.settings = settings
        self._log_file = directory / f"broker-{self.port}.log"
        # The machine may be slow, and its disk busy with other tests: those that are about time say so.
        usual = {
            "log_format": "json",
            "data_dir": directory / "data",
            "shutdown_seconds": 5,
            "ack_timeout_seconds": 60,
            "grpc_port": 0,
        }
        self._environment = environment({**usual, **settings, "port": self.port})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def logs(self) -> str:
        """Everything it has written so far, over all its lives."""
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    def launch(self) -> None:
        """Start the process; returns at once."""
        assert not self.alive, "it runs already"
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "serve"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self, timeout: float = 120) -> Broker:
        """Start the process and wait until it is ready."""
        self.launch()
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout: float = 120) -> None:
        """Wait for `/readyz` to answer 200. Fails at once where the process has ended."""
        wait_until(self._ready_or_dead, timeout=timeout, what=f"{self.url} to be ready")

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def terminate(self, timeout: float = 30) -> int:
        """SIGTERM, and wait; returns the exit code."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        return process.wait(timeout)

    def wait(self, timeout: float = 30) -> int:
        """Wait for it to end by itself; returns the exit code."""
        return self._running().wait(timeout)

    def kill(self) -> None:
        """kill -9, its workers too: nothing is finished or flushed."""
        process = self._running()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)

    def close(self) -> None:
        """Stop it if it still runs; by force if it does not want to."""
        if self._process is None:
            return
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not stop when told to:\n{self.logs[-4000:]}") from None

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was never started"
        return self._process

    def _ready_or_dead(self) -> bool:
        code = self._running().poll()
        assert code is None, f"it ended with exit code {code}:\n{self.logs[-4000:]}"
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


class StartBroker(Protocol):
    """`start_broker(database_url, port=…, queue_bytes="1MiB", …)`; settings are field names of Settings."""

    def __call__(self, database_url: str, /, *, ready: bool = True, **settings: object) -> Broker: ...
