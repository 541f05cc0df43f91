"""OTLP/HTTP: what is stored of a request, what is refused of it, and what is said about that."""

from __future__ import annotations

import json
from typing import Any

import httpx
import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from ark_broker.log.scope import WHOLE_LOG
from ark_broker.log.writer import Writer
from ark_broker.model.errors import LogUnavailable, Overloaded
from tests.support.api import Api, StartApi
from tests.support.events import NOON
from tests.support.otlp import (
    JSON,
    PROTOBUF,
    SECOND,
    TRACE,
    attribute,
    json_span,
    json_traces,
    logs,
    metrics,
    span_id,
    status,
    traces,
)


async def post(api: Api, path: str, content: Any, **headers: str) -> httpx.Response:
    """POST a protobuf message, or a JSON value."""
    if hasattr(content, "SerializeToString"):
        return await api.http.post(path, content=content.SerializeToString(), headers=PROTOBUF | headers)
    return await api.http.post(path, content=orjson.dumps(content), headers=JSON | headers)


async def stored(api: Api) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get("/v1/events", limit=1000))["items"]
    return items


async def bodies(api: Api) -> list[bytes]:
    """The stored bodies, byte for byte."""
    return [event.body for event in (await api.services.reader.page(WHOLE_LOG, 0, 1000)).events]


def every_value() -> list[tuple[AnyValue, dict[str, Any]]]:
    """Each kind of value in both encodings."""
    nested = KeyValueList(values=[KeyValue(key="k", value=AnyValue(array_value=ArrayValue(values=[AnyValue()])))])
    return [
        (AnyValue(string_value="text é\n"), {"stringValue": "text é\n"}),
        (AnyValue(string_value=""), {"stringValue": ""}),
        (AnyValue(bool_value=True), {"boolValue": True}),
        (AnyValue(bool_value=False), {"boolValue": False}),
        (AnyValue(int_value=-(2**63)), {"intValue": str(-(2**63))}),
        (AnyValue(int_value=7), {"intValue": 7}),
        (AnyValue(int_value=0), {"intValue": "0"}),
        (AnyValue(double_value=1.5), {"doubleValue": 1.5}),
        (AnyValue(double_value=2.0), {"doubleValue": 2}),
        (AnyValue(double_value=float("nan")), {"doubleValue": "NaN"}),
        (AnyValue(double_value=float("-inf")), {"doubleValue": "-Infinity"}),
        (AnyValue(bytes_value=b"\0\xff"), {"bytesValue": "AP8="}),
        (AnyValue(bytes_value=b""), {"bytesValue": ""}),
        (AnyValue(array_value=ArrayValue()), {"arrayValue": {}}),
        (
            AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="2")])),
            {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "2"}]}},
        ),
        (AnyValue(kvlist_value=KeyValueList()), {"kvlistValue": {"values": []}}),
        (
            AnyValue(kvlist_value=nested),
            {"kvlistValue": {"values": [{"key": "k", "value": {"arrayValue": {"values": [{}]}}}]}},
        ),
        (AnyValue(), {}),
    ]


async def test_o9_every_kind_of_value_is_stored_alike_from_both_encodings(each_api: Api) -> None:
    binary = ExportTraceServiceRequest()
    spans = binary.resource_spans.add().scope_spans.add().spans
    text = []
    for number, (value, in_json) in enumerate(every_value(), 1):
        ids = {"trace_id": bytes.fromhex(TRACE), "span_id": span_id(number), "end_time_unix_nano": NOON}
        spans.add(name="binary", **ids).attributes.add(key="v").value.CopyFrom(value)
        text.append(
            {
                "traceId": TRACE,
                "spanId": f"{number:016x}",
                "name": "text",
                "endTimeUnixNano": NOON,
                "attributes": [{"key": "v", "value": in_json}],
            }
        )
    for content in (binary, json_traces(*text)):
        assert (await post(each_api, "/v1/traces", content)).content in (b"", b"{}")

    found = await bodies(each_api)

    count = len(every_value())
    assert len(found) == 2 * count
    for one, other in zip(found[:count], found[count:], strict=True):
        assert one.replace(b'"binary"', b'"text"') == other


async def test_o5_spellings_of_json_are_stored_alike(each_api: Api) -> None:
    exact = json_span(
        parentSpanId="00f067aa0ba902b7",
        kind=3,
        status={"code": 2, "message": "no"},
        links=[{"traceId": TRACE, "spanId": "00f067aa0ba902b8"}],
        droppedAttributesCount=3,
    )
    spelled: list[dict[str, Any]] = [
        {"traceId": TRACE.upper(), "parentSpanId": "00F067AA0BA902B7"},
        {"startTimeUnixNano": NOON, "endTimeUnixNano": NOON + SECOND},
        {"kind": "SPAN_KIND_CLIENT", "status": {"code": "STATUS_CODE_ERROR", "message": "no"}},
        {"unknown": {"deep": [1]}, "events": None, "droppedAttributesCount": "3"},
        {"links": [{"trace_id": TRACE, "span_id": "00F067AA0BA902B8", "attributes": []}]},
        {"trace_id": "ff" * 16, "parent_span_id": "ff" * 8, "start_time_unix_nano": 7},
    ]
    snake = {
        "trace_id": TRACE,
        "span_id": "0000000000000001",
        "parent_span_id": exact["parentSpanId"],
        "start_time_unix_nano": exact["startTimeUnixNano"],
        "end_time_unix_nano": exact["endTimeUnixNano"],
        "dropped_attributes_count": 3,
    } | {key: exact[key] for key in ("name", "kind", "status", "links", "attributes")}
    for content in (json_traces(exact), *(json_traces(exact | change) for change in spelled)):
        assert (await post(each_api, "/v1/traces", content)).content == b"{}"
    request = {"resource_spans": [{"scope_spans": [{"spans": [snake]}]}]}
    assert (await post(each_api, "/v1/traces", request)).content == b"{}"

    [event] = await stored(each_api)

    assert event["body"]["span"]["links"] == [{"traceId": TRACE, "spanId": "00f067aa0ba902b8"}]
    assert (event["status"], event["error"], event["parentSpanId"]) == ("error", "no", "00f067aa0ba902b7")


async def test_o6_single_bad_spans_are_counted_and_the_rest_is_stored(each_api: Api) -> None:
    bad: list[dict[str, Any]] = [
        {"trace_id": b""},
        {"trace_id": b"\0" * 16},
        {"trace_id": b"\1" * 15},
        {"trace_id": b"\1" * 17},
        {"span_id": b""},
        {"span_id": b"\0" * 8},
        {"span_id": b"\1" * 9},
        {"parent_span_id": b"\1" * 7},
    ]
    good: list[dict[str, Any]] = [
        {"end_time_unix_nano": NOON - SECOND},
        {"start_time_unix_nano": 0, "end_time_unix_nano": 0},
        {"start_time_unix_nano": 2**64 - 1, "end_time_unix_nano": 2**64 - 1},
        {"attributes": {"no.value": None, "": "no key"}},
        {"name": ""},
        {"parent_span_id": b"\0" * 8},
    ]
    mixed = [span for pair in zip(bad, [*good, {}, {}], strict=True) for span in pair]

    response = await post(each_api, "/v1/traces", traces(*mixed))

    assert response.status_code == 200
    partial = ExportTraceServiceResponse.FromString(response.content).partial_success
    assert partial.rejected_spans == len(bad)
    assert "traceId" in partial.error_message
    events = await stored(each_api)
    assert len(events) == len(mixed) - len(bad)
    assert "duration" not in events[0] or events[0]["duration"] == 0

    hexless = [json_span(50, traceId="xyz"), json_span(51, spanId="nothex!!nothex!!"), json_span(52)]
    response = await post(each_api, "/v1/traces", json_traces(*hexless))
    partial_json = response.json()["partialSuccess"]
    assert (partial_json["rejectedSpans"], response.status_code) == ("2", 200)
    assert len(await stored(each_api)) == len(mixed) - len(bad) + 1


async def test_redelivery_is_stored_once(each_api: Api) -> None:
    for _ in range(2):
        assert (await post(each_api, "/v1/traces", traces({}, {}))).content == b""
        assert (await post(each_api, "/v1/traces", json_traces(json_span(1), json_span(2)))).content == b"{}"
        assert (await post(each_api, "/v1/logs", logs({}, {}, {"severity_number": 17}))).content == b""

    assert [event["kind"] for event in await stored(each_api)] == ["span", "span", "log", "log", "log"]


async def test_o7_a_body_over_the_limit_is_refused_before_and_after_inflation(start_api: StartApi) -> None:
    import gzip
    import zlib

    import zstandard

    large = b"\0" * 5000
    async with start_api(max_body_bytes="4KiB") as api:
        for path in ("/v1/traces", "/v1/logs", "/v1/metrics"):
            for encoding, content in (
                ("identity", large),
                ("gzip", gzip.compress(large)),
                ("deflate", zlib.compress(large)),
                ("zstd", zstandard.compress(large)),
            ):
                headers = PROTOBUF | {"Content-Encoding": encoding}
                response = await api.http.post(path, content=content, headers=headers)
                assert response.status_code == 413, encoding
                assert "4096" in status(response.content).message
        response = await api.http.post("/v1/traces", content=b" " * 5000, headers=JSON)
        assert (response.status_code, response.json()["code"]) == (413, 3)
        assert (await post(api, "/v1/traces", traces())).status_code == 200
        assert api.services.intake.used == 0
    async with start_api(max_events_per_request=3) as api:
        assert (await post(api, "/v1/traces", traces({}, {}, {}))).status_code == 200
        assert (await post(api, "/v1/traces", traces({}, {}, {}, {}))).status_code == 413


@pytest.mark.parametrize("error", [Overloaded("the queue is full", 7), LogUnavailable("the database is away")])
async def test_o8_overload_says_when_to_come_back(
    start_api: StartApi, monkeypatch: pytest.MonkeyPatch, error: Overloaded
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise error

    async with start_api() as api:
        monkeypatch.setattr(Writer, "append", refuse)
        for path, message in (("/v1/traces", traces()), ("/v1/logs", logs())):
            response = await post(api, path, message)
            assert (response.status_code, response.headers["retry-after"]) == (503, str(error.retry_after))
            assert status(response.content).code == 14
        response = await post(api, "/v1/traces", json_traces(json_span()))
        assert (response.status_code, response.json()["code"]) == (503, 14)


async def test_a_bug_is_a_500_that_tells_nothing(start_api: StartApi, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    async with start_api() as api:
        monkeypatch.setattr(Writer, "append", broken)
        response = await post(api, "/v1/traces", traces())
        assert (response.status_code, status(response.content).code) == (500, 13)
        assert b"secret" not in response.content
        error = await api.error("/v1/events", 500, method="POST", json={"type": "x"})
        assert (error["code"], error["message"]) == ("INTERNAL_ERROR", "Internal server error")
        assert [entry["event"] for entry in api.errors()] == ["unhandled error"] * 2
        api.logs.clear()


async def test_o10_metrics_are_accepted_and_dropped_with_a_warning(start_api: StartApi) -> None:
    async with start_api() as api:
        response = await post(api, "/v1/metrics", metrics(3))
        assert response.status_code == 200
        partial = ExportMetricsServiceResponse.FromString(response.content).partial_success
        assert partial.rejected_data_points == 0
        assert "dropped" in partial.error_message
        point = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": [{"asInt": 1}]}}]}]}]}
        response = await post(api, "/v1/metrics", point)
        assert set(response.json()["partialSuccess"]) == {"errorMessage"}
        assert (await post(api, "/v1/metrics", {"resourceMetrics": 7})).status_code == 400
        assert (await api.http.post("/v1/metrics", content=b"\xff", headers=PROTOBUF)).status_code == 400
        assert await stored(api) == []


async def test_log_records_become_events(each_api: Api) -> None:
    record = {
        "trace_id": bytes.fromhex(TRACE),
        "span_id": span_id(3),
        "event_name": "tool.call",
        "attributes": [attribute("gen_ai.tool.name", "search")],
    }
    response = await post(each_api, "/v1/logs", logs(record, {"trace_id": b"short"}, {"severity_number": 17}))

    assert not ExportLogsServiceResponse.FromString(response.content).HasField("partial_success")
    first, second, third = await stored(each_api)
    assert (first["kind"], first["type"], first["tool"], first["traceId"]) == ("log", "tool.call", "search", TRACE)
    assert first["sessionId"] == "s1"
    assert "traceId" not in second, "a record is worth keeping without its ids"
    assert (third["status"], third["error"]) == ("error", "said")


async def test_the_other_signals_are_not_stored_as_spans(each_api: Api) -> None:
    named = logs({"trace_id": bytes.fromhex(TRACE), "span_id": span_id(1)})
    for path, message in (
        ("/v1/traces", metrics(2)),
        ("/v1/traces", logs()),
        ("/v1/traces", named),
        ("/v1/logs", traces()),
    ):
        response = await post(each_api, path, message)
        if response.status_code == 200:
            assert ExportTraceServiceResponse.FromString(response.content).partial_success.rejected_spans > 0
        else:
            assert (response.status_code, status(response.content).code) == (400, 3)
    for path, key, right in (
        ("/v1/traces", "resourceLogs", "/v1/logs"),
        ("/v1/traces", "resource_metrics", "/v1/metrics"),
        ("/v1/logs", "resourceSpans", "/v1/traces"),
        ("/v1/metrics", "resourceLogs", "/v1/logs"),
    ):
        response = await post(each_api, path, {key: []})
        assert (response.status_code, right in response.json()["message"]) == (400, True)
    assert await stored(each_api) == []


async def test_a_request_id_is_echoed(start_api: StartApi) -> None:
    async with start_api() as api:
        response = await post(api, "/v1/traces", traces(), **{"X-Request-ID": "mine-1"})
        assert response.headers["x-request-id"] == "mine-1"
        for unusable in ("", "x" * 129, "with space", "é"):
            response = await api.http.get("/health", headers={"X-Request-ID": unusable.encode()})
            assert len(response.headers["x-request-id"]) == 36, unusable
        error = await api.error("/v1/sessions/none", 404, headers={"X-Request-ID": "mine-2"})
        assert json.dumps(error["requestId"]) == '"mine-2"'
