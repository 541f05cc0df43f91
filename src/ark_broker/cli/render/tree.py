"""The session as a tree: nodes, and the tree drawn in ASCII."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ark_broker.cli.render import amounts
from ark_broker.cli.render.entries import QueryLines
from ark_broker.cli.render.label import MOODS, Label, Node
from ark_broker.cli.render.printable import printable

ROOT = "Sessions"


def session_node(session: Mapping[str, Any], *, full: bool = False) -> Node:
    """The session with its queries; entries that belong to none of them stand below them."""
    status = str(session.get("status", "unknown"))
    label = Label(f"{printable(str(session['id']))} ({printable(status)})", mood=MOODS.get(status, "plain"))
    children = [_query_node(name, query, full=full) for name, query in session.get("queries", {}).items()]
    own = QueryLines("", session, full).build() if session.get("events") else []
    children += [Node(each) for each in own]
    if session.get("truncated"):
        children.append(Node(Label("... the session is longer than what is shown", mood="quiet")))
    return Node(label, children)


def ascii_tree(session: Node) -> Iterator[str]:
    """The lines of the tree, one session below the root.

    The bar under the session goes on to the last line: as in every picture of this tree.
    """
    yield ROOT
    yield f"+-- {session.label}"
    last = len(session.children) - 1
    for index, child in enumerate(session.children):
        yield f"|   +-- {child.label}"
        bar = "|   |   " if index < last else "|       "
        for line in child.children:
            yield f"{bar}+-- {line.label}"
        if child.children and index < last:
            yield "|   |"


def _query_node(name: str, query: Mapping[str, Any], *, full: bool) -> Node:
    phase = str(query.get("phase", "unknown"))
    text = f"{printable(name)} ({printable(phase)})"
    if full:
        text += "".join(f"  {each}" for each in _figures(query))
    children = [Node(each) for each in QueryLines(name, query, full).build()]
    if omitted := query.get("omitted"):
        children.insert(0, Node(Label(f"... {omitted} earlier entries", mood="quiet")))
    return Node(Label(text, mood=MOODS.get(phase, "plain")), children)


def _figures(query: Mapping[str, Any]) -> Iterator[str]:
    if "duration" in query:
        yield amounts.duration(query["duration"])
    if "timeToFirstToken" in query:
        yield f"first token {amounts.duration(query['timeToFirstToken'])}"
    if query.get("tokens"):
        yield f"{amounts.tokens(query['tokens'])} tokens"
    if query.get("cost"):
        yield amounts.dollars(query["cost"])
    if query.get("traceId"):
        yield f"trace {printable(str(query['traceId']))}"
