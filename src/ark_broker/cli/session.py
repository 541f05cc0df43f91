"""`ark-broker session`: one session as a tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ark_broker.cli.connection import Url, connect, not_empty
from ark_broker.cli.failing import one_line_failures
from ark_broker.cli.output import STYLES, Json, on_terminal, styled, terminal, write_json, write_line

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from ark_broker.cli.render.failures import Failure, Span
    from ark_broker.cli.render.label import Label, Node
    from ark_broker.client import Client

#: Traces that are looked into for the spans that failed.
_MOST_TRACES = 20


def session(
    session: Annotated[str, typer.Argument(metavar="SESSION", callback=not_empty, help="Id of the session.")],
    url: Url = None,
    full: Annotated[
        bool, typer.Option("--full", "-f", help="Every entry, values whole, with times, tokens and cost.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a session as a tree: its queries, and what happened in each.

    What failed is marked ERROR, and listed once more at the end with the span and the trace.

        ark-broker session session-abc

        ark-broker session session-abc --full | less

    Exit codes: 0 done · 1 failed · 2 wrong option · 3 no such session · 4 not permitted · 5 unreachable.
    """
    with one_line_failures(), connect(url) as client:
        found = client.session(session)
        if as_json:
            write_json(found)
            return
        from ark_broker.cli.render.failures import failures
        from ark_broker.cli.render.tree import ROOT, ascii_tree, session_node

        node = session_node(found, full=full)
        wrong = failures(found, _spans(client, found))
        if on_terminal():
            _draw(node, ROOT)
        else:
            for line in ascii_tree(node):
                write_line(line)
        _show_failures(wrong)


def _spans(client: Client, session: Mapping[str, Any]) -> list[Span]:
    """Spans of the traces of queries in which something failed; without traces that cannot be read."""
    from ark_broker.cli.render.failures import failures, spans_of
    from ark_broker.client import Refused

    failed = {each.trace for each in failures(session, ()) if each.trace}
    spans: list[Span] = []
    for trace in sorted(failed)[:_MOST_TRACES]:
        try:
            spans += spans_of(client.trace(trace))
        except Refused as error:
            # A trace is more than a session: it may hold too much, or what this token may not see.
            if error.status not in (400, 403, 404, 413):
                raise
    return spans


def _draw(node: Node, root: str) -> None:
    from rich.tree import Tree

    tree = Tree(styled(root), guide_style="dim")
    _grow(tree.add(_text(node.label)), node)
    terminal().print(tree, soft_wrap=True)


def _grow(branch: Tree, node: Node) -> None:
    for child in node.children:
        _grow(branch.add(_text(child.label)), child)


def _text(label: Label) -> Text:
    text = styled(f"{label.when} " if label.when else "", "quiet")
    if label.kind:
        text.append(f"[{label.kind}] ", style="bold" if label.mood != "error" else STYLES["error"])
    text.append(label.text, style=STYLES[label.mood])
    if label.hint:
        text.append(f" > {label.hint}", style=STYLES["quiet"])
    return text


def _show_failures(found: list[Failure]) -> None:
    if not found:
        return
    lines = ["", "1 error:" if len(found) == 1 else f"{len(found)} errors:", *(f"  {each}" for each in found)]
    for line in lines:
        if on_terminal():
            terminal().print(styled(line, "error"), soft_wrap=True)
        else:
            write_line(line)
