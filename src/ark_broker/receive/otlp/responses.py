"""OTLP answers, in the encoding of the request."""

from __future__ import annotations

from typing import Final

import orjson
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from ark_broker.receive.otlp.encoding import Encoding, Signal

_REJECTED: Final = {
    "traces": ("rejected_spans", "rejectedSpans"),
    "logs": ("rejected_log_records", "rejectedLogRecords"),
    "metrics": ("rejected_data_points", "rejectedDataPoints"),
}
_RESPONSES: Final = {
    "traces": ExportTraceServiceResponse,
    "logs": ExportLogsServiceResponse,
    "metrics": ExportMetricsServiceResponse,
}
#: The specification wants answers below 4 MiB; nobody reads that much of a message.
_MAX_MESSAGE: Final = 2_000


def encode_success(signal: Signal, encoding: Encoding, rejected: int = 0, message: str = "") -> bytes:
    """Body of a 200: `partial_success` is unset on full success, and warns where it rejects nothing."""
    message = message[:_MAX_MESSAGE]
    field, key = _REJECTED[signal]
    if encoding == "json":
        if not rejected and not message:
            return b"{}"
        partial: dict[str, object] = {key: str(rejected)} if rejected else {}
        return orjson.dumps({"partialSuccess": {**partial, "errorMessage": message}})
    response = _RESPONSES[signal]()
    if rejected or message:
        setattr(response.partial_success, field, rejected)
        response.partial_success.error_message = message
    return bytes(response.SerializeToString())


def encode_status(encoding: Encoding, code: int, message: str) -> bytes:
    """Body of a 4xx or 5xx: a google.rpc.Status."""
    message = message[:_MAX_MESSAGE]
    if encoding == "json":
        return orjson.dumps({"code": code, "message": message})
    return bytes(Status(code=code, message=message).SerializeToString())
