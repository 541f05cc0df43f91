"""`ExportLogsServiceRequest` → Events, one a log record."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from ark_broker.model import MAX_INT64, Event, event_id
from ark_broker.receive import conventions
from ark_broker.receive.conventions.family import Told
from ark_broker.receive.fields import as_name, as_text
from ark_broker.receive.otlp import schema
from ark_broker.receive.otlp.canonical import Attributes, Json, plain
from ark_broker.receive.otlp.encoding import Decoded, Encoding
from ark_broker.receive.otlp.records import (
    MAX_RECORDS,
    Layout,
    Origin,
    Walk,
    valid_span_id,
    valid_trace_id,
)

LAYOUT: Final = Layout(
    request=ExportLogsServiceRequest,
    resources="resource_logs",
    scopes="scope_logs",
    records="log_records",
    record=schema.LOG_RECORD,
    elsewhere={
        "resourceSpans": "/v1/traces",
        "resource_spans": "/v1/traces",
        "resourceMetrics": "/v1/metrics",
        "resource_metrics": "/v1/metrics",
    },
)
#: SEVERITY_NUMBER_ERROR
_ERROR: Final = 17


def decode_logs(body: bytes, encoding: Encoding, *, max_records: int = MAX_RECORDS) -> Decoded:
    """Log records of a request. Raises BadInput where it cannot be read, TooLarge where it has too many."""
    events: list[Event] = []
    walk = Walk(LAYOUT, max_records)
    # A record has no identity of its own: equal ones in one request are told apart by counting, so that the same
    # request sent again gives the same ids.
    repeats: Counter[bytes] = Counter()
    origin: Origin | None = None
    defaults: dict[str, str] = {}
    for record, attributes, record_origin in walk.records(body, encoding):
        if record_origin is not origin:
            origin = record_origin
            defaults = conventions.inherited(origin.resource, origin.scope)
        content = origin.body(b"logRecord", record)
        events.append(_event(record, attributes, origin, defaults, content, repeats[content]))
        repeats[content] += 1
    return Decoded(events, walk.rejections.count, walk.rejections.message)


def _event(
    record: Json, attributes: Attributes, origin: Origin, defaults: dict[str, str], content: bytes, repeat: int
) -> Event:
    name = record.get("eventName") or str(attributes.get("event.name") or "")
    time = int(record.get("timeUnixNano", 0)) or int(record.get("observedTimeUnixNano", 0))
    trace_id, span_id = record.get("traceId", ""), record.get("spanId", "")
    failed = record.get("severityNumber", 0) >= _ERROR
    event = Event(
        id=event_id("log", content, repeat),
        kind="log",
        type=as_name(name) or "log",
        time=min(time, MAX_INT64),
        trace_id=trace_id if valid_trace_id(trace_id) else None,
        span_id=span_id if valid_span_id(span_id) else None,
        status="error" if failed else None,
        body=content,
    )
    body = plain(record["body"]) if "body" in record else None
    if failed and body is not None:
        event.error = as_text(body)
    # GenAI events carry their content in a structured body: what it names counts like attributes.
    inner: dict[str, Any] = body if isinstance(body, dict) else {}
    told = Told(name, {**inner, **attributes}, origin.resource, origin.scope, origin.scope_name, failed, is_span=False)
    conventions.fill(event, told, defaults)
    return event
