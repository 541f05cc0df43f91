"""`ark-broker doctor`: does it work, and what to do where it does not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from ark_broker.cli.connection import Url, connection
from ark_broker.cli.failing import Exit, fail, one_line_failures
from ark_broker.cli.output import STYLES, Json, coloured, on_terminal, write_json, write_line
from ark_broker.cli.render.printable import printable

if TYPE_CHECKING:
    from ark_broker.cli.checks import Check


def doctor(url: Url = None, as_json: Json = False) -> None:
    """Check everything between this machine and what the broker shows, and say what to do.

    Is it reachable and ready, is its schema current, what may the token, is an OpenTelemetry span that is sent seen on
    a live stream, and how fast; do the clocks agree; would an exporter with this environment's OTEL_… variables reach
    this broker. Its own session is deleted at the end, where the token may.

        ark-broker doctor

        ark-broker doctor --url https://broker.example.com --json

    Exit codes: 0 all is well · 1 a check failed · 2 wrong option.
    """
    from ark_broker.cli.checks import checks
    from ark_broker.cli.configuration import ConfigError

    try:
        found = connection(url)
    except ConfigError as error:
        fail(str(error))
    failed = False
    with one_line_failures():
        for check in checks(found, os.environ):
            failed = failed or check.state == "failed"
            _show(check, as_json=as_json)
    if failed:
        raise typer.Exit(int(Exit.FAILED))


def _show(check: Check, *, as_json: bool) -> None:
    if as_json:
        told = {"check": check.name, "state": check.state, "told": check.told}
        write_json(told | ({"do": check.todo} if check.todo else {}))
        return
    mood = {"ok": "good", "failed": "error", "warning": "waiting"}.get(check.state, "quiet")
    state = f"{check.state:<8}"
    word = coloured(state, STYLES[mood]) if on_terminal() else state  # type: ignore[index]
    write_line(f"{word}{check.name:<12}{printable(check.told)}")
    if check.todo:
        write_line(f"{'':<20}do: {printable(check.todo)}")
