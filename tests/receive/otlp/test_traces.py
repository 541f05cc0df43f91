"""What spans become: identity, times, status, names, sessions; and bytes that are no spans."""

from __future__ import annotations

import random
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ark_broker.model import MAX_INT64, Event
from ark_broker.model.errors import BadInput, UnsupportedMedia
from ark_broker.receive.otlp import (
    Decoded,
    count_metrics,
    decode_logs,
    decode_traces,
    encoding_of,
    pieces,
    rebuild_spans,
)
from tests.receive.support import to_json
from tests.support.events import NOON
from tests.support.otlp import SECOND, TRACE, logs, metrics, span_id, traces

#: The example of the OTLP specification's repository (examples/trace.json), as it is written there.
EXAMPLE = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
            "scopeSpans": [
                {
                    "scope": {
                        "name": "my.library",
                        "version": "1.0.0",
                        "attributes": [{"key": "my.scope.attribute", "value": {"stringValue": "some scope attribute"}}],
                    },
                    "spans": [
                        {
                            "traceId": "5B8EFFF798038103D269B633813FC60C",
                            "spanId": "EEE19B7EC3C1B174",
                            "parentSpanId": "EEE19B7EC3C1B173",
                            "name": "I'm a server span",
                            "startTimeUnixNano": "1544712660000000000",
                            "endTimeUnixNano": "1544712661000000000",
                            "kind": 2,
                            "attributes": [{"key": "my.span.attr", "value": {"stringValue": "some value"}}],
                        }
                    ],
                }
            ],
        }
    ]
}


def decode(request: ExportTraceServiceRequest) -> Decoded:
    return decode_traces(request.SerializeToString(), "protobuf")


def one(resource: dict[str, str] | None = None, **fields: Any) -> Event:
    """The event of one span."""
    request = traces(fields)
    for key, value in (resource or {}).items():
        request.resource_spans[0].resource.attributes.add(key=key).value.string_value = value
    (event,) = decode(request).events
    return event


def test_the_specifications_example_is_understood() -> None:
    (event,) = decode_traces(orjson.dumps(EXAMPLE), "json").events
    assert event.kind == "span"
    assert event.type == "I'm a server span"
    assert event.trace_id == "5b8efff798038103d269b633813fc60c"
    assert (event.span_id, event.parent_span_id) == ("eee19b7ec3c1b174", "eee19b7ec3c1b173")
    assert (event.time, event.duration) == (1_544_712_660_000_000_000, SECOND)
    span = rebuild_spans([event.body]).resource_spans[0].scope_spans[0].spans[0]
    assert span.trace_id.hex() == event.trace_id
    assert span.attributes[0].value.string_value == "some value"


def test_a_body_is_otlp_json_with_its_resource_and_scope() -> None:
    (event,) = decode_traces(orjson.dumps(EXAMPLE), "json").events
    group = EXAMPLE["resourceSpans"][0]
    part = group["scopeSpans"][0]
    assert isinstance(part, dict)
    sent = part["spans"][0]
    span = sent | {key: sent[key].lower() for key in ("traceId", "spanId", "parentSpanId")}
    assert orjson.loads(event.body) == {"resource": group["resource"], "scope": part["scope"], "span": span}


def test_a_redelivered_span_has_the_same_identity_and_any_other_has_not() -> None:
    base: dict[str, Any] = {"name": "a"}
    first = one(**base).id
    assert len(first) == 16
    assert one(**base, attributes={"more": 1}).id == first
    others = [
        one(name="b"),
        one(**base, end_time_unix_nano=NOON),
        one(**base, span_id=span_id(9)),
        one(**base, trace_id=b"t" * 16),
    ]
    assert len({first, *(event.id for event in others)}) == 5


@pytest.mark.parametrize(
    ("start", "end", "time", "duration"),
    [
        (NOON, NOON + 5, NOON, 5),
        (NOON, NOON, NOON, 0),
        (NOON, NOON - 5, NOON, 0),
        (0, NOON, NOON, None),
        (NOON, 0, NOON, None),
        (0, 0, 0, None),
        (2**64 - 1, 2**64 - 1, MAX_INT64, 0),
        (1, 2**64 - 1, 1, MAX_INT64),
    ],
)
def test_times_are_kept_within_what_a_column_holds(start: int, end: int, time: int, duration: int | None) -> None:
    event = one(start_time_unix_nano=start, end_time_unix_nano=end)
    assert (event.time, event.duration) == (time, duration)
    assert event.end <= MAX_INT64


def test_the_status_and_the_error_come_from_the_status_then_from_the_exception() -> None:
    assert (one().status, one(status={"code": 1}).status) == (None, "ok")
    said = one(status={"code": 2, "message": "no route"}, attributes={"error.message": "other"})
    assert (said.status, said.error) == ("error", "no route")
    told = one(status={"code": 2}, attributes={"error.message": "boom"})
    assert (told.status, told.error) == ("error", "boom")
    request = traces({"status": {"code": 2}})
    span = request.resource_spans[0].scope_spans[0].spans[0]
    for text in ("first", "last"):
        exception = span.events.add(name="exception").attributes.add(key="exception.message")
        exception.value.string_value = text
    span.events.add(name="retry")
    assert decode(request).events[0].error == "last"
    assert one(status={"code": 2}).error == "error"


def test_names_are_cut_and_cleaned_and_the_body_keeps_them_whole() -> None:
    event = one(name="x" * 1_000, attributes={"session.id": "s\x00" + "é" * 1_000})
    assert event.type == "x" * 256
    assert event.session_id is not None
    assert event.session_id.startswith("s\ufffdé")
    assert len(event.session_id) == 256
    rebuilt = rebuild_spans([event.body]).resource_spans[0].scope_spans[0].spans[0]
    assert rebuilt.name == "x" * 1_000
    assert rebuilt.attributes[0].value.string_value == "s\x00" + "é" * 1_000


def test_a_span_without_a_name_is_a_span() -> None:
    assert one(name="").type == "span"


def test_content_types_are_compared_as_media_types() -> None:
    for text in ("application/x-protobuf", "Application/X-Protobuf; a=b", "application/protobuf"):
        assert encoding_of(text) == "protobuf"
    assert encoding_of("application/json; charset=utf-8") == "json"
    for wrong in (None, "", "text/plain", "application/jsonp", "application"):
        with pytest.raises(UnsupportedMedia, match="application/x-protobuf, application/json"):
            encoding_of(wrong)


def test_an_empty_protobuf_request_is_fine() -> None:
    assert decode_traces(b"", "protobuf") == Decoded([])


def test_other_signals_on_this_path_are_not_stored_as_garbage() -> None:
    for request in (metrics(3), logs({}, {}), logs({"trace_id": bytes.fromhex(TRACE), "span_id": span_id(1)})):
        try:
            decoded = decode_traces(request.SerializeToString(), "protobuf")
        except BadInput:
            continue
        assert decoded.events == []
        assert decoded.rejected


def test_invalid_utf8_refuses_the_request() -> None:
    body = traces({"name": "NAME"}).SerializeToString().replace(b"NAME", b"N\xffME")
    with pytest.raises(BadInput, match="not a protobuf ExportTraceServiceRequest"):
        decode_traces(body, "protobuf")


def _samples() -> dict[str, list[bytes]]:
    request = traces({"attributes": {"a": 1.5, "b": b"x", "c": None, "d": "text"}}, {"status": {"code": 2}})
    request.resource_spans[0].scope_spans[0].spans[0].events.add(name="e", time_unix_nano=5)
    request.resource_spans[0].scope_spans[0].spans[0].links.add(trace_id=b"x" * 16, flags=1)
    records = logs({"body": {"string_value": "said"}}, {"event_name": "e"})
    return {
        "protobuf": [request.SerializeToString(), records.SerializeToString(), metrics(2).SerializeToString()],
        "json": [to_json(request), to_json(records), to_json(metrics(2))],
    }


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 12))
def test_mutated_bytes_raise_bad_input_or_nothing(encoding: Any, seed: int, count: int) -> None:
    chance = random.Random(seed)
    size = chance.choice([1, 20, 100, pieces.PIECE_BYTES])
    for sample in _samples()[encoding]:
        body = bytearray(sample)
        for _ in range(count):
            at = chance.randrange(len(body))
            match chance.randrange(4):
                case 0:
                    body[at] = chance.randrange(256)
                case 1:
                    body[at] ^= 1 << chance.randrange(8)
                case 2:
                    del body[at : at + chance.randrange(1, 9)]
                case _:
                    body[at:at] = body[chance.randrange(len(body)) :][: chance.randrange(1, 20)]
            if not body:
                break
        for read in (decode_traces, decode_logs, count_metrics):
            try:
                with patch.object(pieces, "PIECE_BYTES", size):
                    found: Any = read(bytes(body), encoding)
            except BadInput as error:
                assert str(error)  # noqa: PT017 - many a mutation does no harm
                continue
            if read is decode_traces:
                rebuild_spans(event.body for event in found.events)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_bad_input_or_nothing(body: bytes) -> None:
    for encoding in ("protobuf", "json"):
        for read in (decode_traces, decode_logs, count_metrics):
            try:
                read(body, encoding)  # type: ignore[operator]
            except BadInput as error:
                assert str(error)  # noqa: PT017


def test_the_table_of_fields_follows_the_numbers_of_protobuf() -> None:
    from ark_broker.receive.otlp import schema

    for message in vars(schema).values():
        if isinstance(message, schema.Message):
            fields = message.protobuf.DESCRIPTOR.fields_by_name
            assert [field.name for field in message.fields] == sorted(fields, key=lambda name: fields[name].number)
            assert all(fields[field.name].json_name == field.key for field in message.fields)
