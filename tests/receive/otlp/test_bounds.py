"""Requests made to be expensive: refused, or their one bad span rejected, before much is built of them."""

from __future__ import annotations

import tracemalloc
from unittest.mock import patch

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ark_broker.model.errors import BadInput, TooLarge
from ark_broker.receive.otlp import Decoded, Encoding, bounds, decode_logs, decode_traces, pieces
from ark_broker.receive.otlp.canonical import MAX_DEPTH, MAX_VALUES
from tests.receive.support import to_json
from tests.support.otlp import add_span, logs, traces

ENCODINGS: list[Encoding] = ["protobuf", "json"]


def decode(request: ExportTraceServiceRequest, encoding: Encoding, **options: int) -> Decoded:
    body = request.SerializeToString() if encoding == "protobuf" else to_json(request)
    return decode_traces(body, encoding, **options)


def array(size: int) -> KeyValue:
    """An attribute with an array of empty values: two bytes an item in protobuf."""
    item = KeyValue(key="many")
    item.value.array_value.values.extend([AnyValue()] * size)
    return item


def nested(levels: int) -> KeyValue:
    value = AnyValue(string_value="core")
    for _ in range(levels):
        outer = AnyValue()
        outer.array_value.values.append(value)
        value = outer
    return KeyValue(key="deep", value=value)


LARGE = {
    "items of an array": {"attributes_": [array(MAX_VALUES)]},
    "attributes": {"attributes_": [KeyValue(key="k")] * (MAX_VALUES + 1)},
    "events": {"events": [Span.Event()] * (MAX_VALUES + 1)},
    "links": {"links": [Span.Link()] * (MAX_VALUES + 1)},
    "attributes of events together": {
        "events": [Span.Event(attributes=[KeyValue(key="k")] * (MAX_VALUES // 4))] * 5,
    },
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("what", LARGE)
def test_a_span_with_too_many_values_is_rejected_and_its_neighbours_kept(encoding: Encoding, what: str) -> None:
    request = traces({}, {}, {})
    large = request.resource_spans[0].scope_spans[0].spans[1]
    for field, items in LARGE[what].items():
        getattr(large, field.rstrip("_")).extend(items)
    decoded = decode(request, encoding)
    assert [event.span_id for event in decoded.events] == ["0000000000000001", "0000000000000003"]
    assert decoded.rejected == 1
    assert f"more than {MAX_VALUES} attributes" in decoded.message


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_most_values_a_span_may_have_are_kept(encoding: Encoding) -> None:
    request = traces({"attributes": {}})
    request.resource_spans[0].scope_spans[0].spans[0].attributes.append(array(MAX_VALUES - 1))
    assert len(decode(request, encoding).events) == 1


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_millions_of_empty_values_cost_little(encoding: Encoding) -> None:
    request = traces({}, {})
    request.resource_spans[0].scope_spans[0].spans[0].attributes.append(array(3_000_000))
    body = request.SerializeToString() if encoding == "protobuf" else to_json(request)
    del request
    tracemalloc.start()
    try:
        decoded = decode_traces(body, encoding)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(decoded.events), decoded.rejected) == (1, 1)
    # Copies of its text, and not three million objects.
    assert peak < 10 * len(body)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_large_texts_with_commas_are_no_reason_to_reject(encoding: Encoding) -> None:
    request = traces({"attributes": {"input.value": 'a,"b",{c}' * 600_000}})
    assert len(decode(request, encoding).events) == 1


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("whole", [True, False], ids=["small", "in pieces"])
def test_a_resource_with_too_many_values_refuses_the_request(encoding: Encoding, whole: bool) -> None:
    request = traces({})
    request.resource_spans[0].resource.attributes.append(array(MAX_VALUES if whole else 6 * MAX_VALUES))
    with pytest.raises(BadInput, match="more than"):
        decode(request, encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_log_record_with_too_many_values_is_rejected(encoding: Encoding) -> None:
    request = logs({}, {})
    request.resource_logs[0].scope_logs[0].log_records[0].body.CopyFrom(array(MAX_VALUES + 1).value)
    decoded = decode_logs(request.SerializeToString() if encoding == "protobuf" else to_json(request), encoding)
    assert (len(decoded.events), decoded.rejected) == (1, 1)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_values_may_nest_so_deep_and_no_deeper(encoding: Encoding) -> None:
    request = traces({})
    request.resource_spans[0].scope_spans[0].spans[0].attributes.append(nested(MAX_DEPTH))
    assert len(decode(request, encoding).events) == 1
    request.resource_spans[0].scope_spans[0].spans[0].attributes.append(nested(MAX_DEPTH + 1))
    with pytest.raises(BadInput, match="nested deeper than 40 levels"):
        decode(request, encoding)


def test_json_nested_without_end_is_refused() -> None:
    for opened in (b"[", b'{"a":'):
        with pytest.raises(BadInput, match="not JSON"):
            decode_traces(opened * 100_000, "json")
        with pytest.raises(BadInput):
            decode_traces(b'{"resourceSpans":' + opened * 300_000, "json")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size", [100, pieces.PIECE_BYTES], ids=["in pieces", "whole"])
def test_more_records_than_the_limit_are_too_large(encoding: Encoding, size: int) -> None:
    request = traces(*[{}] * 5)
    with patch.object(pieces, "PIECE_BYTES", size):
        assert len(decode(request, encoding, max_records=5).events) == 5
        for _ in range(20):
            add_span(request, 6)
        with pytest.raises(TooLarge, match="more than 5 records"):
            decode(request, encoding, max_records=5)


def test_empty_spans_by_the_million_are_too_large() -> None:
    spans = b"\x12\x00" * 2_000_000
    body = b"\x12" + _varint(len(spans)) + spans
    with pytest.raises(TooLarge, match="more than 100000 records"):
        decode_traces(b"\x0a" + _varint(len(body)) + body, "protobuf")


def test_fields_that_are_cut_short_are_left_to_the_parser() -> None:
    for body in (b"\x0a\xff", b"\x0a\x05abc", b"\x0b", b"\x80" * 11):
        with pytest.raises((ValueError, IndexError)):
            bounds.check_protobuf(body, ExportTraceServiceRequest.DESCRIPTOR)
        with patch.object(pieces, "PIECE_BYTES", 1), pytest.raises(BadInput, match="not a protobuf"):
            decode_traces(body, "protobuf")


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])
