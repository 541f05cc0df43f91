"""Tool calls of a query that is to be gone on with: joined to the messages that announce them.

A call is announced by a message of the model, and reported by events. The two are one call where they have the same id;
a report without an id is of the next announced call of its tool.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ark_broker.model.details import Message
from ark_broker.model.timestamps import rfc3339


@dataclass(slots=True)
class Content:
    """What one report of a tool call says."""

    arguments: object = None
    result: object = None
    is_end: bool = False
    agent: str | None = None
    server: str | None = None


@dataclass(slots=True)
class Call:
    """One tool call, of all its reports."""

    id: str | None
    tool: str | None
    began: int
    is_over: bool
    content: Content = field(default_factory=Content)


def with_turns(told: Sequence[Message], streamed: Iterable[Message]) -> list[Message]:
    """The messages that were told, and those that only the stream has, each where it was said."""
    messages: list[Message] = []
    left = list(told)
    waiting: list[Message] = []
    for turn in streamed:
        at = next((number for number, each in enumerate(left) if _is_same(each, turn)), None)
        if at is None:
            waiting.append(turn)
            continue
        messages += [*left[:at], *waiting, left[at]]
        left, waiting = left[at + 1 :], []
    return [*messages, *left, *waiting]


def _is_same(one: Message, other: Message) -> bool:
    if one.get("role") != "assistant":
        return False
    ids, others = _announced_ids(one), _announced_ids(other)
    return bool(ids & others) if ids or others else text_of(one.get("content")) == text_of(other.get("content"))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call that the message at `index` announces."""

    index: int
    id: str
    name: str
    arguments: str
    #: What was reported of it.
    call: Call | None
    is_answered: bool


def _asked(messages: Sequence[Message], calls: Sequence[Call]) -> list[_Asked]:
    """Every announced call. Some models give the same id again: a message answers the calls of the turn before it."""
    found: list[_Asked] = []
    taken: set[int] = set()
    for index, message in enumerate(messages):
        answered = {text_of(each.get("tool_call_id")) for each in messages[index + 1 : _end_of_turn(messages, index)]}
        for call in _announced(message):
            reported = _reported(call, calls, taken)
            found.append(_Asked(index, call["id"], call["name"], call["arguments"], reported, call["id"] in answered))
    return found


def _end_of_turn(messages: Sequence[Message], index: int) -> int:
    """Behind the last message of role `tool` that follows the message directly."""
    end = index + 1
    while end < len(messages) and messages[end].get("role") == "tool":
        end += 1
    return end


def with_results(messages: Sequence[Message], calls: Sequence[Call]) -> list[Message]:
    """The messages, with the results that were reported of the calls that they announce and do not answer."""
    results: dict[int, list[Message]] = {}
    for asked in _asked(messages, calls):
        result = None if asked.call is None or not asked.call.is_over else asked.call.content.result
        if result is not None and not asked.is_answered:
            at = _end_of_turn(messages, asked.index)
            results.setdefault(at, []).append({"role": "tool", "tool_call_id": asked.id, "content": text_of(result)})
    found: list[Message] = []
    for number, message in enumerate(messages, 1):
        found += [message, *results.get(number, ())]
    return found


def pending_calls(messages: Sequence[Message], calls: Sequence[Call]) -> list[dict[str, Any]]:
    """Calls without a result: those that the last message of the model announces, then those that only began."""
    every = _asked(messages, calls)
    found = [
        _pending_json(asked.id, asked.name, asked.arguments, asked.call, in_messages=True)
        for asked in every
        if not asked.is_answered and _end_of_turn(messages, asked.index) == len(messages)
    ]
    known = {id(asked.call) for asked in every}
    for call in calls:
        if id(call) not in known and not call.is_over:
            arguments = "{}" if call.content.arguments is None else text_of(call.content.arguments)
            found.append(_pending_json(call.id or "", call.tool or "", arguments, call, in_messages=False))
    return found


def _reported(announced: dict[str, str], calls: Sequence[Call], taken: set[int]) -> Call | None:
    """The reported call that is the announced one: by its id, else the next of that tool whose reports have no id."""
    by_tool = None
    for number, call in enumerate(calls):
        if number in taken:
            continue
        if call.id is not None and call.id == announced["id"]:
            taken.add(number)
            return call
        if by_tool is None and call.id is None and call.tool == announced["name"]:
            by_tool = number
    if by_tool is None:
        return None
    taken.add(by_tool)
    return calls[by_tool]


def _announced(message: Message) -> list[dict[str, str]]:
    """The calls that a message of the model asks for: `id`, `name` and `arguments` of each."""
    calls = message.get("tool_calls")
    found: list[dict[str, str]] = []
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            found.append(
                {
                    "id": text_of(call.get("id")),
                    "name": text_of(function.get("name")),
                    "arguments": text_of(function.get("arguments")) or "{}",
                }
            )
    return found


def _announced_ids(message: Message) -> set[str]:
    return {call["id"] for call in _announced(message)} - {""}


def _pending_json(call_id: str, tool: str, arguments: str, call: Call | None, *, in_messages: bool) -> dict[str, Any]:
    state = "announced" if call is None else "unrecorded" if call.is_over else "started"
    return present(
        id=call_id,
        type="function",
        function={"name": tool, "arguments": arguments},
        state=state,
        inMessages=in_messages,
        startedAt=None if call is None else rfc3339(call.began),
        agent=None if call is None else call.content.agent,
        mcpServer=None if call is None else call.content.server,
    )


def text_of(value: object) -> str:
    """Text as it is, anything else as JSON; nothing is empty."""
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def present(**values: object) -> dict[str, Any]:
    """The values that somebody said."""
    return {key: value for key, value in values.items() if value is not None}
