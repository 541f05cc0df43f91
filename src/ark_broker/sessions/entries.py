"""Events to the entries of a view: one for each thing that a person would call one thing.

    tool.call, tool.result | tool.failed   →   {"type": "tool.call", "tool", "input", "output", "duration"}
    chunk, chunk, chunk, completion marker →   {"type": "stream", "stream", "tokens", "chunks", "complete": true}
    any other event                        →   {"type", "ts", …}

Everything is sorted before it is put together, so no entry depends on the order of arrival.
"""

from __future__ import annotations

import math
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
    LLM_MESSAGE,
    LLM_REQUEST,
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
from ark_broker.sessions.calls import TOOL_TYPES, tool_calls, tool_report
from ark_broker.sessions.lifecycle import KNOWN, moment, order

Entry = dict[str, object]

#: A span under one of these names says that something happened, not how long it took.
_INSTANT: Final = frozenset(
    {QUERY_STARTED, QUERY_WAITING, QUERY_RESUMED, QUESTION_ASKED, QUESTION_ANSWERED, AGENT_STARTED}
)


#: Events that are looked into for what they say of one model call.
_MOST_MESSAGES: Final = 1_000
#: Milliseconds; who claims more claims nonsense.
_LONGEST_MS: Final = 1e15


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
    position: int


class Timeline:
    """The events of one query (or of none). Takes them in any order, each once."""

    def __init__(self) -> None:
        self._items: list[tuple[tuple[int, int, bytes], Event | _Chunk]] = []

    def add(self, event: Event) -> None:
        """Take one event. Of chunks no body is kept."""
        item: Event | _Chunk = event
        if event.kind == "chunk":
            stream = event.stream_id or event.query or ""
            item = _Chunk(
                stream,
                event.type,
                event.output_tokens or 0,
                event.agent,
                event.model,
                event.error,
                _position(event),
            )
        self._items.append((order(event), item))

    def entries(self, describe: Describe, limit: int | None = None) -> tuple[list[Entry], int]:
        """The newest `limit` entries, oldest first, and how many were left out before them."""
        blocks = self._blocks()
        omitted = 0 if limit is None else max(0, len(blocks) - limit)
        return [block.render(describe) for block in blocks[omitted:]], omitted

    def _blocks(self) -> list[_Block]:
        ordered = sorted(self._items, key=itemgetter(0))
        calls = _tool_calls(event for _, event in ordered if isinstance(event, Event) and event.type in TOOL_TYPES)
        messages: dict[str, list[Event]] = {}
        for _, item in ordered:
            if isinstance(item, Event) and item.type == LLM_MESSAGE and item.span_id is not None:
                told = messages.setdefault(item.span_id, [])
                if len(told) < _MOST_MESSAGES:
                    told.append(item)
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
            if item.type == LLM_MESSAGE:
                # Part of a model call, which is an entry; `conversation` shows it.
                continue
            if item.type == LLM_REQUEST:
                # The first of the span's requests gets them: a span is one call.
                blocks.append(_Single(item, messages.pop(item.span_id or "", [])))
            elif item.type not in TOOL_TYPES:
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
    position: int = 0
    found: Entry = field(default_factory=dict)

    def add(self, time: int, chunk: _Chunk) -> None:
        self.position = self.position or chunk.position
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
        if self.position:
            entry["seq"] = self.position
        return entry | self.found


@dataclass(slots=True)
class _Single:
    """An event that is an entry of its own."""

    event: Event
    #: Events that tell of the same model call: what it was given, what it gave.
    messages: list[Event] = field(default_factory=list)

    def render(self, describe: Describe) -> Entry:
        event, details = self.event, describe(self.event)
        entry: Entry = {"type": event.type, "ts": rfc3339(moment(event))}
        _put(entry, "name", None if details.display_name == event.type else details.display_name)
        _put(entry, "duration", _duration(event, details))
        _put_all(entry, event, details)
        reasons = (found for each in self.messages if (found := describe(each).finish_reason) is not None)
        _put(entry, "finishReason", details.finish_reason or next(reasons, None))
        _put(entry, "timeToFirstToken", details.first_token_ms)
        if event.input_tokens is not None or event.output_tokens is not None:
            entry["tokens"] = tokens_json(
                event.input_tokens or 0, event.output_tokens or 0, event.cached_tokens or 0, event.reasoning_tokens or 0
            )
        _put_place(entry, event)
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
            claimed = max(_duration(event, details) or 0, claimed or 0) or None
        if self.calls and self.ends:
            took = self.ends[-1].end - self.calls[0].time
            _put(entry, "duration", milliseconds(took) if took > 0 else claimed)
        else:
            _put(entry, "duration", claimed)
        _put_place(entry, self.first)
        return entry


def _tool_calls(events: Iterable[Event]) -> dict[bytes, _ToolCall]:
    """Tool events as calls, by the id of the event whose place each call takes."""
    by_id = {event.id[:8]: event for event in events}
    found = {}
    for call in tool_calls(map(tool_report, by_id.values())):
        begins = [by_id[report.id] for report in call.reports if report.is_begin]
        ends = [by_id[report.id] for report in call.reports if not report.is_begin]
        entry = _ToolCall(begins, ends)
        found[entry.first.id] = entry
    return found


def tokens_json(given: int, produced: int, cached: int, reasoning: int) -> dict[str, int]:
    """Tokens of a call, query or session; the parts are left out where there are none."""
    found = {"input": given, "output": produced}
    if cached:
        found["cached"] = cached
    if reasoning:
        found["reasoning"] = reasoning
    return found


def _position(event: Event) -> int:
    """Where it stands in its session's stream; 0 for what is not stored yet."""
    return event.session_seq or event.seq


def _put_place(entry: Entry, event: Event) -> None:
    """How to find the entry's first event again: among the session's events, and in its trace."""
    _put(entry, "seq", _position(event) or None)
    _put(entry, "spanId", event.span_id)


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
    _put(entry, "provider", event.provider)
    _put(entry, "mcpServer", event.mcp_server)
    _put(entry, "taskId", event.task_id)
    _put(entry, "taskState", event.task_state)
    _put(entry, "questionId", event.question_id)
    _put(entry, "status", event.status)
    _put(entry, "error", event.error)
    _put(entry, "cost", event.cost)
    _put(entry, "costBy", event.cost_by)


def _duration(event: Event, details: Details) -> int | float | None:
    """Milliseconds: what the producer claims, else the length of its span; None for none."""
    claimed = details.duration_ms
    if claimed is not None and math.isfinite(claimed) and abs(claimed) < _LONGEST_MS:
        return int(claimed) if claimed == int(claimed) else claimed
    return milliseconds(event.duration) if event.duration and event.type not in _INSTANT else None
