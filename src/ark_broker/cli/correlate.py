"""`ark-broker correlate`: which session, query and trace something belongs to."""

from __future__ import annotations

from typing import Annotated

import typer

from ark_broker.cli.connection import Url, connect
from ark_broker.cli.failing import one_line_failures
from ark_broker.cli.output import Json, write_json, write_line
from ark_broker.cli.render.values import plain


def correlate(
    url: Url = None,
    trace_id: Annotated[str | None, typer.Option(help="Id of a trace.")] = None,
    traceparent: Annotated[str | None, typer.Option(help="A W3C traceparent.")] = None,
    query: Annotated[str | None, typer.Option(help="Name of a query.")] = None,
    query_uid: Annotated[str | None, typer.Option(help="Uid of a query.")] = None,
    task_id: Annotated[str | None, typer.Option(help="Id of an A2A task.")] = None,
    context_id: Annotated[str | None, typer.Option(help="Id of an A2A context.")] = None,
    mcp_session_id: Annotated[str | None, typer.Option(help="Id of an MCP session.")] = None,
    mcp_server: Annotated[str | None, typer.Option(help="Name of its server.")] = None,
    conversation_id: Annotated[str | None, typer.Option(help="Id of a conversation.")] = None,
    tool_call_id: Annotated[str | None, typer.Option(help="Id of a tool call.")] = None,
    as_json: Json = False,
) -> None:
    """Say which session, query and trace something belongs to, and why.

    Give what you have; of several keys the most trusted that is known decides. docs/correlation.md has the rules.

        ark-broker correlate --trace-id 4bf92f3577b34da6a3ce929d0e0e4736

        ark-broker correlate --task-id task-xyz --json | jq -r .session

    Exit codes: 0 done · 1 failed · 2 wrong option · 3 nothing is known of it · 4 not permitted · 5 unreachable.
    """
    keys = {
        "trace_id": trace_id,
        "traceparent": traceparent,
        "query": query,
        "query_uid": query_uid,
        "task_id": task_id,
        "context_id": context_id,
        "mcp_session_id": mcp_session_id,
        "mcp_server": mcp_server,
        "conversation_id": conversation_id,
        "tool_call_id": tool_call_id,
    }
    given = {name: value for name, value in keys.items() if value is not None}
    if not given.keys() - {"mcp_server"}:
        raise typer.BadParameter("say what to look for, such as --trace-id or --task-id")
    with one_line_failures(), connect(url) as client:
        found = client.correlate(**given)
        if as_json:
            write_json(found)
            return
        for name in ("session", "query", "trace", "rule", "namedBy", "key"):
            value = found.get(name)
            if value is not None:
                write_line(f"{name}\t{plain(value, most=None)}")
            elif name == "session":
                write_line("session\t(nobody has named it yet)")
