"""A pseudo-terminal with `ark-broker` in it: what it shows, what is typed, what is left of the terminal afterwards."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.process import PROGRAM, environment
from tests.support.waiting import wait_until

#: What a program may say to a terminal: CSI, and OSC.
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")


def _as_in_a_terminal() -> None:
    """Ctrl-C needs a controlling terminal, and does nothing where who runs the tests has it ignored (`nohup`, `&`)."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _environment() -> dict[str, str]:
    """That of a shell in a terminal: its size is asked of it."""
    own = {"TERM": "xterm-256color", "NO_COLOR": "", "XDG_CONFIG_HOME": "/nonexistent"}
    return {name: value for name, value in environment().items() if name not in ("COLUMNS", "LINES")} | own


class Terminal:
    """One process on a terminal of 120 columns and 40 lines. With `stdout_only` stdin is none."""

    def __init__(self, *arguments: str | Path, **variables: str) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.before: list[Any] = termios.tcgetattr(self._slave)
        self._shown = b""
        self._process = subprocess.Popen(
            [PROGRAM, *arguments],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=_environment() | variables,
            start_new_session=True,
            preexec_fn=_as_in_a_terminal,  # noqa: PLW1509
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def raw(self) -> str:
        """Everything it has written, escapes and all."""
        return self._shown.decode(errors="replace")

    @property
    def text(self) -> str:
        """What it has written, without escapes, lines as they were written."""
        return _SEQUENCE.sub("", self.raw).replace("\r\n", "\n")

    def wait_for(self, text: str, timeout: float = 30) -> None:
        wait_until(lambda: text in self.text, timeout=timeout, what=f"{text!r} on the terminal")

    def type(self, text: str) -> None:
        """As from the keyboard: \\x03 is Ctrl-C."""
        os.write(self._master, text.encode())

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout: float = 30) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(timeout)

    def settings(self) -> list[Any]:
        """How the terminal is now."""
        return termios.tcgetattr(self._slave)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(30)
        os.close(self._slave)
        self._reader.join(10)
        os.close(self._master)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            if not data:
                return
            self._shown += data


@contextmanager
def on_terminal(*arguments: str | Path, **variables: str) -> Iterator[Terminal]:
    """The command on a terminal; ended, if it still runs, when the block ends."""
    terminal = Terminal(*arguments, **variables)
    try:
        yield terminal
    finally:
        terminal.close()
