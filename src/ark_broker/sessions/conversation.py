"""What was said in a session: messages in order, rebuilt from whichever source has the most of them.

A query's messages may have been stored as such, may stand in the spans of its model calls (each of which repeats the
conversation so far), and its answer may have been streamed. The fullest of them is shown; of equal ones that which
comes first here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from ark_broker.model import Event
from ark_broker.model.details import Exchange, Exchanges, Message
from ark_broker.model.vocabulary import LLM_CHUNK, LLM_MESSAGE, LLM_REQUEST, QUERY_STARTED

#: Characters of one streamed answer, at most.
_MAX_STREAMED: Final = 4_000_000


@dataclass(slots=True)
class _Call:
    """One model call: its span's messages, or those of the events in it."""

    time: int
    exchange: Exchange

    @property
    def messages(self) -> list[Message]:
        # What an agent gave may be the whole conversation again.
        return _continued(self.exchange.given, self.exchange.gave)

    @property
    def question(self) -> str:
        """The first thing a user said: it tells the agent's own thread from those of the agents it asked."""
        return next((_text(message) for message in self.exchange.given if message.get("role") == "user"), "")


@dataclass(slots=True)
class _Query:
    name: str
    began: int
    conversation: str | None = None
    stored: list[tuple[int, Message]] = field(default_factory=list)
    #: The fullest call of each thread, by the question that it began with, and when the thread was first seen.
    threads: dict[str, tuple[int, _Call]] = field(default_factory=dict)
    #: Events that tell of one model call each, by its span.
    pieces: dict[str, list[tuple[int, bytes, Exchange]]] = field(default_factory=dict)
    #: Spans of model calls that tell it all themselves.
    told: set[str] = field(default_factory=set)
    #: What the query, or its agent, was given and gave.
    runs: list[_Call] = field(default_factory=list)
    streamed: list[tuple[int, int, str]] = field(default_factory=list)
    size: int = 0

    def add_call(self, call: _Call) -> None:
        if not call.messages:
            return
        first, fullest = self.threads.get(call.question, (call.time, call))
        if (_weight(call.messages), call.time) > (_weight(fullest.messages), fullest.time):
            fullest = call
        self.threads[call.question] = (min(first, call.time), fullest)

    def messages(self) -> list[Message]:
        """The fullest source."""
        for span, pieces in self.pieces.items():
            if span not in self.told:
                self.add_call(_joined(pieces))
        found = [
            [message for _, message in sorted(self.stored, key=lambda item: item[0])],
            self._of_calls(),
            self._of_run(),
            self._of_stream(),
        ]
        return max(found, key=_weight)

    def _of_calls(self) -> list[Message]:
        if not self.threads:
            return []
        _, call = min(self.threads.values(), key=lambda thread: thread[0])
        return call.messages

    def _of_run(self) -> list[Message]:
        return max((run.messages for run in self.runs), key=_weight, default=[])

    def _of_stream(self) -> list[Message]:
        text = "".join(part for _, _, part in sorted(self.streamed))
        if not text:
            return []
        given = min((run.exchange.given for run in self.runs if run.exchange.given), key=len, default=[])
        return [*given, {"role": "assistant", "content": text}]


class Conversation:
    """Rebuilds what was said from a session's events, in any order, each once."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges
        self._queries: dict[str, _Query] = {}

    def add(self, event: Event) -> None:
        """Take one event of the session."""
        name = event.query or ""
        query = self._queries.get(name)
        if query is None:
            query = self._queries[name] = _Query(name, event.time)
        query.began = min(query.began, event.time)
        if event.conversation_id is not None and (query.conversation is None or event.type == QUERY_STARTED):
            query.conversation = event.conversation_id
        if event.kind == "chunk":
            self._add_chunk(query, event)
            return
        exchange = self._exchanges(event)
        if not exchange.given and not exchange.gave:
            return
        call = _Call(event.time, exchange)
        if event.kind == "message":
            query.stored += [(event.seq, message) for message in exchange.given]
        elif event.type == LLM_MESSAGE:
            piece = (event.time, event.id, exchange)
            query.pieces.setdefault(event.span_id or event.id.hex(), []).append(piece)
        elif event.type == LLM_REQUEST:
            query.add_call(call)
            if event.span_id is not None:
                query.told.add(event.span_id)
        else:
            query.runs.append(call)

    def _add_chunk(self, query: _Query, event: Event) -> None:
        if event.type != LLM_CHUNK or query.size > _MAX_STREAMED:
            return
        text = _delta(event.body)
        if text:
            query.size += len(text)
            query.streamed.append((event.time, event.seq, text))

    def build(self) -> list[dict[str, object]]:
        """`[{"id", "queries", "messages"}]`: conversations by their start; `id` is absent where nobody named one."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for query in sorted(self._queries.values(), key=lambda query: (query.began, query.name)):
            messages = [_shown(message) for message in query.messages()]
            if not messages:
                continue
            key = ("id", query.conversation) if query.conversation is not None else ("query", query.name)
            known = found.setdefault(key, {"queries": [], "messages": []})
            if query.conversation is not None:
                known["id"] = query.conversation
            if query.name:
                known["queries"].append(query.name)
            known["messages"] = _continued(known["messages"], messages)
        return list(found.values())


def _joined(pieces: list[tuple[int, bytes, Exchange]]) -> _Call:
    """One model call of the events that tell of it, in the order of their times."""
    ordered = sorted(pieces, key=lambda piece: piece[:2])
    given = [message for _, _, exchange in ordered for message in exchange.given]
    gave = [message for _, _, exchange in ordered for message in exchange.gave]
    return _Call(ordered[0][0], Exchange(given=given, gave=gave))


def _continued(before: Sequence[Message], after: Sequence[Message]) -> list[Message]:
    """The earlier messages and the later ones, of which the first may repeat the last of the earlier ones.

    Takes time as reading them does, however they repeat each other.
    """
    if not before:
        return list(after)
    reach = len(after)
    shared = _overlap([_identity(message) for message in before[-reach:]], [_identity(message) for message in after])
    return [*before, *after[shared:]]


def _overlap(one: list[object], other: list[object]) -> int:
    """How many items at the end of `one` are those at the beginning of `other`, at most (Knuth, Morris, Pratt)."""
    borders = [0] * len(other)
    length = 0
    for index in range(1, len(other)):
        while length and other[index] != other[length]:
            length = borders[length - 1]
        length += other[index] == other[length]
        borders[index] = length
    length = 0
    for item in one:
        while length and (length == len(other) or item != other[length]):
            length = borders[length - 1]
        if other and item == other[length]:
            length += 1
    return length


def _identity(message: Message) -> object:
    return message.get("role"), _text(message), message.get("tool_call_id")


def _weight(messages: Sequence[Message]) -> tuple[int, int]:
    return len(messages), sum(len(_text(message)) for message in messages)


def _text(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "" if content is None else orjson.dumps(content, default=str).decode()


def _shown(message: Message) -> Message:
    """As OpenAI has it: why it ended is the choice's, not the message's."""
    return {key: value for key, value in message.items() if key != "finish_reason"}


def _delta(body: bytes) -> str:
    """Text that a chunk adds to the first choice."""
    try:
        choices = orjson.loads(body).get("choices")
        content = choices[0]["delta"].get("content")
    except (orjson.JSONDecodeError, AttributeError, TypeError, KeyError, IndexError):
        return ""
    return content if isinstance(content, str) else ""
