"""Custom events: their formats, their fields, and errors that name the place."""

from __future__ import annotations

import random
import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ark_broker.model import MAX_INT64, Event
from ark_broker.model.errors import BadInput, TooLarge, UnsupportedMedia
from ark_broker.receive.custom import MAX_EVENTS, decode_events
from tests.support.events import NOON

CLOUD = {"specversion": "1.0", "id": "1", "source": "/ci", "type": "build.done"}


def decode(value: object, media: str | None = "application/json", **headers: str) -> list[Event]:
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    return decode_events(body, media, {key.replace("_", "-"): text for key, text in headers.items()}).events


def one(value: object, media: str | None = "application/json", **headers: str) -> Event:
    (event,) = decode(value, media, **headers)
    return event


FULL = {
    "type": "deploy.done",
    "kind": "task",
    "id": "e1",
    "source": "ci",
    "time": "2024-01-15T10:30:00.000000005Z",
    "sessionId": "s1",
    "namespace": "prod",
    "query": "q1",
    "queryUid": "8d1c",
    "conversationId": "c1",
    "agent": "a",
    "model": "m",
    "tool": "t",
    "toolCallId": "tc",
    "mcpServer": "ms",
    "mcpSessionId": "mi",
    "taskId": "ti",
    "questionId": "qi",
    "streamId": "si",
    "status": "ok",
    "error": "none really",
    "inputTokens": 5,
    "outputTokens": 0,
    "duration": 7,
    "cost": 0.25,
    "traceId": "4BF92F3577B34DA6A3CE929D0E0E4736",
    "spanId": "00f067aa0ba902b7",
    "parentSpanId": "00f067aa0ba902b8",
    "anything": {"else": [1, None]},
}


def _snake(key: str) -> str:
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), key)


@pytest.mark.parametrize("name", [str, _snake], ids=["camelCase", "snake_case"])
def test_every_field_of_the_vocabulary_is_taken_and_the_whole_is_kept(name: Any) -> None:
    sent = {name(key): value for key, value in FULL.items()}
    event = one(sent)
    assert orjson.loads(event.body) == sent
    assert (event.kind, event.type, event.time, event.duration, event.cost) == (
        "task",
        "deploy.done",
        NOON + 5,
        7,
        0.25,
    )
    assert (event.trace_id, event.span_id, event.parent_span_id) == (
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "00f067aa0ba902b7",
        "00f067aa0ba902b8",
    )
    for key in [*NAMES, "inputTokens", "outputTokens"]:
        assert getattr(event, _snake(key)) == FULL[key]
    assert (event.status, event.error) == ("ok", "none really")


def test_the_least_an_event_can_be() -> None:
    event = one({"type": "x"})
    assert (event.kind, event.type, event.time, event.session_id) == ("event", "x", 0, None)
    assert one({"name": "x"}).type == "x"


def test_camel_case_wins_over_snake_case() -> None:
    assert one({"type": "x", "sessionId": "camel", "session_id": "snake"}).session_id == "camel"


def test_attributes_fill_what_the_fields_leave_open() -> None:
    event = one(
        {"name": "tool.call", "attributes": {"session.id": "s", "tool.name": "t", "query.name": "q"}, "tool": "u"}
    )
    assert (event.type, event.session_id, event.tool, event.query) == ("tool.call", "s", "u", "q")


def test_an_id_makes_the_event_the_same_and_none_makes_it_new() -> None:
    assert one({"type": "x", "id": "1"}).id == one({"type": "y", "id": "1"}).id
    assert one({"type": "x", "id": 1}).id == one({"type": "x", "id": "1"}).id
    assert one({"type": "x", "id": "1", "source": "a"}).id != one({"type": "x", "id": "1", "source": "b"}).id
    assert one({"type": "x"}).id != one({"type": "x"}).id


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2024-01-15T10:30:00Z", NOON),
        ("2024-01-15t10:30:00z", NOON),
        ("2024-01-15 11:30:00+01:00", NOON),
        ("2024-01-15T10:30:00.5Z", NOON + 500_000_000),
        ("2024-01-15T10:30:00.1234567891234Z", NOON + 123_456_789),
        ("1960-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59Z", MAX_INT64),
        (NOON, NOON),
        (None, 0),
    ],
)
def test_times_are_rfc_3339_or_nanoseconds(time: object, expected: int) -> None:
    assert one({"type": "x", "time": time}).time == expected


@pytest.mark.parametrize(
    ("given", "expected"), [({"durationMs": 1.5}, 1_500_000), ({"duration_ms": 2, "duration": 7}, 7), ({}, None)]
)
def test_a_duration_may_be_in_milliseconds(given: dict[str, Any], expected: int | None) -> None:
    assert one({"type": "x", **given}).duration == expected


NAMES = ["sessionId", "namespace", "query", "queryUid", "conversationId", "agent", "model", "tool", "toolCallId"]
NAMES += ["mcpServer", "mcpSessionId", "taskId", "questionId", "streamId", "status"]
COUNTS = ["inputTokens", "outputTokens", "duration"]
NUMBERS = ["cost", "durationMs"]
WRONG = [
    *((name, 5, "must be a string") for name in NAMES),
    *((name, "x" * 257, "must have at most 256 characters") for name in NAMES),
    *((name, "a\x00", "must not have NUL characters") for name in NAMES),
    *((name, value, "must be a non-negative integer") for name in COUNTS for value in (-1, 1.5, "1", True)),
    *((name, value, "must be a non-negative number") for name in NUMBERS for value in (-1, "1", True, 1e15)),
    *(("traceId", value, "must be 16 bytes in hex") for value in ("0" * 32, "ab", 5)),
    *((name, value, "must be 8 bytes in hex") for name in ("spanId", "parentSpanId") for value in ("xyz", 5, "0" * 16)),
    ("type", 5, "must be a string"),
    ("type", "session.deleted", "is reserved for the broker"),
    ("type", "x" * 257, "must have at most 256 characters"),
    ("kind", "span", "must be one of event, message, task"),
    ("kind", 5, "must be one of"),
    ("id", {}, "must be a string"),
    ("attributes", [], "must be an object"),
    ("time", "yesterday", "must be an RFC 3339 time"),
    ("time", "2024-01-15T10:30:00", "must be an RFC 3339 time"),
    ("time", "2024-02-30T10:30:00Z", "is no time that exists"),
    ("time", -1, "must be an RFC 3339 time"),
    ("time", True, "must be an RFC 3339 time"),
]


@pytest.mark.parametrize(("field", "value", "message"), WRONG)
def test_a_wrong_field_is_named_with_its_place(field: str, value: object, message: str) -> None:
    wrong = {"type": "x", field: value}
    with pytest.raises(BadInput, match="^" + re.escape(f"{field}: {message}")) as caught:
        decode(wrong)
    assert caught.value.field == field
    with pytest.raises(BadInput, match="^" + re.escape(f"[1].{field}: {message}")):
        decode([{"type": "x"}, wrong])
    lines = b'{"type":"x"}\n\n' + orjson.dumps(wrong)
    with pytest.raises(BadInput, match="^" + re.escape(f"line 3: {field}: {message}")):
        decode(lines, "application/x-ndjson")


@pytest.mark.parametrize("value", [{}, {"type": ""}, {"type": None}, {"name": ""}])
def test_a_type_is_required(value: object) -> None:
    with pytest.raises(BadInput, match=r"^type: is required"):
        decode(value)


@pytest.mark.parametrize("value", [5, "x", None])
def test_an_event_is_an_object(value: object) -> None:
    with pytest.raises(BadInput, match="must be a JSON object"):
        decode(value)
    with pytest.raises(BadInput, match=re.escape("[0]")):
        decode([value])


@pytest.mark.parametrize("media", ["application/x-ndjson", "application/ndjson; charset=utf-8", "application/jsonl"])
def test_lines_are_events_and_blank_ones_are_not(media: str) -> None:
    events = decode(b'{"type":"a"}\r\n\n {"type":"b"}', media)
    assert [event.type for event in events] == ["a", "b"]


def test_an_array_and_nothing_at_all() -> None:
    assert [event.type for event in decode([{"type": "a"}, {"type": "b"}], None)] == ["a", "b"]
    assert decode([]) == []
    assert decode(b"", "application/x-ndjson") == []
    with pytest.raises(BadInput, match="not JSON"):
        decode(b"")


def test_too_many_events_are_too_large() -> None:
    line = b'{"type":"x"}'
    with pytest.raises(TooLarge, match=f"more than {MAX_EVENTS} events"):
        decode(b"[" + b",".join([line] * (MAX_EVENTS + 1)) + b"]")
    with pytest.raises(TooLarge):
        decode(b"\n".join([line] * (MAX_EVENTS + 1)), "application/x-ndjson")
    assert len(decode(b"\n".join([line] * MAX_EVENTS), "application/x-ndjson")) == MAX_EVENTS


@pytest.mark.parametrize("media", ["text/plain", "application/xml", "multipart/form-data; boundary=x"])
def test_other_media_types_are_refused(media: str) -> None:
    with pytest.raises(UnsupportedMedia, match="supported: application/json, application/x-ndjson"):
        decode({"type": "x"}, media)


def test_a_structured_cloud_event() -> None:
    sent = CLOUD | {
        "time": "2024-01-15T10:30:00Z",
        "sessionid": "s1",
        "toolcallid": "t1",
        "query": "q1",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "data": {"agent": "inside", "sessionId": "inside", "cost": 1},
    }
    event = one(sent, "application/cloudevents+json; charset=UTF-8")
    assert (event.type, event.time, event.session_id, event.tool_call_id) == ("build.done", NOON, "s1", "t1")
    assert (event.query, event.agent, event.cost) == ("q1", "inside", 1.0)
    assert (event.trace_id, event.parent_span_id) == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    assert event.span_id is None
    assert orjson.loads(event.body) == sent


def test_cloud_events_are_the_same_by_source_and_id() -> None:
    media = "application/cloudevents+json"
    first = one(CLOUD, media).id
    assert one(CLOUD | {"type": "other", "data": 5}, media).id == first
    assert one(CLOUD | {"id": "2"}, media).id != first
    assert one(CLOUD | {"source": "/cd"}, media).id != first


def test_a_batch_of_cloud_events_names_the_one_that_is_wrong() -> None:
    media = "application/cloudevents-batch+json"
    assert [event.type for event in decode([CLOUD, CLOUD | {"id": "2"}], media)] == ["build.done"] * 2
    assert decode([], media) == []
    with pytest.raises(BadInput, match=re.escape("[1].source: a CloudEvent must have it")):
        decode([CLOUD, CLOUD | {"source": ""}], media)
    with pytest.raises(BadInput, match="must be an array"):
        decode(CLOUD, media)


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type"])
def test_a_cloud_event_without_a_required_attribute_is_refused(missing: str) -> None:
    media = "application/cloudevents+json"
    with pytest.raises(BadInput, match=f"^{missing}: a CloudEvent must have it"):
        decode({key: value for key, value in CLOUD.items() if key != missing}, media)
    with pytest.raises(BadInput, match=f"^{missing}: a CloudEvent must have it"):
        decode(CLOUD | {missing: 5}, media)


def test_other_versions_and_reserved_types_of_cloud_events_are_refused() -> None:
    media = "application/cloudevents+json"
    with pytest.raises(BadInput, match=r"only CloudEvents 1\.0"):
        decode(CLOUD | {"specversion": "0.3"}, media)
    with pytest.raises(BadInput, match="type: is reserved"):
        decode(CLOUD | {"type": "session.deleted"}, media)


BINARY = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/ci", "ce_type": "build.done"}


@pytest.mark.parametrize(
    ("media", "body", "kept"),
    [
        ("application/json", b'{"agent":"a"}', {"data": {"agent": "a"}}),
        ("application/vnd.x+json", b"[1]", {"data": [1]}),
        ("text/plain; charset=utf-8", b"h\xc3\xa9", {"data": "h\u00e9"}),
        ("application/octet-stream", b"\x00\xff", {"data_base64": "AP8="}),
        ("application/json", b"", {}),
    ],
)
def test_a_binary_cloud_event_is_the_structured_one_it_stands_for(media: str, body: bytes, kept: Any) -> None:
    event = one(body, media, **BINARY, ce_sessionid="s%20%E2%82%AC", content_length="5")
    assert orjson.loads(event.body) == CLOUD | {"sessionid": "s \u20ac"} | kept
    assert (event.type, event.session_id) == ("build.done", "s \u20ac")
    assert event.id == one(CLOUD, "application/cloudevents+json").id


def test_a_binary_cloud_event_with_a_broken_body_is_refused() -> None:
    with pytest.raises(BadInput, match="not JSON"):
        decode(b"{", "application/json", **BINARY)
    with pytest.raises(BadInput, match=r"^id: "):
        decode(b"{}", "application/json", ce_specversion="1.0")


MEDIA = [
    "application/json",
    "application/x-ndjson",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(MEDIA))
def test_mutated_bytes_raise_bad_input_or_nothing(seed: int, media: str) -> None:
    chance = random.Random(seed)
    for sample in (FULL, [FULL, {"type": "x"}], CLOUD, [CLOUD]):
        body = bytearray(orjson.dumps(sample))
        for _ in range(chance.randrange(1, 6)):
            body[chance.randrange(len(body))] = chance.choice(b'{}[]",:0x\xff\\')
        try:
            events = decode(bytes(body), media)
        except BadInput as error:
            assert str(error)  # noqa: PT017 - many a mutation does no harm
        else:
            assert all(orjson.loads(event.body) for event in events)


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), st.lists))
def test_any_value_in_any_field_raises_bad_input_or_nothing(value: Any) -> None:
    for field in FULL:
        try:
            body = orjson.dumps({"type": "x", field: value})
        except TypeError:  # half a surrogate: no JSON can carry it
            return
        try:
            decode(body)
        except BadInput as error:
            assert str(error)  # noqa: PT017
