"""Events to the entries of a view: one for each thing that a person would call one thing.

    tool.call, tool.result | tool.failed   →   {"type": "tool.call", "tool", "input", "output", "duration"}
    chunk, chunk, chunk, completion marker →   {"type": "stream", "stream", "tokens", "chunks", "complete": true}
    any other event                        →   {"type", "ts", …}

Everything is sorted before it is put together, so no entry depends on the order of arrival.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, Protocol

import msgspec

from ark_broker.model import Event
from ark_broker.model.details import Describe, Details
from ark_broker.model.timestamps import milliseconds, rfc3339
from ark_broker.model.vocabulary import (
    AGENT_STARTED,
    LLM_CHUNK,
    LLM_ERROR,
    LLM_USAGE,
    QUERY_RESUMED,
    QUERY_STARTED,
    QUERY_WAITING,
    QUESTION_ANSWERED,
    QUESTION_ASKED,
    STREAM_COMPLETED,
    TOOL_CALL,
    TOOL_FAILED,
    TOOL_RESULT,
)
from ark_broker.sessions.lifecycle import KNOWN, TOOL_TYPES, moment, order

Entry = dict[str, object]

#: A span under one of these names says that something happened, not how long it took.
_INSTANT: Final = frozenset(
    {QUERY_STARTED, QUERY_WAITING, QUERY_RESUMED, QUESTION_ASKED, QUESTION_ANSWERED, AGENT_STARTED}
)


class _Block(Protocol):
    def render(self, describe: Describe) -> Entry: ...


class _Chunk(msgspec.Struct, gc=False):
    """What an entry needs to know of a chunk, which is not its body."""

    stream: str
    type: str
    tokens: int
    agent: str | None
    model: str | None
    error: str | None


class Timeline:
    """The events of one query (or of none). Takes them in any order, each once."""

    def __init__(self) -> None:
        self._items: list[tuple[tuple[int, int, bytes], Event | _Chunk]] = []

    def add(self, event: Event) -> None:
        """Take one event. Of chunks no body is kept."""
        item: Event | _Chunk = event
        if event.kind == "chunk":
            stream = event.stream_id or event.query or ""
            item = _Chunk(stream, event.type, event.output_tokens or 0, event.agent, event.model, event.error)
        self._items.append((order(event), item))

    def entries(self, describe: Describe, limit: int | None = None) -> tuple[list[Entry], int]:
        """The newest `limit` entries, oldest first, and how many were left out before them."""
        blocks = self._blocks()
        omitted = 0 if limit is None else max(0, len(blocks) - limit)
        return [block.render(describe) for block in blocks[omitted:]], omitted

    def _blocks(self) -> list[_Block]:
        ordered = sorted(self._items, key=itemgetter(0))
        calls = _pair([event for _, event in ordered if isinstance(event, Event) and event.type in TOOL_TYPES])
        blocks: list[_Block] = []
        streams = _Streams()
        for (time, _, _), item in ordered:
            if isinstance(item, _Chunk):
                run = streams.take(time, item)
                if run is not None:
                    blocks.append(run)
                continue
            if item.type in KNOWN:
                streams.interrupt()
            if item.type not in TOOL_TYPES:
                blocks.append(_Single(item))
            elif item.id in calls:
                blocks.append(calls[item.id])
        return blocks


class _Streams:
    """Runs of chunks. What a query does between them ends a run, and so does the stream's completion marker.

    Two streams at once do not interrupt each other.
    """

    def __init__(self) -> None:
        self._open: dict[str, _Run] = {}
        self._last: dict[str, _Run] = {}

    def take(self, time: int, chunk: _Chunk) -> _Run | None:
        """Returns the run, where the chunk begins a new one."""
        if chunk.type == STREAM_COMPLETED:
            self._open.pop(chunk.stream, None)
            if chunk.stream in self._last:
                self._last[chunk.stream].complete = True
            return None
        run = self._open.get(chunk.stream)
        if run is not None:
            run.add(time, chunk)
            return None
        run = self._open[chunk.stream] = self._last[chunk.stream] = _Run(chunk.stream, time)
        run.add(time, chunk)
        return run

    def interrupt(self) -> None:
        """The next chunk of any stream begins a new run."""
        self._open.clear()


@dataclass(slots=True)
class _Run:
    """Consecutive chunks of one stream."""

    stream: str
    began: int
    ended: int = 0
    complete: bool = False
    chunks: int = 0
    counted: int = 0
    #: Sum of usage chunks; a provider that repeats the usage so far on every chunk is in `running_total`.
    usage: int = 0
    running_total: int = 0
    failed: bool = False
    found: Entry = field(default_factory=dict)

    def add(self, time: int, chunk: _Chunk) -> None:
        self.ended = time
        self.chunks += 1
        if chunk.type == LLM_CHUNK:
            self.counted += 1
            self.running_total = max(self.running_total, chunk.tokens)
        elif chunk.type == LLM_USAGE:
            self.usage += chunk.tokens
        elif chunk.type == LLM_ERROR:
            self.failed = True
        for key, value in (("agent", chunk.agent), ("model", chunk.model), ("error", chunk.error)):
            if value is not None:
                self.found[key] = value

    def render(self, _describe: Describe) -> Entry:
        entry: Entry = {
            "type": "stream",
            "ts": rfc3339(self.began),
            "stream": self.stream,
            "tokens": self.usage or self.running_total or self.counted,
            "chunks": self.chunks,
        }
        if self.ended > self.began:
            entry["duration"] = milliseconds(self.ended - self.began)
        if self.complete:
            entry["complete"] = True
        if self.failed:
            entry["status"] = "error"
        return entry | self.found


@dataclass(slots=True)
class _Single:
    """An event that is an entry of its own."""

    event: Event

    def render(self, describe: Describe) -> Entry:
        event, details = self.event, describe(self.event)
        entry: Entry = {"type": event.type, "ts": rfc3339(moment(event))}
        _put(entry, "name", None if details.display_name == event.type else details.display_name)
        _put(entry, "duration", _duration(event, details))
        _put_all(entry, event, details)
        _put(entry, "finishReason", details.finish_reason)
        if event.input_tokens is not None or event.output_tokens is not None:
            entry["tokens"] = {"input": event.input_tokens or 0, "output": event.output_tokens or 0}
        return entry


@dataclass(slots=True)
class _ToolCall:
    """A call, and what came of it. Either may be missing, and either may have been reported several times."""

    calls: list[Event] = field(default_factory=list)
    ends: list[Event] = field(default_factory=list)

    @property
    def first(self) -> Event:
        """The event whose place in time the entry takes."""
        return self.calls[0] if self.calls else self.ends[0]

    def render(self, describe: Describe) -> Entry:
        entry: Entry = {"type": TOOL_CALL, "ts": rfc3339(self.first.time)}
        claimed: int | float | None = None
        for event in (*self.calls, *self.ends):
            details = describe(event)
            if event.type == TOOL_RESULT and entry.get("status") == "error":
                # Tried again, and it worked.
                del entry["status"]
                entry.pop("error", None)
            _put_all(entry, event, details)
            if event.type == TOOL_FAILED:
                entry["status"] = "error"
            claimed = _duration(event, details) or claimed
        if self.calls and self.ends:
            took = self.ends[-1].end - self.calls[0].time
            _put(entry, "duration", milliseconds(took) if took > 0 else claimed)
        else:
            _put(entry, "duration", claimed)
        return entry

    def may_take(self, event: Event) -> bool:
        """True unless the tool call ids say that it is another call."""
        own = self.first.tool_call_id
        return own is None or event.tool_call_id is None or own == event.tool_call_id


@dataclass(slots=True)
class _Shelf:
    """Calls under one key, first come, first served: some producers use an id again and again."""

    open: deque[_ToolCall] = field(default_factory=deque)
    last: _ToolCall | None = None

    def put(self, call: _ToolCall) -> None:
        self.last = call
        if not call.ends:
            self.open.append(call)

    def match(self, end: Event) -> _ToolCall | None:
        """The earliest call without an end; else the latest one, which `end` is reported of once more."""
        while self.open and self.open[0].ends:
            self.open.popleft()
        found = self.open[0] if self.open else self.last
        return found if found is not None and found.may_take(end) else None


def _pair(events: Iterable[Event]) -> dict[bytes, _ToolCall]:
    """Sorted tool events to calls, by the id of the event whose place each takes.

    A result belongs to the call of the same tool call id, else of the same span.
    """
    shelves: dict[tuple[str, ...], _Shelf] = {}
    calls: list[_ToolCall] = []

    def put(call: _ToolCall, event: Event) -> None:
        calls.append(call)
        for key in _keys(event):
            shelves.setdefault(key, _Shelf()).put(call)

    ends = []
    for event in events:
        if event.type != TOOL_CALL:
            ends.append(event)
            continue
        again = _reported_before(event, shelves)
        if again is not None:
            again.calls.append(event)
        else:
            put(_ToolCall(calls=[event]), event)
    for event in ends:
        matches = (shelves[key].match(event) for key in _keys(event) if key in shelves)
        call = next((found for found in matches if found is not None), None)
        if call is not None:
            call.ends.append(event)
        else:
            put(_ToolCall(ends=[event]), event)
    return {call.first.id: call for call in calls}


def _reported_before(event: Event, shelves: dict[tuple[str, ...], _Shelf]) -> _ToolCall | None:
    """The call that the same span reported already. (An event that is no span may name the span it lies in.)"""
    if event.kind != "span" or event.span_id is None:
        return None
    shelf = shelves.get(_span_key(event))
    last = shelf.last if shelf is not None else None
    return last if last is not None and last.first.kind == "span" and last.may_take(event) else None


def _keys(event: Event) -> list[tuple[str, ...]]:
    keys: list[tuple[str, ...]] = []
    if event.tool_call_id is not None:
        keys.append((event.tool_call_id,))
    if event.span_id is not None:
        keys.append(_span_key(event))
    return keys


def _span_key(event: Event) -> tuple[str, ...]:
    return (event.trace_id or "", event.span_id or "")


def _put(entry: Entry, key: str, value: object) -> None:
    if value is not None:
        entry[key] = value


def _put_all(entry: Entry, event: Event, details: Details) -> None:
    """What every sort of entry may have; a later event of the same entry overrides what an earlier one said."""
    _put(entry, "tool", event.tool)
    _put(entry, "input", details.input)
    _put(entry, "output", details.output)
    _put(entry, "message", details.message)
    _put(entry, "questionUri", details.question_uri)
    _put(entry, "toolCallId", event.tool_call_id)
    _put(entry, "agent", event.agent)
    _put(entry, "model", event.model)
    _put(entry, "mcpServer", event.mcp_server)
    _put(entry, "taskId", event.task_id)
    _put(entry, "questionId", event.question_id)
    _put(entry, "status", event.status)
    _put(entry, "error", event.error)
    _put(entry, "cost", event.cost)


def _duration(event: Event, details: Details) -> int | float | None:
    """Milliseconds: what the producer claims, else the length of its span; None for none."""
    claimed = details.duration_ms
    if claimed is not None and math.isfinite(claimed):
        return int(claimed) if claimed == int(claimed) else claimed
    return milliseconds(event.duration) if event.duration and event.type not in _INSTANT else None
