"""What a model said in a stream of chunks: whole messages, and what was being said when the stream broke off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from ark_broker.model import Event
from ark_broker.model.details import Message
from ark_broker.model.vocabulary import QUERY_RESUMED, QUERY_STARTED, STREAM_COMPLETED
from ark_broker.sessions.calls import TOOL_TYPES

#: Characters of one message, at most; what follows is left out.
_MAX_TEXT: Final = 4_000_000
#: Tool calls of one message, at most.
_MAX_CALLS: Final = 1_000

#: Stream, id of the completion, agent: chunks of one message have all of them in common.
_Key = tuple[str, str, str]


@dataclass(slots=True, eq=False)
class Turn:
    """One message of the model. Times are nanoseconds."""

    began: int
    ended: int
    agent: str | None
    _text: list[str] = field(default_factory=list)
    _size: int = 0
    _calls: list[dict[str, str]] = field(default_factory=list)
    #: The call that the next piece with that index belongs to.
    _at: dict[int, dict[str, str]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self._text)

    @property
    def call_ids(self) -> set[str]:
        """Ids of the tool calls in it."""
        return {call["id"] for call in self._calls}

    @property
    def message(self) -> Message:
        """It in OpenAI's shape."""
        message: Message = {"role": "assistant", "content": self.text or None}
        if self._calls:
            message["tool_calls"] = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": call["arguments"] or "{}"},
                }
                for call in self._calls
            ]
        return message

    def take(self, delta: dict[str, Any]) -> None:
        """Add what a chunk brings."""
        text = delta.get("content")
        if isinstance(text, str) and text and self._size < _MAX_TEXT:
            self._size += len(text)
            self._text.append(text)
        calls = delta.get("tool_calls")
        for piece in calls if isinstance(calls, list) else ():
            if isinstance(piece, dict) and self._size < _MAX_TEXT:
                self._take_call(piece)

    def _take_call(self, piece: dict[str, Any]) -> None:
        index = piece.get("index")
        index = index if isinstance(index, int) else len(self._calls)
        given, call = piece.get("id"), self._at.get(index)
        # Some services give every call the index 0: another id is another call.
        if call is None or (isinstance(given, str) and given and call["id"] not in ("", given)):
            if len(self._calls) >= _MAX_CALLS:
                return
            call = self._at[index] = {"id": "", "name": "", "arguments": ""}
            self._calls.append(call)
        if isinstance(given, str) and given:
            call["id"] = given
        function = piece.get("function")
        if isinstance(function, dict):
            name, arguments = function.get("name"), function.get("arguments")
            call["name"] += name if isinstance(name, str) and call["name"] != name else ""
            if isinstance(arguments, str):
                self._size += len(arguments)
                call["arguments"] += arguments


class Turns:
    """The messages that a query's chunks make up. Takes its events in the order of the log, each once.

    A message is whole at its finish reason, at the marker that completes its stream, and once one of its tools is
    called, for a tool is called when the model has finished.
    """

    def __init__(self) -> None:
        #: Whole messages, in the order in which they became so.
        self.whole: list[Turn] = []
        self._open: dict[_Key, Turn] = {}
        #: What was unfinished when the query was begun anew: no later chunk is part of it.
        self._left: list[Turn] = []
        #: When the message began that began last.
        self._latest = 0

    @property
    def broken(self) -> Turn | None:
        """The message that the stream broke off in; None where it was begun anew, or nothing is unfinished."""
        # Who was cut off and said it again began after that. What is said at the same time, by another agent, did not.
        found = [turn for turn in (*self._left, *self._open.values()) if turn.text and turn.ended >= self._latest]
        return max(found, key=lambda turn: turn.ended, default=None)

    def add(self, event: Event) -> None:
        """Take one event of the query."""
        if event.kind == "chunk":
            self._add_chunk(event)
        elif event.type in TOOL_TYPES:
            self._finish(lambda _key, turn: _is_followed_by(turn, event))
        elif event.type in (QUERY_STARTED, QUERY_RESUMED) and event.kind != "span":
            self._left += self._open.values()
            self._open.clear()

    def _add_chunk(self, event: Event) -> None:
        stream = event.stream_id or event.query or ""
        if event.type == STREAM_COMPLETED:
            self._finish(lambda key, _turn: key[0] == stream)
            return
        chunk, choice = _parsed(event.body)
        delta = choice.get("delta") or choice.get("message")
        completion = chunk.get("id")
        key = (stream, completion if isinstance(completion, str) else "", event.agent or "")
        turn = self._open.get(key)
        if isinstance(delta, dict) and (delta.get("content") or delta.get("tool_calls")):
            if turn is None:
                turn = self._open[key] = Turn(event.time, event.time, event.agent)
                self._latest = max(self._latest, event.time)
            turn.take(delta)
            turn.ended = event.time
        if turn is not None and choice.get("finish_reason"):
            self.whole.append(self._open.pop(key))

    def _finish(self, is_finished: Callable[[_Key, Turn], bool]) -> None:
        for key in [key for key, turn in self._open.items() if is_finished(key, turn)]:
            self.whole.append(self._open.pop(key))


def _is_followed_by(turn: Turn, event: Event) -> bool:
    """True where the tool event shows that the model had finished. A span is reported late, an event at once."""
    if event.tool_call_id is not None and event.tool_call_id in turn.call_ids:
        return True
    return event.kind != "span" and event.time >= turn.ended


def _parsed(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The chunk and its first choice; empty where there is none."""
    try:
        chunk = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}, {}
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or choice.get("index", 0) != 0:
        return {}, {}
    return chunk, choice
