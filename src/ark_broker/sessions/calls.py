"""Tool calls and model calls, each once, however many reports there are of it.

One tool call may be reported by the agent's span (`execute_tool`), by the MCP client's and the MCP server's, and by
events besides. They are one call where

* a span lies directly below another one of the same tool, or is reported under several names;
* they have the same tool call id. Spans that lie side by side under one parent, one after the other, are several calls
  all the same, and so are several beginnings that events report: some models give the same id again and again;
* an event lies in the call's span;
* a server that was told no trace reports the tool in the same MCP session, first come, first served.

Beginnings and ends that have nothing but the tool's name are paired first come, first served.

Of model calls the leaves count: a framework's call that contains a provider's call repeats what that one used.

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
    id: str
    is_begin: bool
    is_span: bool
    failed: bool
    #: The span itself, or the one in which the event was written.
    span: str | None
    parent: str | None
    tool: str | None
    call_id: str | None
    mcp_session: str | None = None

    @property
    def order(self) -> tuple[int, bool, str]:
        """Sort key; a beginning stands before an end of the same time."""
        return (self.time, not self.is_begin, self.id)


def tool_report(event: Event) -> ToolReport:
    """The report that an event of one of `TOOL_TYPES` is."""
    is_span = event.kind == "span"
    # These are kept by the hundred: four bytes of the trace's id and the span's tell one query's spans apart.
    trace = (event.trace_id or "")[-8:]
    span = event.span_id if is_span else event.span_id or event.parent_span_id
    parent = event.parent_span_id if is_span else None
    return ToolReport(
        event.time,
        event.end,
        event.id.hex(),
        event.type == TOOL_CALL,
        is_span and span is not None,
        event.type == TOOL_FAILED,
        None if span is None else trace + span,
        None if parent is None else trace + parent,
        event.tool,
        event.tool_call_id,
        event.mcp_session_id,
    )


@dataclass(slots=True, eq=False)
class ToolCall:
    """Every report of one call, in the order of their times."""

    reports: list[ToolReport]

    @property
    def began(self) -> int:
        """Time of the earliest report."""
        return min(report.time for report in self.reports)

    @property
    def ended(self) -> int:
        """Time of the latest end."""
        return max(report.end for report in self.reports)

    @property
    def call_id(self) -> str | None:
        """The id that one of the reports names."""
        return next((report.call_id for report in self.reports if report.call_id is not None), None)

    @property
    def has_begin(self) -> bool:
        """True where a report is of the whole call, or its beginning."""
        return any(report.is_begin for report in self.reports)

    def add(self, other: ToolCall) -> None:
        """The other one is the same call."""
        self.reports = sorted([*self.reports, *other.reports], key=lambda report: report.order)


def tool_calls(reports: Iterable[ToolReport]) -> list[ToolCall]:
    """The calls that the reports are of, by the time of their earliest report."""
    ordered = sorted(reports, key=lambda report: report.order)
    if _are_plain(ordered):
        return [ToolCall([report]) for report in ordered]
    buckets = _Buckets()
    for call in _by_span([report for report in ordered if report.is_span]):
        buckets.put_spans(call)
    buckets.name_spans(ordered)
    for report in ordered:
        if not report.is_span:
            buckets.put_event(report)
    calls = sorted(
        (call for bucket in buckets.all() for call in bucket.calls()), key=lambda call: call.reports[0].order
    )
    return _with_servers(calls)


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
        found = waiting.get((call.reports[0].mcp_session, call.reports[0].tool)) if id(call) in alone else None
        if found:
            found.popleft().add(call)
        else:
            joined.append(call)
    return sorted(joined, key=lambda call: call.reports[0].order)


def _is_servers_own(call: ToolCall) -> bool:
    first = call.reports[0]
    return (
        first.is_span
        and first.mcp_session is not None
        and call.call_id is None
        and all(report.parent is None or report.parent == first.span for report in call.reports)
    )


def _by_span(reports: Sequence[ToolReport]) -> list[ToolCall]:
    """Spans that are one call: a chain of parent and child of the same tool, and one span under several names."""
    calls: list[ToolCall] = []
    of_span: dict[str, ToolCall] = {}
    for report in reports:
        known = of_span.get(report.span or "")
        if known is not None and _agree(known.reports[0], report):
            known.reports.append(report)
            continue
        call = ToolCall([report])
        calls.append(call)
        of_span.setdefault(report.span or "", call)
    above: dict[int, ToolCall] = {}
    for call in calls:
        parent = of_span.get(call.reports[0].parent or "")
        if parent is not None and parent is not call and _same_tool(parent.reports[0], call.reports[0]):
            above[id(call)] = parent
    tops: dict[int, list[ToolCall]] = {}
    for call in calls:
        tops.setdefault(id(_top(call, above)), []).append(call)
    merged = []
    for members in tops.values():
        whole = ToolCall([])
        for member in members:
            whole.reports += member.reports
        whole.reports.sort(key=lambda report: report.order)
        merged.append(whole)
    return merged


def _top(call: ToolCall, above: dict[int, ToolCall]) -> ToolCall:
    """The outermost span of the chain; in a circle, which only a mistake makes, the same one for all of it."""
    seen = [call]
    while (parent := above.get(id(call))) is not None:
        if any(parent is other for other in seen):
            return min(seen, key=lambda other: other.reports[0].order)
        seen.append(parent)
        call = parent
        if len(seen) > 16:
            return call
    return call


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

    def calls(self) -> list[ToolCall]:
        """One call for the first of each sort, one for the second of each, …; ends that are left are the last's."""
        columns = [*_side_by_side(self.spans), [ToolCall([report]) for report in self.begins]]
        calls = []
        for row in zip_longest(*columns):
            parts = [part for part in row if part is not None]
            for part in parts[1:]:
                parts[0].add(part)
            calls.append(parts[0])
        if not calls and self.ends:
            calls = [self.ends.pop(0)]
        for index, end in enumerate(self.ends):
            calls[min(index, len(calls) - 1)].reports += end.reports
        return calls


def _side_by_side(calls: Sequence[ToolCall]) -> list[list[ToolCall]]:
    """Calls under one id by the parent they lie under; those under one parent that overlap are one."""
    columns: dict[str | None, list[ToolCall]] = {}
    for call in sorted(calls, key=lambda call: call.reports[0].order):
        column = columns.setdefault(call.reports[0].parent, [])
        if column and call.began < column[-1].ended:
            column[-1].add(call)
        else:
            column.append(call)
    return list(columns.values())


class _Buckets:
    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}
        self._of_span: dict[str, str] = {}
        self._unnamed: dict[str, ToolCall] = {}

    def all(self) -> Iterable[_Bucket]:
        return self._buckets.values()

    def put_spans(self, call: ToolCall) -> None:
        """Spans that are one call, by its id; by the span where it has none."""
        call_id = call.call_id
        key = f"span:{call.reports[0].span}" if call_id is None else f"call:{call_id}"
        bucket = self._buckets.setdefault(key, _Bucket())
        if call_id is not None and not call.has_begin:
            bucket.ends.append(call)
        else:
            bucket.spans.append(call)
        for report in call.reports:
            self._of_span.setdefault(report.span or "", key)

    def name_spans(self, reports: Iterable[ToolReport]) -> None:
        """Give a call that has no id the one that events in its span have, if they all have the same."""
        ids: dict[str, set[str]] = {}
        for report in reports:
            key = self._of_span.get(report.span or "")
            if not report.is_span and report.call_id is not None and key is not None and key.startswith("span:"):
                ids.setdefault(key, set()).add(report.call_id)
        for key, found in ids.items():
            if len(found) == 1:
                self._rename(key, f"call:{next(iter(found))}")

    def _rename(self, old: str, new: str) -> None:
        bucket = self._buckets.setdefault(new, _Bucket())
        bucket.spans += self._buckets.pop(old).spans
        self._of_span.update({span: new for span, key in self._of_span.items() if key == old})

    def put_event(self, report: ToolReport) -> None:
        """A report that is no span: by its call's id, else by the span it lies in, else by the tool's name."""
        bucket = self._buckets.setdefault(self._key(report), _Bucket())
        if report.is_begin:
            bucket.begins.append(report)
        else:
            bucket.ends.append(ToolCall([report]))

    def _key(self, report: ToolReport) -> str:
        by_span = self._of_span.get(report.span or "", f"span:{report.span}") if report.span is not None else None
        if report.call_id is not None:
            by_id = f"call:{report.call_id}"
            # An end may name its call where the beginning did not.
            if by_id in self._buckets or report.is_begin or by_span not in self._buckets:
                return by_id
        if by_span is not None:
            return by_span
        return f"tool:{report.tool or ''}"


class ModelReport(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What one model call used, as its span or event says."""

    time: int
    id: str
    span: str | None
    #: The span above it; of an event the one it was written in.
    parent: str | None
    failed: bool
    input: int
    output: int
    cached: int
    reasoning: int
    #: Billionths of a dollar, as the producer said; None where it did not.
    said: int | None
    #: Likewise, as the price table says.
    priced: int | None


def leaves(reports: Sequence[ModelReport]) -> list[ModelReport]:
    """Calls below which no other call is reported."""
    containing = {report.parent for report in reports if report.parent is not None and report.parent != report.span}
    return [report for report in reports if report.span is None or report.span not in containing]
