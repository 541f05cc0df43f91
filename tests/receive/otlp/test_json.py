"""OTLP/JSON as real senders write it: what is read leniently, and what is refused, with the place in the message."""

from __future__ import annotations

import math
import re
from typing import Any

import orjson
import pytest

from ark_broker.model.errors import BadInput
from ark_broker.receive.otlp import decode_traces
from tests.support.otlp import TRACE, json_span, json_traces


def decode(value: object) -> Any:
    return decode_traces(orjson.dumps(value), "json")


def stored(**fields: Any) -> Any:
    """The span in the stored body."""
    (event,) = decode(json_traces(json_span(**fields))).events
    return orjson.loads(event.body)["span"]


def stored_value(value: object) -> Any:
    """The canonical form of one attribute value."""
    return stored(attributes=[{"key": "k", "value": value}])["attributes"][0]["value"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"kind": "SPAN_KIND_CLIENT"}, {"kind": 3}),
        ({"kind": "3"}, {"kind": 3}),
        ({"kind": 77}, {"kind": 77}),
        ({"status": {"code": "STATUS_CODE_ERROR"}}, {"status": {"code": 2}}),
        ({"status": {}}, {"status": {}}),
        ({"startTimeUnixNano": 1705314600000000001}, {"startTimeUnixNano": "1705314600000000001"}),
        ({"endTimeUnixNano": "0"}, {}),
        ({"endTimeUnixNano": "007"}, {"endTimeUnixNano": "7"}),
        ({"flags": 257.0}, {"flags": 257}),
        ({"traceState": None}, {}),
        ({"events": None, "links": []}, {}),
        ({"traceId": TRACE.upper()}, {"traceId": TRACE}),
        ({"someNewField": {"deep": [1]}}, {}),
        ({"trace_state": "a=1"}, {"traceState": "a=1"}),
        ({"trace_state": "snake", "traceState": "camel"}, {"traceState": "camel"}),
        ({"events": [{"time_unix_nano": 5, "name": "e"}]}, {"events": [{"timeUnixNano": "5", "name": "e"}]}),
    ],
)
def test_what_the_collector_reads_is_read(sent: dict[str, Any], kept: dict[str, Any]) -> None:
    plain = stored(attributes=[])
    span = stored(attributes=[], **sent)
    for key in {*sent, *kept}:
        if key in kept:
            assert span[key] == kept[key]
        elif key in plain:
            assert key not in span or span[key] == plain[key]
        else:
            assert key not in span


def test_a_whole_request_in_snake_case_is_read() -> None:
    span = {
        "trace_id": TRACE,
        "span_id": "00000000000000AB",
        "parent_span_id": "00000000000000aa",
        "name": "s",
        "start_time_unix_nano": "5",
        "end_time_unix_nano": 9,
        "attributes": [{"key": "n", "value": {"int_value": 3}}],
    }
    scope = {"scope": {"name": "lib"}, "schema_url": "u", "spans": [span]}
    decoded = decode({"resource_spans": [{"resource": {"dropped_attributes_count": 2}, "scope_spans": [scope]}]})
    (event,) = decoded.events
    assert (event.span_id, event.parent_span_id, event.time, event.duration) == (
        "00000000000000ab",
        "00000000000000aa",
        5,
        4,
    )
    body = orjson.loads(event.body)
    assert body["resource"] == {"droppedAttributesCount": 2}
    assert body["scopeSchemaUrl"] == "u"
    assert body["span"]["attributes"] == [{"key": "n", "value": {"intValue": "3"}}]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"stringValue": ""}, {"stringValue": ""}),
        ({"intValue": 5}, {"intValue": "5"}),
        ({"intValue": "-9223372036854775808"}, {"intValue": "-9223372036854775808"}),
        ({"intValue": 3.0}, {"intValue": "3"}),
        ({"intValue": 0}, {"intValue": "0"}),
        ({"doubleValue": 1}, {"doubleValue": 1.0}),
        ({"doubleValue": "1.5e3"}, {"doubleValue": 1500.0}),
        ({"doubleValue": "-0.25"}, {"doubleValue": -0.25}),
        ({"doubleValue": "NaN"}, {"doubleValue": "NaN"}),
        ({"doubleValue": "-Infinity"}, {"doubleValue": "-Infinity"}),
        ({"bytesValue": "_-8"}, {"bytesValue": "/+8="}),
        ({"boolValue": False}, {"boolValue": False}),
        ({"arrayValue": {}}, {"arrayValue": {"values": []}}),
        (
            {"arrayValue": {"values": [{}, {"stringValue": "x"}]}},
            {"arrayValue": {"values": [{}, {"stringValue": "x"}]}},
        ),
        ({"kvlistValue": {"values": [{"key": "a"}]}}, {"kvlistValue": {"values": [{"key": "a"}]}}),
        ({"stringValue": None, "intValue": 1}, {"intValue": "1"}),
        ({"futureValue": 1}, {}),
    ],
)
def test_values_come_to_their_canonical_form(sent: object, kept: object) -> None:
    assert stored_value(sent) == kept


@pytest.mark.parametrize(
    "text",
    ["1_0", " 1", "1 ", "1e999", "-1e999", "nan", "inf", "-inf", "infinity", "+1", ".5", "5.", "0x10", "01", "", "١"],
)
def test_a_double_in_text_is_a_json_number_or_one_of_three_names(text: str) -> None:
    with pytest.raises(BadInput, match=re.escape("attributes[0]: must be a number")):
        stored_value({"doubleValue": text})


def test_a_number_too_large_for_a_double_is_refused() -> None:
    body = orjson.dumps(json_traces(json_span(attributes=[{"key": "k", "value": {"doubleValue": 4321}}])))
    for digits in (b"1e999", b"9" * 400):
        with pytest.raises(BadInput):
            decode_traces(body.replace(b"4321", digits), "json")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attributes": {"a": 1}}, "attributes: must be an array"),
        ({"attributes": ["a"]}, 'attributes[0]: must be an object {"key", "value"}'),
        ({"attributes": [{"key": 5}]}, "attributes[0]: must be a string"),
        ({"attributes": [{"key": "a"}, {"key": "a", "value": "x"}]}, "attributes[1]: must be an object such as"),
        ({"attributes": [{"key": "a", "value": {"stringValue": 1}}]}, "attributes[0]: must be a string"),
        ({"attributes": [{"key": "a", "value": {"intValue": "x"}}]}, "attributes[0]: must be an integer"),
        ({"attributes": [{"key": "a", "value": {"intValue": 2**63}}]}, "attributes[0]: must be an integer"),
        ({"attributes": [{"key": "a", "value": {"intValue": True}}]}, "attributes[0]: must be an integer"),
        ({"attributes": [{"key": "a", "value": {"doubleValue": True}}]}, "attributes[0]: must be a number"),
        ({"attributes": [{"key": "a", "value": {"boolValue": "true"}}]}, "attributes[0]: must be true or false"),
        ({"attributes": [{"key": "a", "value": {"bytesValue": "*"}}]}, "attributes[0]: must be base64"),
        ({"attributes": [{"key": "a", "value": {"arrayValue": []}}]}, "attributes[0]: must be an object"),
        ({"attributes": [{"key": "a", "value": {"kvlistValue": {"values": {}}}}]}, "attributes[0]: must be an array"),
        (
            {"attributes": [{"key": "a", "value": {"intValue": 1, "stringValue": "1"}}]},
            "attributes[0]: has more than one value",
        ),
        ({"name": 5}, "name: must be a string"),
        ({"traceId": 5}, "traceId: must be a string"),
        ({"kind": "CLIENT"}, "kind: must be an integer"),
        ({"flags": -1}, "flags: must be an integer from 0 to 4294967295"),
        ({"startTimeUnixNano": str(2**64)}, "startTimeUnixNano: must be an integer"),
        ({"startTimeUnixNano": 1.5}, "startTimeUnixNano: must be an integer"),
        ({"events": {}}, "events: must be an array"),
        ({"events": [{}, {"timeUnixNano": "soon"}]}, "events[1].timeUnixNano: must be an integer"),
        ({"links": [5]}, "links[0]: must be an object"),
        ({"status": []}, "status: must be an object"),
        ({"status": {"message": 1}}, "status.message: must be a string"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(fields: dict[str, Any], message: str) -> None:
    place = "resourceSpans[0].scopeSpans[0].spans[1]."
    with pytest.raises(BadInput, match="^" + re.escape(place)) as caught:
        decode(json_traces(json_span(), json_span(2, **fields)))
    assert str(caught.value).removeprefix(place).startswith(message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "body: must be a JSON object"),
        ({"resourceSpans": {}}, "resourceSpans: must be an array"),
        ({"resourceSpans": [5]}, "resourceSpans[0]: must be an object"),
        ({"resourceSpans": [{"scopeSpans": [[]]}]}, "resourceSpans[0].scopeSpans[0]: must be an object"),
        ({"resourceSpans": [{"scopeSpans": [{"spans": 1}]}]}, "resourceSpans[0].spans: must be an array"),
        ({"resourceSpans": [{"schemaUrl": 1}]}, "resourceSpans[0].schemaUrl: must be a string"),
        (
            {"resourceSpans": [{"resource": {"attributes": 1}}]},
            "resourceSpans[0].resource.attributes: must be an array",
        ),
        ({"resourceLogs": []}, "resourceLogs: this is a request for /v1/logs"),
        ({"resourceMetrics": []}, "resourceMetrics: this is a request for /v1/metrics"),
    ],
)
def test_a_request_of_the_wrong_shape_says_where(value: object, message: str) -> None:
    with pytest.raises(BadInput, match="^" + re.escape(message)):
        decode(value)


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"{}x", b"{} {}", b"\xff", b'{"a": "\xff"}', b"{'a':1}", b"NaN"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput, match=r"^body: not JSON"):
        decode_traces(body, "json")


@pytest.mark.parametrize("value", [{}, {"resourceSpans": None}, {"resourceSpans": []}, {"other": 1}])
def test_an_empty_request_is_fine(value: object) -> None:
    assert decode(value).events == []


@pytest.mark.parametrize("text", [rb"\ud800", rb"\udc00", rb"\ud83d!", rb"\udc00\ud800"])
def test_half_a_surrogate_pair_is_refused_in_words(text: bytes) -> None:
    body = orjson.dumps(json_traces(json_span(name="NAME"))).replace(b"NAME", text)
    with pytest.raises(BadInput, match="body: not JSON: text with half of a surrogate pair"):
        decode_traces(body, "json")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"traceId": ""}, "traceId must be 16 bytes"),
        ({"traceId": "0" * 32}, "traceId must be 16 bytes"),
        ({"traceId": TRACE[1:]}, "traceId must be 16 bytes"),
        ({"traceId": TRACE[:-1] + "g"}, "traceId must be 16 bytes"),
        ({"traceId": "W47/95gDgQPSaabTgT/GDA=="}, "traceId must be 16 bytes"),
        ({"spanId": None}, "spanId must be 8 bytes"),
        ({"spanId": "0" * 16}, "spanId must be 8 bytes"),
        ({"parentSpanId": "12"}, "parentSpanId must be 8 bytes"),
        ({"parentSpanId": "000"}, "parentSpanId must be 8 bytes"),
        ({"links": [{"traceId": "xyz"}]}, "the ids of a link must be hex"),
        ({"links": [{"traceId": "ab", "spanId": "1"}]}, "the ids of a link must be hex"),
        ({"links": [{"spanId": " 1 2"}]}, "the ids of a link must be hex"),
    ],
)
def test_a_span_with_wrong_ids_is_rejected_alone(fields: dict[str, Any], reason: str) -> None:
    decoded = decode(json_traces(json_span(1), json_span(2, name="bad", **fields), json_span(3)))
    assert [event.span_id for event in decoded.events] == ["0000000000000001", "0000000000000003"]
    assert decoded.rejected == 1
    assert decoded.message.startswith(f"1 rejected; the first: span 'bad': {reason}")


@pytest.mark.parametrize("parent", ["", "0000000000000000", None])
def test_no_parent_has_several_spellings(parent: str | None) -> None:
    (event,) = decode(json_traces(json_span(parentSpanId=parent))).events
    assert event.parent_span_id is None
    assert event.is_trace_root


def test_doubles_keep_their_sign_and_precision() -> None:
    assert math.copysign(1, stored_value({"doubleValue": -0.0})["doubleValue"]) == -1
    assert stored_value({"doubleValue": "0.1"}) == {"doubleValue": 0.1}
    assert stored_value({"doubleValue": 5e-324}) == {"doubleValue": 5e-324}
