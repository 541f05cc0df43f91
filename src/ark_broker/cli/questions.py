"""`ark-broker questions`: what waits for a person."""

from __future__ import annotations

from typing import Annotated

import typer

from ark_broker.cli.connection import Url, connect
from ark_broker.cli.failing import one_line_failures
from ark_broker.cli.output import Json, on_terminal, write_json, write_line, write_table


def questions(
    url: Url = None,
    session: Annotated[str | None, typer.Option(help="Only those of this session.")] = None,
    query: Annotated[str | None, typer.Option(help="Only those of this query.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most of them.")] = 1_000,
    as_json: Json = False,
) -> None:
    """List the questions that wait for an answer, newest first.

    In a pipe: one a line, fields separated by tabs, without a heading.

        ark-broker questions

        ark-broker questions --all --session session-abc --json

    Exit codes: 0 done · 1 failed · 2 wrong option · 4 not permitted · 5 unreachable.
    """
    from datetime import UTC, datetime

    from ark_broker.cli.render.summaries import QUESTION_COLUMNS, question_row

    with one_line_failures(), connect(url) as client:
        found = client.questions(state=None if every else "open", session=session, query=query, limit=limit)
        if as_json:
            for question in found:
                write_json(question)
            return
        now = datetime.now(UTC)
        rows = [question_row(question, now) for question in found]
        if rows or not on_terminal():
            write_table(QUESTION_COLUMNS, rows, wide="TEXT")
        else:
            write_line("no questions" if every else "nothing waits for an answer")
