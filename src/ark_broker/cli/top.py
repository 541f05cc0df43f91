"""`ark-broker top`: what runs and what waits, on the whole screen."""

from __future__ import annotations

import queue
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ark_broker.cli.connection import Url, connect
from ark_broker.cli.failing import Exit, one_line_failures
from ark_broker.cli.output import Json, on_terminal, terminal, write_json, write_line

if TYPE_CHECKING:
    from ark_broker.cli.render.overview import Overview
    from ark_broker.client import BrokerError, Client

#: Sessions of a status that are looked at, and questions.
_MOST = 100
_KEY_SECONDS = 0.2


def top(
    url: Url = None,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once; also where stdout is no terminal.")] = False,
    as_json: Json = False,
) -> None:
    """Watch what runs and what waits: sessions, events a second, tokens, cost, open questions.

    q or Ctrl-C ends it, with exit code 0. A broker that goes away is waited for.

        ark-broker top

        ark-broker top --once --json | jq '.questions[].id'

    Exit codes: 0 done · 1 failed · 2 wrong option · 4 not permitted · 5 unreachable when it began.
    """
    from ark_broker.cli.render.overview import Overview

    with one_line_failures(interrupted=Exit.DONE), connect(url, timeout=10) as client:
        overview = Overview(client.url)
        overview.take(_look(client), time.monotonic())
        if as_json:
            write_json(overview.as_json())
        elif once or not on_terminal():
            for line in overview.lines():
                write_line(line)
        else:
            _watch(client, overview, interval)


def _look(client: Client) -> dict[str, Any]:
    """Everything that the screen shows, as it is now."""
    running = [*client.sessions(status="active", limit=_MOST)]
    waiting = [*client.sessions(status="waiting", limit=_MOST)]
    return {
        "head": client.head(),
        "sessions": [*waiting, *running],
        "questions": [*client.questions(state="open", limit=_MOST)],
    }


def _watch(client: Client, overview: Overview, interval: float) -> None:
    """Until somebody presses q. A thread asks the broker, so that a slow one delays no key."""
    from rich.live import Live

    from ark_broker.cli.render.screen import screen

    looks: queue.Queue[dict[str, Any] | BrokerError] = queue.Queue(maxsize=1)
    stopped = threading.Event()
    looker = threading.Thread(target=_keep_looking, args=(client, interval, looks, stopped), daemon=True, name="top")
    console = terminal()
    with _keys() as key_pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        looker.start()
        try:
            live.update(screen(overview, console.height), refresh=True)
            while key_pressed() not in ("q", "Q", "\x03", "\x04"):
                if not looks.empty():
                    found = looks.get_nowait()
                    if isinstance(found, dict):
                        overview.take(found, time.monotonic())
                    else:
                        overview.lose(str(found))
                live.update(screen(overview, console.height), refresh=True)
        finally:
            stopped.set()


def _keep_looking(
    client: Client,
    interval: float,
    looks: queue.Queue[dict[str, Any] | BrokerError],
    stopped: threading.Event,
) -> None:
    from ark_broker.client import BrokerError

    while not stopped.wait(interval):
        found: dict[str, Any] | BrokerError
        try:
            found = _look(client)
        except BrokerError as error:
            found = error
        except RuntimeError:
            # The client was closed under it: the command has ended.
            return
        looks.put(found)


@contextmanager
def _keys() -> Iterator[Any]:
    """A function that waits a moment for a key; the terminal is as before afterwards, also after SIGTERM."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        if not sys.stdin.isatty():
            yield _no_key
            return
        import termios
        import tty

        descriptor = sys.stdin.fileno()
        settings = termios.tcgetattr(descriptor)
        try:
            tty.setcbreak(descriptor)
            yield lambda: _key(descriptor)
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, settings)
    finally:
        signal.signal(signal.SIGTERM, before)


def _key(descriptor: int) -> str:
    import os

    ready, _, _ = select.select([descriptor], [], [], _KEY_SECONDS)
    if not ready:
        return ""
    # Nothing to read is the end of the terminal: it was closed.
    return os.read(descriptor, 1).decode("latin-1") or "q"


def _no_key() -> str:
    time.sleep(_KEY_SECONDS)
    return ""


def _end(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)
