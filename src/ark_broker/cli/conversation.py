"""`ark-broker conversation`: what was said in a session."""

from __future__ import annotations

from typing import Annotated

import typer

from ark_broker.cli.connection import Url, connect, not_empty
from ark_broker.cli.failing import one_line_failures
from ark_broker.cli.output import STYLES, Json, coloured, on_terminal, write, write_json


def conversation(
    session: Annotated[str, typer.Argument(metavar="SESSION", callback=not_empty, help="Id of the session.")],
    url: Url = None,
    query: Annotated[str | None, typer.Option(help="Only what this query said.")] = None,
    conversation: Annotated[str | None, typer.Option(help="Only this conversation.")] = None,
    as_json: Json = False,
) -> None:
    """Show what was said in a session as a chat, tool calls in their places.

    With --json: one OpenAI message a line.

        ark-broker conversation session-abc --query query-001

    Exit codes: 0 done · 1 failed · 2 wrong option · 3 no such session · 4 not permitted · 5 unreachable.
    """
    from ark_broker.cli.render.chat import chat

    with one_line_failures(), connect(url) as client:
        found = client.conversation(session, query=query, conversation=conversation)
        if as_json:
            for message in found["messages"]:
                write_json(message)
            return
        for piece in chat(found):
            write(coloured(piece.text, STYLES[piece.mood]) if on_terminal() else piece.text)
