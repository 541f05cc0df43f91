"""`ExportTraceServiceRequest` → Events, one a span."""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ark_broker.model import MAX_INT64, Event, event_id
from ark_broker.receive import conventions
from ark_broker.receive.conventions.family import Told
from ark_broker.receive.fields import as_name, as_text
from ark_broker.receive.otlp import schema
from ark_broker.receive.otlp.canonical import Attributes, Json, plain_attributes
from ark_broker.receive.otlp.encoding import Decoded, Encoding
from ark_broker.receive.otlp.records import (
    MAX_RECORDS,
    Layout,
    Origin,
    Walk,
    is_hex,
    is_no_id,
    valid_span_id,
    valid_trace_id,
)

LAYOUT: Final = Layout(
    request=ExportTraceServiceRequest,
    resources="resource_spans",
    scopes="scope_spans",
    records="spans",
    record=schema.SPAN,
    elsewhere={
        "resourceLogs": "/v1/logs",
        "resource_logs": "/v1/logs",
        "resourceMetrics": "/v1/metrics",
        "resource_metrics": "/v1/metrics",
    },
)


def decode_traces(body: bytes, encoding: Encoding, *, max_records: int = MAX_RECORDS) -> Decoded:
    """Spans of a request. Spans that cannot be stored are counted and left out, the others are kept.

    Raises BadInput where the request cannot be read at all, TooLarge where it has too many spans.
    """
    events: list[Event] = []
    walk = Walk(LAYOUT, max_records)
    origin: Origin | None = None
    defaults: dict[str, str] = {}
    for span, attributes, span_origin in walk.records(body, encoding):
        if span_origin is not origin:
            origin = span_origin
            defaults = conventions.inherited(origin.resource, origin.scope)
        problem = _problem(span)
        if problem:
            walk.rejections.add(f"span {span.get('name', '')[:100]!r}: {problem}")
        else:
            events.append(_event(span, attributes, origin, defaults))
    return Decoded(events, walk.rejections.count, walk.rejections.message)


def _problem(span: Json) -> str:
    if not valid_trace_id(span.get("traceId", "")):
        return "traceId must be 16 bytes, not all zero"
    if not valid_span_id(span.get("spanId", "")):
        return "spanId must be 8 bytes, not all zero"
    parent = span.get("parentSpanId")
    if parent and not valid_span_id(parent) and not is_no_id(parent):
        return "parentSpanId must be 8 bytes"
    links = span.get("links")
    if links and not all(is_hex(link.get(key, "")) for link in links for key in ("traceId", "spanId")):
        return "the ids of a link must be hex"
    return ""


def _event(span: Json, attributes: Attributes, origin: Origin, defaults: dict[str, str]) -> Event:
    trace_id, span_id, parent = span["traceId"], span["spanId"], span.get("parentSpanId")
    name = span.get("name", "")
    start, end = int(span.get("startTimeUnixNano", 0)), int(span.get("endTimeUnixNano", 0))
    status = span.get("status") or {}
    code = status.get("code")
    failed = code == 2
    event = Event(
        id=event_id("span", trace_id, span_id, name, end),
        kind="span",
        type=as_name(name) or "span",
        time=min(start or end, MAX_INT64),
        duration=min(max(0, end - start), MAX_INT64) if start and end else None,
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent if parent and not is_no_id(parent) else None,
        status="error" if failed else "ok" if code == 1 else None,
        body=origin.body(b"span", span),
    )
    if failed and status.get("message"):
        event.error = as_text(status["message"])
    told = Told(name, attributes, origin.resource, origin.scope, origin.scope_name, failed)
    conventions.fill(event, told, defaults)
    if failed and event.error is None:
        event.error = as_text(_exception(span) or "error")
    return event


def _exception(span: Json) -> str:
    for span_event in reversed(span.get("events", [])):
        if span_event.get("name") == "exception":
            found: dict[str, Any] = plain_attributes(span_event.get("attributes", []))
            return str(found.get("exception.message") or found.get("exception.type") or "")
    return ""
