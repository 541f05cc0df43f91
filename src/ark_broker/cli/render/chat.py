"""A conversation as a chat: who speaks, and what, with tool calls where they were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ark_broker.cli.render.flow import Piece
from ark_broker.cli.render.label import Mood
from ark_broker.cli.render.printable import printable
from ark_broker.cli.render.values import plain, text_of

_MOODS: dict[str, Mood] = {"user": "busy", "assistant": "good", "tool": "waiting"}
#: Characters of a tool's result, of which a chat shows the beginning.
_RESULT = 400


def chat(conversation: Mapping[str, Any]) -> Iterator[Piece]:
    """The conversations of a session, one after the other, each headed by its queries where there are several."""
    parts = conversation.get("conversations") or [{"messages": conversation.get("messages", [])}]
    calls: dict[str, str] = {}
    for index, part in enumerate(parts):
        if len(parts) > 1:
            queries = ", ".join(plain(query) for query in part.get("queries", [])) or plain(part.get("id", ""))
            gap = "\n" if index else ""
            yield Piece(f"{gap}-- {queries}\n", "quiet")
        for message in part["messages"]:
            yield from _message(message, calls)
    if conversation.get("truncated"):
        yield Piece("-- there is more than what is shown\n", "quiet")


def _message(message: Mapping[str, Any], calls: dict[str, str]) -> Iterator[Piece]:
    role = plain(message.get("role", "unknown"))
    speaker = f"{role} {plain(message['name'])}" if message.get("name") else role
    text = text_of(message.get("content"))
    if role == "tool":
        name = calls.get(str(message.get("tool_call_id")), plain(message.get("name") or "tool"))
        yield Piece("tool: ", "waiting")
        yield Piece(f"{name} -> {plain(text, most=_RESULT)}\n")
        return
    if text or not message.get("tool_calls"):
        yield Piece(f"{speaker}: ", _MOODS.get(role, "quiet"))
        yield Piece(printable(text, lines=True).replace("\n", "\n  ") + "\n")
    for call in message.get("tool_calls") or []:
        function = call.get("function", {})
        name = plain(function.get("name") or "tool")
        calls[str(call.get("id"))] = name
        yield Piece(f"{speaker}: ", _MOODS.get(role, "quiet"))
        yield Piece(f"calls {name}({plain(function.get('arguments') or '')})\n")
