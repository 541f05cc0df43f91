"""What log records become, and metrics, which are only counted."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from ark_broker.model import Event
from ark_broker.model.errors import BadInput
from ark_broker.receive.conventions.describe import describe
from ark_broker.receive.otlp import Encoding, count_metrics, decode_logs, decode_traces
from tests.receive.support import to_json
from tests.support.events import NOON
from tests.support.otlp import TRACE, logs, metrics, span_id, traces


def decode(request: ExportLogsServiceRequest) -> list[Event]:
    """Events of the request, the same from both encodings."""
    decoded = decode_logs(request.SerializeToString(), "protobuf")
    assert decode_logs(to_json(request), "json") == decoded
    return decoded.events


def one(**fields: Any) -> Event:
    (event,) = decode(logs(fields))
    return event


def test_a_record_becomes_an_event() -> None:
    event = one(trace_id=bytes.fromhex(TRACE), span_id=span_id(7), severity_text="INFO")
    assert (event.kind, event.type, event.time, event.session_id) == ("log", "log", NOON, "s1")
    assert (event.trace_id, event.span_id) == (TRACE, "0000000000000007")
    assert orjson.loads(event.body)["logRecord"]["body"] == {"stringValue": "said"}
    assert describe(event).message == "said"


def test_ids_that_are_none_are_left_out_and_the_record_kept() -> None:
    for wrong in (b"", bytes(16), b"short"):
        event = one(trace_id=wrong, span_id=wrong)
        assert (event.trace_id, event.span_id) == (None, None)


@pytest.mark.parametrize(("severity", "status"), [(0, None), (9, None), (16, None), (17, "error"), (24, "error")])
def test_an_error_is_one_from_severity_17_on(severity: int, status: str | None) -> None:
    event = one(severity_number=severity)
    assert event.status == status
    assert event.error == ("said" if status else None)


@pytest.mark.parametrize(("time", "observed", "expected"), [(5, 9, 5), (0, 9, 9), (0, 0, 0), (2**64 - 1, 0, 2**63 - 1)])
def test_the_time_is_the_records_else_when_it_was_observed(time: int, observed: int, expected: int) -> None:
    assert one(time_unix_nano=time, observed_time_unix_nano=observed).time == expected


def test_the_name_is_the_event_name_also_where_older_sdks_put_it() -> None:
    assert one(event_name="gen_ai.evaluation.result").type == "evaluation.result"
    request = logs({})
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.attributes.add(key="event.name").value.string_value = "query.started"
    assert decode(request)[0].type == "query.started"


def test_a_structured_body_counts_like_attributes() -> None:
    request = logs({"event_name": "x"})
    record = request.resource_logs[0].scope_logs[0].log_records[0]
    record.body.kvlist_value.values.add(key="query.name").value.string_value = "q1"
    record.body.kvlist_value.values.add(key="session.id").value.string_value = "the attribute wins"
    event = decode(request)[0]
    assert (event.query, event.session_id) == ("q1", "s1")


def test_the_resource_gives_what_a_record_does_not_say() -> None:
    request = logs({})
    request.resource_logs[0].resource.attributes.add(key="k8s.namespace.name").value.string_value = "prod"
    assert decode(request)[0].namespace == "prod"


def test_equal_records_are_told_apart_and_stay_the_same_when_sent_again() -> None:
    request = logs({}, {}, {"severity_number": 10}, {})
    ids = [event.id for event in decode(request)]
    assert len(set(ids)) == 4
    assert [event.id for event in decode(request)] == ids


def test_the_order_of_equal_records_does_not_change_their_ids() -> None:
    kinds = [{"severity_number": number} for number in (1, 1, 2, 2, 2, 3)]
    expected = Counter(event.id for event in decode(logs(*kinds)))
    random.Random(3).shuffle(kinds)
    assert Counter(event.id for event in decode(logs(*kinds))) == expected


def test_other_signals_are_sent_to_their_path() -> None:
    with pytest.raises(BadInput, match="resourceSpans: this is a request for /v1/traces"):
        decode_logs(to_json(traces({})), "json")
    with pytest.raises(BadInput, match="this is a request for /v1/metrics"):
        decode_logs(to_json(metrics()), "json")
    with pytest.raises(BadInput, match="this is a request for /v1/logs"):
        decode_traces(to_json(logs({})), "json")
    with pytest.raises(BadInput, match="this is a request for /v1/traces"):
        count_metrics(to_json(traces({})), "json")


def _every_kind() -> ExportMetricsServiceRequest:
    request = metrics(2)
    found = request.resource_metrics[0].scope_metrics[0].metrics
    for kind, points in (("sum", 3), ("histogram", 1), ("exponential_histogram", 4), ("summary", 2)):
        metric = found.add(name=kind)
        for _ in range(points):
            getattr(metric, kind).data_points.add(time_unix_nano=NOON)
    found.add(name="empty")
    return request


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_data_points_of_every_kind_are_counted(encoding: Encoding) -> None:
    request = _every_kind()
    body = request.SerializeToString() if encoding == "protobuf" else to_json(request)
    assert count_metrics(body, encoding) == 12


def test_no_metrics_count_as_none_and_what_is_none_is_refused() -> None:
    assert count_metrics(b"", "protobuf") == 0
    assert count_metrics(b"{}", "json") == 0
    for body in (b"[]", b"x", b'{"resourceMetrics":{}}', b'{"resourceMetrics":[{"scopeMetrics":[5]}]}'):
        with pytest.raises(BadInput):
            count_metrics(body, "json")
    with pytest.raises(BadInput, match="not a protobuf ExportMetricsServiceRequest"):
        count_metrics(b"\xff\xff", "protobuf")
