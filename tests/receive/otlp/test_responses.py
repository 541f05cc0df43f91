"""Answers to exporters, in the encoding of their request."""

from __future__ import annotations

import orjson
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from ark_broker.receive.otlp import Signal, encode_status, encode_success

SIGNALS: list[tuple[Signal, type, str, str]] = [
    ("traces", ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    ("logs", ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
    ("metrics", ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
]


@pytest.mark.parametrize(("signal", "response", "field", "key"), SIGNALS)
def test_full_success_says_nothing(signal: Signal, response: type, field: str, key: str) -> None:
    assert encode_success(signal, "protobuf") == b""
    assert encode_success(signal, "json") == b"{}"


@pytest.mark.parametrize(("signal", "response", "field", "key"), SIGNALS)
def test_partial_success_says_how_many_and_why(signal: Signal, response: type, field: str, key: str) -> None:
    found = response.FromString(encode_success(signal, "protobuf", 2, "bad ids")).partial_success  # type: ignore[attr-defined]
    assert (getattr(found, field), found.error_message) == (2, "bad ids")
    assert orjson.loads(encode_success(signal, "json", 2, "bad ids")) == {
        "partialSuccess": {key: "2", "errorMessage": "bad ids"}
    }


@pytest.mark.parametrize(("signal", "response", "field", "key"), SIGNALS)
def test_a_warning_rejects_nothing(signal: Signal, response: type, field: str, key: str) -> None:
    found = response.FromString(encode_success(signal, "protobuf", 0, "dropped"))  # type: ignore[attr-defined]
    assert found.HasField("partial_success")
    assert (getattr(found.partial_success, field), found.partial_success.error_message) == (0, "dropped")
    assert orjson.loads(encode_success(signal, "json", 0, "dropped")) == {"partialSuccess": {"errorMessage": "dropped"}}


def test_errors_are_a_status_of_bounded_size() -> None:
    found = Status.FromString(encode_status("protobuf", 3, "x" * 10_000_000))
    assert (found.code, found.message) == (3, "x" * 2_000)
    assert orjson.loads(encode_status("json", 14, "later")) == {"code": 14, "message": "later"}
