"""`ark-broker sessions`: the sessions there are."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ark_broker.cli.ages import Since, since_time
from ark_broker.cli.connection import Url, connect
from ark_broker.cli.failing import Exit, one_line_failures
from ark_broker.cli.output import Json, on_terminal, terminal, write_json, write_line, write_table

if TYPE_CHECKING:
    from ark_broker.client import Client


class Status(StrEnum):
    """Of a session, see docs/api.md."""

    ACTIVE = "active"
    WAITING = "waiting"
    IDLE = "idle"
    ERROR = "error"


def sessions(
    url: Url = None,
    status: Annotated[Status | None, typer.Option(help="Only those of this status.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only those this agent works in.")] = None,
    query: Annotated[str | None, typer.Option(help="Only those with this query.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Only those of this namespace.")] = None,
    search: Annotated[str | None, typer.Option("--search", "-q", help="Free text over names.")] = None,
    since: Since = None,
    until: Annotated[str | None, typer.Option(metavar="AGE|TIME", help="Active before.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most of them.")] = 50,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show them again every two seconds.")] = False,
    as_json: Json = False,
) -> None:
    """List sessions, newest activity first.

    In a pipe: one a line, fields separated by tabs, without a heading.

        ark-broker sessions --status error --since 1h

        ark-broker sessions --agent planner --json | jq -r .id

    Exit codes: 0 done · 1 failed · 2 wrong option · 4 not permitted · 5 unreachable.
    """
    filters: dict[str, Any] = {
        "status": status.value if status else None,
        "agent": agent,
        "query": query,
        "namespace": namespace,
        "search": search,
        "since": since_time(since, "--since"),
        "until": since_time(until, "--until"),
        "limit": limit,
    }
    with one_line_failures(interrupted=Exit.DONE if watch else Exit.INTERRUPTED), connect(url) as client:
        while True:
            _show(client, filters, as_json=as_json, clear=watch and on_terminal())
            if not watch:
                return
            time.sleep(2)


def _show(client: Client, filters: dict[str, Any], *, as_json: bool, clear: bool) -> None:
    from datetime import UTC, datetime

    from ark_broker.cli.render.summaries import SESSION_COLUMNS, session_row

    found = client.sessions(**filters)
    if as_json:
        for each in found:
            write_json(each)
        return
    now = datetime.now(UTC)
    rows = [session_row(each, now) for each in found]
    if clear:
        terminal().clear()
    if rows or not on_terminal():
        write_table(SESSION_COLUMNS, rows, wide="AGENTS")
    else:
        write_line("no sessions")
