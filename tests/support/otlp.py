"""OTLP requests for tests, as exporters make them."""

from __future__ import annotations

from typing import Any

from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.support.events import NOON

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SECOND = 1_000_000_000


def trace_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def span_id(number: int) -> bytes:
    return number.to_bytes(8, "big")


def attribute(key: str, value: object) -> KeyValue:
    """A KeyValue of a plain value; None makes one without a value."""
    match value:
        case None:
            return KeyValue(key=key)
        case bool():
            return KeyValue(key=key, value=AnyValue(bool_value=value))
        case int():
            return KeyValue(key=key, value=AnyValue(int_value=value))
        case float():
            return KeyValue(key=key, value=AnyValue(double_value=value))
        case bytes():
            return KeyValue(key=key, value=AnyValue(bytes_value=value))
    return KeyValue(key=key, value=AnyValue(string_value=str(value)))


def add_span(request: ExportTraceServiceRequest, number: int = 1, **fields: Any) -> Any:
    """Add a good span to the request; `fields` override its own, `attributes` is a plain dict."""
    if not request.resource_spans:
        request.resource_spans.add().scope_spans.add()
    attributes = fields.pop("attributes", {"session.id": "s1", "query.name": "q1"})
    given = {
        "trace_id": bytes.fromhex(TRACE),
        "span_id": span_id(number),
        "name": "step",
        "kind": 1,
        "start_time_unix_nano": NOON,
        "end_time_unix_nano": NOON + SECOND,
    } | fields
    span = request.resource_spans[0].scope_spans[0].spans.add(**given)
    span.attributes.extend(attribute(key, value) for key, value in attributes.items())
    return span


def traces(*spans: dict[str, Any]) -> ExportTraceServiceRequest:
    """A request with these spans, numbered from 1; one good span if none is given."""
    request = ExportTraceServiceRequest()
    for number, fields in enumerate(spans or ({},), 1):
        add_span(request, **({"number": number} | fields))
    return request


def json_span(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A good span in OTLP/JSON."""
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "name": "step",
        "kind": 1,
        "startTimeUnixNano": str(NOON),
        "endTimeUnixNano": str(NOON + SECOND),
        "attributes": [{"key": "session.id", "value": {"stringValue": "s1"}}],
    } | fields


def json_traces(*spans: dict[str, Any]) -> dict[str, Any]:
    """A JSON request with these spans."""
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def logs(*records: dict[str, Any]) -> ExportLogsServiceRequest:
    """A request with log records of these fields."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for fields in records or ({},):
        record = scope.log_records.add(**({"time_unix_nano": NOON, "severity_number": 9} | fields))
        record.attributes.append(attribute("session.id", "s1"))
        if not record.HasField("body"):
            record.body.string_value = "said"
    return request


def metrics(points: int = 1) -> ExportMetricsServiceRequest:
    """A request with one gauge of so many data points."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="tokens")
    for value in range(points):
        metric.gauge.data_points.add(as_int=value, time_unix_nano=NOON)
    return request


def status(content: bytes) -> Status:
    """The google.rpc.Status of an error body; fails where it is none."""
    found = Status.FromString(content)
    assert found.message
    return found
