"""`GET /v1/traces/{traceId}`: the spans and other events of one trace, as a tree."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from ark_broker.api.encode import EventOut, event_out
from ark_broker.api.services import Deps
from ark_broker.model import Event
from ark_broker.model.errors import BadInput, NotFound

router = APIRouter(tags=["traces"])

#: Events of one trace in one answer, at most.
MAX_TRACE_EVENTS: Final = 10_000
#: Levels below one root, at most: what lies deeper starts again at the top. JSON readers have limits too.
MAX_DEPTH: Final = 200
_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{32}")


class Node(msgspec.Struct, rename="camel", omit_defaults=True):
    """An event of the trace and what happened under it."""

    event: EventOut
    #: Milliseconds of a span's duration in which no span below it ran.
    self_time: float | None = None
    children: list[Node] = msgspec.field(default_factory=list)


class TraceOut(msgspec.Struct, rename="camel", omit_defaults=True):
    """One trace. `roots` are the events whose parent is not (yet) known."""

    trace_id: str
    sessions: list[str]
    queries: list[str]
    events: int
    roots: list[Node]
    truncated: bool = False


@router.get(
    "/v1/traces/{trace_id}",
    summary="One trace, as a tree",
    description="Children by start time under their parent; spans whose parent did not arrive stand at the top.",
)
async def get_trace(trace_id: str, services: Deps) -> Response:
    if not _TRACE_ID.fullmatch(trace_id):
        raise BadInput("must be 32 hex digits", "trace_id")
    trace_id = trace_id.lower()
    found = await services.reader.trace(trace_id, MAX_TRACE_EVENTS + 1)
    if not found:
        raise NotFound(f"no trace {trace_id}")
    kept = found[:MAX_TRACE_EVENTS]
    content = TraceOut(
        trace_id=trace_id,
        sessions=sorted({event.session_id for event in kept if event.session_id is not None}),
        queries=sorted({event.query for event in kept if event.query is not None}),
        events=len(kept),
        roots=tree(kept),
        truncated=len(found) > MAX_TRACE_EVENTS,
    )
    return Response(msgspec.json.encode(content), media_type="application/json")


def tree(events: list[Event]) -> list[Node]:
    """Events under their parent span, by time. Reports of one span under several names stand side by side.

    A parent that is the span itself, or lies in a circle, counts as not known: nothing is left out.
    """
    ordered = sorted(events, key=lambda event: (event.time, event.seq))
    nodes = [Node(event_out(event)) for event in ordered]
    first_of_span: dict[str, int] = {}
    for index, event in enumerate(ordered):
        if event.kind == "span" and event.span_id is not None:
            first_of_span.setdefault(event.span_id, index)
    parents: list[int | None] = []
    for index, event in enumerate(ordered):
        # A log record or custom event hangs under the span it was written in.
        parent = event.parent_span_id if event.kind == "span" else event.span_id or event.parent_span_id
        at = first_of_span.get(parent) if parent is not None else None
        parents.append(None if at == index else at)
    _break_circles(parents)
    _set_self_times(ordered, nodes, parents)
    roots = [node for node, parent in zip(nodes, parents, strict=True) if parent is None]
    depth = _depths(parents)
    for index, parent_index in enumerate(parents):
        if parent_index is None:
            continue
        if depth[index] > MAX_DEPTH:
            roots.append(nodes[index])
        else:
            nodes[parent_index].children.append(nodes[index])
    return roots


def _set_self_times(ordered: list[Event], nodes: list[Node], parents: list[int | None]) -> None:
    """Each span's duration without the time that its children cover, alone or together."""
    covered: dict[int, list[tuple[int, int]]] = {}
    # By start time, so that overlaps are with the last interval alone.
    for event, parent in zip(ordered, parents, strict=True):
        if parent is None or event.kind != "span" or not event.duration:
            continue
        above = ordered[parent]
        start, end = max(event.time, above.time), min(event.end, above.end)
        intervals = covered.setdefault(parent, [])
        if intervals and start <= intervals[-1][1]:
            intervals[-1] = (intervals[-1][0], max(intervals[-1][1], end))
        elif start < end:
            intervals.append((start, end))
    for index, event in enumerate(ordered):
        if event.kind == "span" and event.duration is not None:
            below = sum(end - start for start, end in covered.get(index, ()))
            nodes[index].self_time = (event.duration - below) / 1_000_000


def _break_circles(parents: list[int | None]) -> None:
    """Make one node of every circle a root; each node is walked over once."""
    walked_in = [0] * len(parents)
    for start in range(len(parents)):
        at: int | None = start
        while at is not None and walked_in[at] == 0:
            walked_in[at] = start + 1
            following = parents[at]
            if following is not None and walked_in[following] == start + 1:
                parents[at] = None
            at = parents[at]


def _depths(parents: list[int | None]) -> list[int]:
    """How deep each node lies, counted anew below every `MAX_DEPTH` levels."""
    depths = [0] * len(parents)
    for index in range(len(parents)):
        path = []
        at: int | None = index
        while at is not None and depths[at] == 0:
            path.append(at)
            at = parents[at]
        depth = depths[at] if at is not None else 0
        for node in reversed(path):
            depth = depth + 1 if depth <= MAX_DEPTH else 1
            depths[node] = depth
    return depths
