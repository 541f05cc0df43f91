"""Several broker processes on one port: the parent holds the socket, starts them, and replaces one that dies."""

from __future__ import annotations

import multiprocessing
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Final

import structlog

_log = structlog.get_logger(__name__)

#: A worker that exits with an error sooner than this could not start: starting it again would only repeat it.
_SETTLED_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 0.5


def supervise(count: int, work: Callable[[list[socket.socket]], None], listener: socket.socket) -> int:
    """Run `work` in `count` processes until told to stop; returns the exit code for this one.

    SIGTERM and SIGINT are handed on to the workers, which finish what they have. A worker that dies is replaced; one
    that exits with an error right after its start ends them all.
    """
    return _Supervisor(count, work, listener).run()


class _Supervisor:
    def __init__(self, count: int, work: Callable[[list[socket.socket]], None], listener: socket.socket) -> None:
        self._count = count
        self._work = work
        self._listener = listener
        # A forked child would share the parent's locks in whatever state they are: spawn starts afresh.
        self._context = multiprocessing.get_context("spawn")
        self._started: dict[BaseProcess, float] = {}
        self._stopping = threading.Event()
        self._code = 0

    def run(self) -> int:
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._stop)
        for _ in range(self._count):
            self._start()
        while self._started:
            wait([process.sentinel for process in self._started], timeout=1.0)
            for process in [process for process in self._started if not process.is_alive()]:
                self._ended(process)
        return self._code

    def _start(self) -> None:
        if self._stopping.is_set():
            return
        process = self._context.Process(target=self._work, args=([self._listener],))
        process.start()
        self._started[process] = time.monotonic()
        if self._stopping.is_set():
            # Told to stop while it was being started: the signal found it in no list.
            process.terminate()

    def _ended(self, process: BaseProcess) -> None:
        lived = time.monotonic() - self._started.pop(process)
        process.join()
        if self._stopping.is_set():
            # One that was still starting when it was told to stop dies of the signal: that is what it was told.
            if process.exitcode not in (0, -signal.SIGTERM):
                self._code = self._code or 1
        elif lived < _SETTLED_SECONDS and (process.exitcode or 0) > 0:
            _log.error("a worker could not start; stopping", exit_code=process.exitcode)
            self._code = 1
            self._stop(signal.SIGTERM, None)
        else:
            _log.warning("a worker died; starting another", pid=process.pid, exit_code=process.exitcode)
            if lived < _SETTLED_SECONDS:
                # Whatever kills them as they start should not find a new one every moment.
                time.sleep(_PAUSE_SECONDS)
            self._start()

    def _stop(self, _sig: int, _frame: FrameType | None) -> None:
        self._stopping.set()
        for process in self._started:
            process.terminate()
