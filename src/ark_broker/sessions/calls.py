"""Tool calls and model calls, each once, however many reports there are of it.

One tool call may be reported by the agent's span (`execute_tool`), by the MCP client's and the MCP server's, and by
events besides. They are one call where

* a span lies directly below another one of the same tool, or is reported under several names;
* they have the same tool call id, and not two tools. Spans that lie side by side under one parent, one after the other,
  are several calls all the same, and so are several beginnings that events report: some models give the same id again
  and again;
* an event lies in the call's span;
* a server that was told no trace reports the tool in the same MCP session, first come, first served.

Beginnings and ends that have nothing but the tool's name are paired first come, first served.

Of model calls the leaves count: a framework's call directly above a provider's call repeats what that one used.

Everything is sorted by time before it is looked at, so nothing depends on the order of arrival.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

import msgspec

from ark_broker.model import Event
from ark_broker.model.vocabulary import EMBEDDING, LLM_REQUEST, TOOL_CALL, TOOL_FAILED, TOOL_RESULT

TOOL_TYPES: Final = frozenset({TOOL_CALL, TOOL_RESULT, TOOL_FAILED})
#: Types of model calls: what they used is summed.
MODEL_TYPES: Final = frozenset({LLM_REQUEST, EMBEDDING})


class ToolReport(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What one event says of a tool call, without its content. Times in nanoseconds."""

    time: int
    end: int
    #: Of the event, the first eight bytes.
    id: bytes
    is_begin: bool
    is_span: bool
    #: The span itself, or the one in which the event was written: see `span_key`.
    span: bytes | None
    parent: bytes | None
    tool: str | None
    call_id: str | None
    mcp_session: str | None = None


def tool_report(event: Event) -> ToolReport:
    """The report that an event of one of `TOOL_TYPES` is."""
    is_span = event.kind == "span"
    span = event.span_id if is_span else event.span_id or event.parent_span_id
    return ToolReport(
        event.time,
        event.end,
        event.id[:8],
        event.type == TOOL_CALL,
        is_span and span is not None,
        span_key(event.trace_id, span),
        span_key(event.trace_id, event.parent_span_id) if is_span else None,
        event.tool,
        event.tool_call_id,
        event.mcp_session_id,
    )


def span_key(trace_id: str | None, span_id: str | None) -> bytes | None:
    """Eight bytes that tell one query's spans apart; reports are kept by the dozen, and written with every commit."""
    if span_id is None:
        return None
    return bytes.fromhex((trace_id or "0000")[-4:] + span_id[-12:])


@dataclass(slots=True, eq=False)
class ToolCall:
    """Every report of one call. `tool_calls` gives them in the order of their times."""

    reports: list[ToolReport]
    #: The earliest report; the latest end.
    first: ToolReport
    ended: int

    @classmethod
    def of(cls, report: ToolReport) -> ToolCall:
        """The call of which this is the only report so far."""
        return cls([report], report, report.end)

    @property
    def call_id(self) -> str | None:
        """The id that one of the reports names."""
        return next((report.call_id for report in self.reports if report.call_id is not None), None)

    @property
    def tool(self) -> str | None:
        """The tool that one of the reports names."""
        return next((report.tool for report in self.reports if report.tool is not None), None)

    @property
    def has_begin(self) -> bool:
        """True where a report is of the whole call, or its beginning."""
        return any(report.is_begin for report in self.reports)

    def add(self, other: ToolCall) -> None:
        """The other one is the same call."""
        self.reports += other.reports
        self.ended = max(self.ended, other.ended)
        if report_order(other.first) < report_order(self.first):
            self.first = other.first


def tool_calls(reports: Iterable[ToolReport]) -> list[ToolCall]:
    """The calls that the reports are of, by the time of their earliest report. Takes time as sorting them does."""
    ordered = sorted(reports, key=report_order)
    if _are_plain(ordered):
        return [ToolCall.of(report) for report in ordered]
    buckets = _Buckets()
    for call in _by_span([report for report in ordered if report.is_span]):
        buckets.put_spans(call)
    buckets.name_spans(ordered)
    for report in ordered:
        if not report.is_span:
            buckets.put_event(report)
    calls = _with_servers(_by_time(call for bucket in buckets.all() for call in bucket.calls()))
    for call in calls:
        if len(call.reports) > 1:
            call.reports.sort(key=report_order)
    return calls


def report_order(report: ToolReport) -> tuple[int, bool, bytes]:
    """Sort key: by time; a beginning stands before an end of the same time."""
    return (report.time, not report.is_begin, report.id)


def _by_time(calls: Iterable[ToolCall]) -> list[ToolCall]:
    return sorted(calls, key=lambda call: report_order(call.first))


def _are_plain(reports: Sequence[ToolReport]) -> bool:
    """True where every report is of another call, as most are: spans with ids of their own, none below another."""
    spans = {report.span for report in reports if report.is_span}
    calls = {report.call_id for report in reports}
    return (
        len(spans) == len(calls) == len(reports)
        and None not in calls
        and spans.isdisjoint(report.parent for report in reports)
    )


def _with_servers(calls: list[ToolCall]) -> list[ToolCall]:
    """Calls that a server reports in a trace of its own, joined to those of its MCP session and tool."""
    alone = {id(call) for call in calls if _is_servers_own(call)}
    if not alone:
        return calls
    waiting: dict[tuple[str | None, str | None], deque[ToolCall]] = {}
    for call in calls:
        if id(call) not in alone:
            for key in {(report.mcp_session, report.tool) for report in call.reports if report.mcp_session is not None}:
                waiting.setdefault(key, deque()).append(call)
    joined = []
    for call in calls:
        found = waiting.get((call.first.mcp_session, call.first.tool)) if id(call) in alone else None
        if found:
            found.popleft().add(call)
        else:
            joined.append(call)
    return _by_time(joined)


def _is_servers_own(call: ToolCall) -> bool:
    first = call.first
    return (
        first.is_span
        and first.mcp_session is not None
        and call.call_id is None
        and all(report.parent is None or report.parent == first.span for report in call.reports)
    )


def _by_span(reports: Sequence[ToolReport]) -> list[ToolCall]:
    """Spans that are one call: a chain of parent and child of the same tool, and one span under several names."""
    calls: list[ToolCall] = []
    of_span: dict[bytes, ToolCall] = {}
    for report in reports:
        known = of_span.get(report.span or b"")
        call = ToolCall.of(report)
        if known is not None and _agree(known.first, report):
            known.add(call)
            continue
        calls.append(call)
        of_span.setdefault(report.span or b"", call)
    above: dict[int, ToolCall] = {}
    for call in calls:
        parent = of_span.get(call.first.parent or b"")
        if parent is not None and parent is not call and _same_tool(parent.first, call.first):
            above[id(call)] = parent
    return _merged(calls, above) if above else calls


def _merged(calls: Sequence[ToolCall], above: dict[int, ToolCall]) -> list[ToolCall]:
    """The calls, each with those that lie below it; `above` has the call directly above one."""
    tops: dict[int, ToolCall] = {}
    merged = []
    for call in calls:
        top, path = call, []
        walked = set()
        while id(top) not in tops and id(top) in above and id(top) not in walked:
            walked.add(id(top))
            path.append(top)
            top = above[id(top)]
        # In a circle, which only a mistake makes, whoever was come to first stands at the top.
        top = tops.get(id(top), top)
        tops.setdefault(id(top), top)
        for below in path:
            tops[id(below)] = top
    for call in calls:
        top = tops[id(call)]
        if top is call:
            merged.append(call)
    for call in calls:
        if tops[id(call)] is not call:
            tops[id(call)].add(call)
    return merged


def _agree(one: ToolReport, other: ToolReport) -> bool:
    return one.call_id is None or other.call_id is None or one.call_id == other.call_id


def _same_tool(one: ToolReport, other: ToolReport) -> bool:
    return (one.tool is None or other.tool is None or one.tool == other.tool) and _agree(one, other)


@dataclass(slots=True, eq=False)
class _Bucket:
    """Reports under one key: a tool call id, a span, or a tool's name."""

    spans: list[ToolCall] = field(default_factory=list)
    begins: list[ToolReport] = field(default_factory=list)
    ends: list[ToolCall] = field(default_factory=list)
    #: True where nothing but the tool's name holds the reports together: an end alone is a call then.
    is_loose: bool = False

    def calls(self) -> list[ToolCall]:
        """One call for the first of each sort, one for the second of each, …; ends that are left are the last's."""
        columns = [*_side_by_side(self.spans), [ToolCall.of(report) for report in self.begins]]
        calls: list[ToolCall] = []
        for row in zip_longest(*columns):
            parts = [part for part in row if part is not None]
            for part in parts[1:]:
                parts[0].add(part)
            calls.append(parts[0])
        paired = len(calls)
        for index, end in enumerate(self.ends):
            if index < paired:
                calls[index].add(end)
            elif self.is_loose or not calls:
                calls.append(end)
            else:
                calls[-1].add(end)
        return calls


def _side_by_side(calls: Sequence[ToolCall]) -> list[list[ToolCall]]:
    """Calls under one id by the parent they lie under; those under one parent that overlap are one."""
    columns: dict[bytes | None, list[ToolCall]] = {}
    for call in _by_time(calls):
        column = columns.setdefault(call.first.parent, [])
        if column and call.first.time < column[-1].ended:
            column[-1].add(call)
        else:
            column.append(call)
    return list(columns.values())


def _span_bucket(span: bytes | None) -> str:
    return "span:" + (span or b"").hex()


class _Buckets:
    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}
        self._of_span: dict[bytes, str] = {}
        #: Keys by tool call id, by tool: some models give one id to calls of several tools.
        self._of_call: dict[str, dict[str | None, str]] = {}

    def all(self) -> Iterable[_Bucket]:
        return self._buckets.values()

    def put_spans(self, call: ToolCall) -> None:
        """Spans that are one call, by its id; by the span where it has none."""
        call_id = call.call_id
        key = _span_bucket(call.first.span) if call_id is None else self._key_of_call(call_id, call.tool)
        bucket = self._bucket(key)
        if call_id is not None and not call.has_begin:
            bucket.ends.append(call)
        else:
            bucket.spans.append(call)
        for report in call.reports:
            self._of_span.setdefault(report.span or b"", key)

    def name_spans(self, reports: Iterable[ToolReport]) -> None:
        """Give a call that has no id the one that events in its span have, if they all have the same."""
        ids: dict[str, set[str]] = {}
        for report in reports:
            if not report.is_span and report.call_id is not None:
                key = self._of_span.get(report.span or b"")
                if key is not None and key.startswith("span:"):
                    ids.setdefault(key, set()).add(report.call_id)
        for key, found in ids.items():
            if len(found) == 1:
                spans = self._buckets.pop(key).spans
                renamed = self._key_of_call(next(iter(found)), spans[0].tool)
                self._bucket(renamed).spans += spans
                for call in spans:
                    for report in call.reports:
                        self._of_span[report.span or b""] = renamed

    def put_event(self, report: ToolReport) -> None:
        """A report that is no span: by its call's id, else by the span it lies in, else by the tool's name."""
        bucket = self._bucket(self._key(report))
        if report.is_begin:
            bucket.begins.append(report)
        else:
            bucket.ends.append(ToolCall.of(report))

    def _bucket(self, key: str) -> _Bucket:
        found = self._buckets.get(key)
        if found is None:
            found = self._buckets[key] = _Bucket(is_loose=key.startswith("tool:"))
        return found

    def _key(self, report: ToolReport) -> str:
        by_span = self._of_span.get(report.span or b"", _span_bucket(report.span)) if report.span is not None else None
        # An end may name its call where the beginning did not.
        call_id = report.call_id
        if call_id is not None and (call_id in self._of_call or report.is_begin or by_span not in self._buckets):
            return self._key_of_call(call_id, report.tool)
        if by_span is not None:
            return by_span
        return f"tool:{report.tool or ''}"

    def _key_of_call(self, call_id: str, tool: str | None) -> str:
        keys = self._of_call.setdefault(call_id, {})
        if tool in keys:
            return keys[tool]
        if keys and (tool is None or None in keys):
            # One of the two does not say the tool: they are the same.
            return keys[None] if None in keys else next(iter(keys.values()))
        keys[tool] = f"call:{len(keys)}:{call_id}"
        return keys[tool]


class ModelReport(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What one model call used, as its span or event says."""

    time: int
    id: bytes
    span: bytes | None
    #: The span above it; of an event the one it was written in.
    parent: bytes | None
    failed: bool
    input: int
    output: int
    cached: int
    reasoning: int
    #: Billionths of a dollar, as the producer said; None where it did not.
    said: int | None
    #: Likewise, as the price table says.
    priced: int | None
    #: Nanoseconds; None where the report does not say.
    duration: int | None = None
    agent: str | None = None
    model: str | None = None


def leaves(reports: Sequence[ModelReport], covered: Iterable[bytes] = ()) -> list[ModelReport]:
    """Calls directly below which no other call is reported; `covered` are spans of which it is known already."""
    containing = {report.parent for report in reports if report.parent is not None and report.parent != report.span}
    containing.update(covered)
    return [report for report in reports if report.span is None or report.span not in containing]
