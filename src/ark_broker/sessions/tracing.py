"""Where a trace is to be gone on with: under its root, as far as that is known."""

from __future__ import annotations

from dataclasses import dataclass, field

from ark_broker.model import Event


@dataclass(slots=True)
class _Trace:
    #: Span → the span above it, "" for none; of the spans that were reported.
    parents: dict[str, str] = field(default_factory=dict)
    #: (time, span in which it happened, the span above that) of the earliest event.
    first: tuple[int, str, str] | None = None
    #: (end, span) of the span that ended last.
    last: tuple[int, str] | None = None


class TraceContext:
    """Spans of a query's traces. Takes its events in any order."""

    def __init__(self) -> None:
        self._traces: dict[str, _Trace] = {}

    def add(self, event: Event) -> None:
        """Take one event of the query."""
        if event.trace_id is None:
            return
        trace = self._traces.setdefault(event.trace_id, _Trace())
        parent = event.parent_span_id or ""
        if event.kind == "span" and event.span_id is not None:
            trace.parents[event.span_id] = parent
            trace.last = max(trace.last or (-1, ""), (event.end, event.span_id))
        inside = event.span_id or parent
        if inside:
            found = (event.time, inside, parent if inside != parent else "")
            trace.first = found if trace.first is None else min(trace.first, found)

    def build(self, trace_id: str | None) -> dict[str, str] | None:
        """`traceId`, `rootSpanId`, `lastSpanId`, and `traceparent` (W3C Trace Context) to go on under the root.

        A root is reported when it ends, so that of a query which has not ended it is the span that the others lie in.
        None where there is no trace.
        """
        if trace_id is None:
            return None
        found = {"traceId": trace_id}
        trace = self._traces.get(trace_id, _Trace())
        root = self._root(trace)
        if root:
            found["rootSpanId"] = root
        if trace.last is not None:
            found["lastSpanId"] = trace.last[1]
        under = root or (trace.last[1] if trace.last is not None else "")
        if under:
            found["traceparent"] = f"00-{trace_id}-{under}-01"
        return found

    @staticmethod
    def _root(trace: _Trace) -> str:
        if trace.first is None:
            return ""
        _, span, above = trace.first
        seen = {span}
        # Up to the span above which nothing is known; a circle, which only a mistake makes, is left where it closes.
        while (parent := trace.parents.get(span, above)) and parent not in seen:
            seen.add(parent)
            span, above = parent, ""
        return span
