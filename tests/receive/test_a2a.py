"""A2A objects of both versions to Events: shapes, states, identities, places in time, and what is refused."""

from __future__ import annotations

import contextlib
import copy
import re
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ark_broker.model import MAX_INT64, Event
from ark_broker.model.errors import BadInput, TooLarge, UnsupportedMedia
from ark_broker.receive.a2a import A2A_ERROR, Defaults
from ark_broker.receive.a2a_frames import decode_frames, decode_notification
from ark_broker.receive.conventions.describe import describe
from ark_broker.receive.conventions.exchange import exchange
from ark_broker.receive.custom import MAX_EVENTS
from tests.support.events import NOON

Json = dict[str, Any]
IDS = {"taskId": "t1", "contextId": "c1"}
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LATER = NOON + 3_600_000_000_000

OLD_STATUS: Json = {"state": "working", "timestamp": "2024-01-15T10:30:00"}
NEW_STATUS: Json = {"state": "TASK_STATE_WORKING", "timestamp": "2024-01-15T10:30:00.000Z"}
OLD_TASK: Json = {"kind": "task", "id": "t1", "contextId": "c1", "status": OLD_STATUS}
NEW_TASK: Json = {"task": {"id": "t1", "contextId": "c1", "status": NEW_STATUS}}
OLD_UPDATE: Json = {"kind": "status-update", **IDS, "status": OLD_STATUS, "final": False}
NEW_UPDATE: Json = {"statusUpdate": {**IDS, "status": NEW_STATUS}}
OLD_ARTIFACT: Json = {
    "kind": "artifact-update",
    **IDS,
    "artifact": {"artifactId": "a1", "parts": [{"kind": "text", "text": "18 degrees"}]},
    "lastChunk": True,
}
NEW_ARTIFACT: Json = {
    "artifactUpdate": {**IDS, "artifact": {"artifactId": "a1", "parts": [{"text": "18 degrees"}]}, "lastChunk": True}
}
OLD_MESSAGE: Json = {
    "kind": "message",
    "messageId": "m1",
    **IDS,
    "role": "agent",
    "parts": [{"kind": "text", "text": "Which city?"}],
}
NEW_MESSAGE: Json = {
    "message": {"messageId": "m1", **IDS, "role": "ROLE_AGENT", "parts": [{"text": "Which city?"}]},
}


def rpc(result: Json) -> Json:
    return {"jsonrpc": "2.0", "id": 1, "result": result}


def decode(value: object, media: str | None = "application/json", **options: Any) -> list[Event]:
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    headers = options.pop("headers", {})
    return decode_frames(body, media, headers, options.pop("defaults", Defaults()), **options)


def one(value: object, **options: Any) -> Event:
    (event,) = decode(value, **options)
    return event


def with_status(**status: Any) -> Json:
    return {"statusUpdate": {**IDS, "status": status}}


TASKS = [
    pytest.param(OLD_TASK, id="0.3 task"),
    pytest.param(OLD_UPDATE, id="0.3 status-update"),
    pytest.param(rpc(OLD_UPDATE), id="0.3 in JSON-RPC"),
    pytest.param(NEW_TASK, id="1.0 task"),
    pytest.param(NEW_UPDATE, id="1.0 statusUpdate"),
    pytest.param(rpc(NEW_UPDATE), id="1.0 in JSON-RPC"),
    pytest.param(NEW_TASK["task"], id="1.0 bare task"),
    pytest.param(rpc(NEW_TASK["task"]), id="1.0 answer of GetTask"),
    pytest.param(NEW_UPDATE["statusUpdate"], id="1.0 bare status"),
]


@pytest.mark.parametrize("frame", TASKS)
def test_every_shape_of_a_state_becomes_a_task_event(frame: Json) -> None:
    event = one(frame)

    assert (event.kind, event.type, event.time) == ("task", "task.updated", NOON)
    assert (event.task_id, event.conversation_id, event.task_state) == ("t1", "c1", "working")
    assert (event.phase, event.status, event.error) == (None, None, None)
    assert orjson.loads(event.body) == frame
    [notified] = decode_notification(orjson.dumps(frame), "application/a2a+json", {}, Defaults())
    assert notified == event


@pytest.mark.parametrize(
    "frame", [OLD_ARTIFACT, NEW_ARTIFACT, rpc(OLD_ARTIFACT), rpc(NEW_ARTIFACT), NEW_ARTIFACT["artifactUpdate"]]
)
def test_every_shape_of_an_artifact_becomes_an_artifact_event(frame: Json) -> None:
    event = one(frame)

    assert (event.kind, event.type, event.time) == ("task", "artifact.updated", 0)
    assert (event.task_id, event.conversation_id, event.task_state) == ("t1", "c1", None)
    assert orjson.loads(event.body) == {"output": "18 degrees"} | frame
    assert describe(event).output == "18 degrees"


@pytest.mark.parametrize(
    "frame", [OLD_MESSAGE, NEW_MESSAGE, rpc(OLD_MESSAGE), rpc(NEW_MESSAGE), NEW_MESSAGE["message"]]
)
def test_every_shape_of_a_message_becomes_a_message_of_the_conversation(frame: Json) -> None:
    event = one(frame)

    said = {"role": "assistant", "content": "Which city?"}
    assert (event.kind, event.type) == ("message", "message.added")
    assert (event.task_id, event.conversation_id) == ("t1", "c1")
    assert orjson.loads(event.body) == {"message": said, "a2a": frame}
    assert exchange(event).given == [said]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "user", "parts": [{"kind": "text", "text": "Hi"}]}, {"role": "user", "content": "Hi"}),
        ({"role": "ROLE_USER", "content": [{"text": "Hi"}]}, {"role": "user", "content": "Hi"}),
        ({"parts": [{"text": "Hi"}]}, {"role": "assistant", "content": "Hi"}),
        ({"role": 5, "parts": "none"}, {"role": "assistant", "content": None}),
        (
            {
                "role": "agent",
                "parts": [{"text": "See"}, {"url": "https://example.org/a.png", "mediaType": "image/png"}],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "See"},
                    {"url": "https://example.org/a.png", "mediaType": "image/png"},
                ],
            },
        ),
    ],
)
def test_messages_are_shown_as_openai_writes_them(message: Json, said: Json) -> None:
    event = one({"message": {"messageId": "m1", **message}})

    assert orjson.loads(event.body)["message"] == said


STATES = ["submitted", "working", "input-required", "completed", "canceled", "failed", "rejected", "auth-required"]


@pytest.mark.parametrize("state", [*STATES, "unknown", "on-hold"])
def test_states_of_both_versions_have_one_spelling(state: str) -> None:
    plain = state.replace("-", "_")
    assert one({**OLD_TASK, "status": {"state": state}}).task_state == plain
    assert one(with_status(state=f"TASK_STATE_{plain.upper()}")).task_state == plain


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("TASK_STATE_CANCELLED", "canceled"),
        ("TASK_STATE_UNSPECIFIED", "unspecified"),
        ("Paused By Operator", "paused by operator"),
        ("", None),
        (" ", None),
        ("\u0130" * 256, "i\u0307" * 128),
        (None, None),
    ],
)
def test_other_states_are_kept_in_lower_case(state: str | None, expected: str | None) -> None:
    assert one(with_status(state=state)).task_state == expected


def test_a_task_without_a_status_is_known_and_has_no_state() -> None:
    assert one({"task": {"id": "t1"}}).task_state is None
    assert one({"kind": "task", "id": "t1", "status": {}}).task_state is None


@pytest.mark.parametrize("state", ["failed", "TASK_STATE_REJECTED"])
def test_a_failed_task_says_why_and_decides_no_phase(state: str) -> None:
    why = {"role": "agent", "parts": [{"text": "no such city"}, {"data": {"code": 7}}]}
    event = one(with_status(state=state, message=why))

    assert (event.status, event.error, event.phase) == ("error", "no such city", None)
    assert one(with_status(state=state)).error == one(with_status(state=state)).task_state


def test_what_an_agent_says_beside_a_state_is_shown() -> None:
    event = one(with_status(state="TASK_STATE_INPUT_REQUIRED", message=NEW_MESSAGE["message"]))

    assert (event.task_state, event.phase, event.error) == ("input_required", None, None)
    assert describe(event).message == "Which city?"


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        ([{"text": "a"}, {"text": "b"}, {"data": 5}], "a\nb"),
        ([{"data": {"degrees": 18}}], {"degrees": 18}),
        ([{"kind": "data", "data": {"a": 1}}, {"data": [2]}], [{"a": 1}, [2]]),
        ([{"raw": "aGVsbG8=", "mediaType": "text/plain"}], None),
        ([], None),
        ("text", None),
    ],
)
def test_an_artifact_shows_its_text_or_else_its_data(parts: object, shown: object) -> None:
    event = one({"artifactUpdate": {**IDS, "artifact": {"artifactId": "a1", "parts": parts}}})

    assert describe(event).output == shown


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2024-01-15T10:30:00", NOON),
        ("2024-01-15T11:30:00.5+01:00", NOON + 500_000_000),
        ("2024-01-15T10:30:00.123456Z", NOON + 123_456_000),
        ("9999-12-31T23:59:59Z", MAX_INT64),
        ("yesterday", 0),
        ("2024-02-30T10:30:00Z", 0),
        (17, 0),
        (None, 0),
    ],
)
def test_the_time_is_the_statuss(stamp: object, expected: int) -> None:
    assert one(with_status(state="working", timestamp=stamp)).time == expected


def test_frames_of_one_task_follow_each_other_in_time() -> None:
    done = with_status(state="TASK_STATE_COMPLETED", timestamp=NEW_STATUS["timestamp"])
    other = {"task": {"id": "t2", "status": {"state": "working"}}}
    events = decode([NEW_UPDATE, NEW_ARTIFACT, other, NEW_MESSAGE, done], now=LATER)

    assert [event.time for event in events] == [NOON, NOON + 1, LATER + 1, NOON + 2, NOON + 3]


def test_frames_before_the_first_that_has_a_time_stand_before_it() -> None:
    first = {"task": {"id": "t1", "status": {"state": "TASK_STATE_SUBMITTED"}}}

    assert [event.time for event in decode([first, NEW_ARTIFACT, NEW_UPDATE], now=LATER)] == [NOON - 2, NOON - 1, NOON]
    assert [event.time for event in decode([first, NEW_ARTIFACT], now=LATER)] == [LATER + 1, LATER + 2]
    assert [event.time for event in decode([first, NEW_ARTIFACT])] == [0, 0]
    early = with_status(state="working", timestamp="1970-01-01T00:00:00.000000001Z")
    assert [event.time for event in decode([first, NEW_ARTIFACT, early], now=LATER)] == [1, 2, 1]


def test_time_has_an_end() -> None:
    last = with_status(state="working", timestamp="9999-12-31T23:59:59Z")

    assert [event.time for event in decode([last, NEW_ARTIFACT])] == [MAX_INT64, MAX_INT64]


@pytest.mark.parametrize("frame", [OLD_TASK, NEW_UPDATE, NEW_ARTIFACT, NEW_MESSAGE, OLD_MESSAGE])
def test_the_same_update_is_the_same_event_however_it_is_delivered(frame: Json) -> None:
    [inner] = [frame[member] for member in frame.keys() & {"task", "message", "statusUpdate", "artifactUpdate"}] or [
        frame
    ]
    reversed_frame = dict(reversed(frame.items()))
    ways = [
        one(frame),
        one(frame, now=LATER),
        one(reversed_frame),
        one(rpc(frame)),
        one(inner),
        one(frame, defaults=Defaults(session_id="s1")),
    ]

    assert len({event.id for event in ways}) == 1


@pytest.mark.parametrize(
    "other",
    [
        with_status(state="TASK_STATE_WORKING", timestamp="2024-01-15T10:30:00.001Z"),
        with_status(state="TASK_STATE_COMPLETED", timestamp=NEW_STATUS["timestamp"]),
        {"statusUpdate": {**NEW_UPDATE["statusUpdate"], "taskId": "t2"}},
        {"statusUpdate": {**NEW_UPDATE["statusUpdate"], "metadata": {"progress": 2}}},
    ],
)
def test_another_update_is_another_event(other: Json) -> None:
    assert one(other).id != one(NEW_UPDATE).id


def test_equal_pieces_of_an_artifact_are_as_many_as_came() -> None:
    piece = copy.deepcopy(NEW_ARTIFACT)
    piece["artifactUpdate"] |= {"append": True, "lastChunk": False}
    first, second = decode([piece, piece])

    assert first.id != second.id
    assert [event.id for event in decode([piece, piece])] == [first.id, second.id], "sent again it is the same"
    whole = decode([NEW_ARTIFACT, NEW_ARTIFACT])
    assert whole[0].id == whole[1].id, "a whole artifact takes the place of the one before"


def test_messages_without_an_id_are_never_the_same() -> None:
    nameless = {"message": {"role": "ROLE_AGENT", "parts": [{"text": "yes"}]}}

    assert one(nameless).id != one(nameless).id


def test_a_json_rpc_error_is_kept_as_an_event() -> None:
    frame = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "boom"}}
    event = one(frame, defaults=Defaults(query="q1"))

    assert (event.kind, event.type, event.query) == ("event", A2A_ERROR, "q1")
    assert (event.status, event.error, event.task_id) == ("error", "boom", None)
    assert one({**frame, "error": "just text"}).error == "just text"
    assert one({**frame, "error": {"code": 1}}).error == '{"code":1}'


@pytest.mark.parametrize("holder", ["update", "message"])
def test_metadata_says_where_a_task_belongs(holder: str) -> None:
    metadata = {
        "ark.session.id": "s1",
        "ark.query.name": "q1",
        "ark.query.namespace": "team",
        "ark.conversation.id": "other",
        "traceparent": PARENT,
        "session.id": "not ark's",
        "model": "not ark's",
    }
    frame = copy.deepcopy(NEW_UPDATE)
    if holder == "update":
        frame["statusUpdate"]["metadata"] = metadata
    else:
        frame["statusUpdate"]["status"]["message"] = {"parts": [], "metadata": metadata}
    event = one(frame, defaults=Defaults(session_id="s2", query="q2"))

    assert (event.session_id, event.query, event.namespace) == ("s1", "q1", "team")
    assert (event.trace_id, event.parent_span_id) == (TRACE, "00f067aa0ba902b7")
    assert (event.conversation_id, event.model, event.type) == ("c1", None, "task.updated")


def test_an_updates_metadata_goes_before_that_of_what_is_in_it() -> None:
    update = copy.deepcopy(NEW_ARTIFACT["artifactUpdate"])
    update["metadata"] = {"ark.session.id": "outer"}
    update["artifact"]["metadata"] = {"ark.session.id": "inner", "ark.query.name": "q1"}
    event = one({"artifactUpdate": update})

    assert (event.session_id, event.query) == ("outer", "q1")


def test_baggage_names_the_session_in_metadata_and_in_headers() -> None:
    told = copy.deepcopy(NEW_UPDATE)
    told["statusUpdate"]["metadata"] = {"baggage": "ark.session.id=s1"}
    headers = {"traceparent": PARENT, "baggage": "ark.session.id=s2"}

    assert [one(told).session_id, one(told).correlated_by] == ["s1", "baggage"]
    assert one(told, headers=headers).session_id == "s1"
    event = one(NEW_UPDATE, headers=headers)
    assert (event.session_id, event.correlated_by, event.trace_id) == ("s2", "baggage", TRACE)


def test_defaults_fill_what_the_frames_do_not_say() -> None:
    defaults = Defaults("s1", "q1", "team", "weather")
    for event in decode([OLD_TASK, NEW_ARTIFACT, NEW_MESSAGE], defaults=defaults, headers={"baggage": "session.id=s2"}):
        assert (event.session_id, event.query, event.namespace, event.agent) == ("s1", "q1", "team", "weather")
        assert event.correlated_by is None


NOTHING_OF_A2A = [
    {},
    {"kind": "span"},
    {"kind": {}},
    {"id": "t1"},
    {"task": {"id": "t1"}, "message": {"messageId": "m1"}},
    {"task": None},
    {"text": "hello"},
]


@pytest.mark.parametrize("value", NOTHING_OF_A2A)
def test_what_is_no_a2a_object_is_refused(value: Json) -> None:
    with pytest.raises(BadInput, match="must be an A2A object") as caught:
        decode(value)
    assert caught.value.field == "body"
    with pytest.raises(BadInput, match="must be an A2A object") as caught:
        decode(rpc(value))
    assert caught.value.field == "result"


NAMES = [
    (OLD_TASK, "id"),
    (OLD_TASK, "contextId"),
    (OLD_TASK, "status.state"),
    (NEW_TASK, "task.id"),
    (NEW_UPDATE, "statusUpdate.taskId"),
    (NEW_UPDATE, "statusUpdate.contextId"),
    (NEW_UPDATE, "statusUpdate.status.state"),
    (rpc(OLD_UPDATE), "result.taskId"),
    (rpc(NEW_UPDATE), "result.statusUpdate.taskId"),
    (OLD_ARTIFACT, "taskId"),
    (NEW_ARTIFACT, "artifactUpdate.taskId"),
    (NEW_ARTIFACT, "artifactUpdate.artifact.artifactId"),
    (OLD_MESSAGE, "messageId"),
    (NEW_MESSAGE, "message.messageId"),
    (NEW_MESSAGE, "message.taskId"),
    (NEW_MESSAGE, "message.contextId"),
]
OBJECTS = [
    (NEW_TASK, "task"),
    (rpc(NEW_TASK), "result"),
    (OLD_TASK, "status"),
    (NEW_UPDATE, "statusUpdate.status"),
    (NEW_ARTIFACT, "artifactUpdate.artifact"),
]
REQUIRED = [
    (OLD_TASK, "id"),
    (NEW_TASK, "task.id"),
    (OLD_UPDATE, "taskId"),
    (NEW_UPDATE, "statusUpdate.taskId"),
    (NEW_ARTIFACT, "artifactUpdate.taskId"),
]
WRONG = [
    *((frame, path, 5, "must be a string") for frame, path in NAMES),
    *((frame, path, "x" * 257, "must have at most 256 characters") for frame, path in NAMES),
    *((frame, path, "a\x00", "must not have NUL characters") for frame, path in NAMES),
    *((frame, path, value, "must be an object") for frame, path in OBJECTS for value in (5, "x", [1])),
    *((frame, path, value, "is required") for frame, path in REQUIRED for value in ("", None)),
    (NEW_ARTIFACT, "artifactUpdate.artifact", None, "must be an object"),
]


@pytest.mark.parametrize(("frame", "path", "value", "message"), WRONG)
def test_a_wrong_field_is_named_with_its_place(frame: Json, path: str, value: object, message: str) -> None:
    wrong = copy.deepcopy(frame)
    *above, name = path.split(".")
    holder = wrong
    for step in above:
        holder = holder[step]
    holder[name] = value

    with pytest.raises(BadInput, match="^" + re.escape(f"{path}: {message}")) as caught:
        decode(wrong)
    assert caught.value.field == path
    with pytest.raises(BadInput, match="^" + re.escape(f"[1].{path}: {message}")) as caught:
        decode([NEW_UPDATE, wrong])
    assert caught.value.field == f"[1].{path}"
    lines = orjson.dumps(NEW_UPDATE) + b"\n\n" + orjson.dumps(wrong)
    with pytest.raises(BadInput, match="^" + re.escape(f"line 3: {path}: {message}")):
        decode(lines, "application/x-ndjson")


@pytest.mark.parametrize("value", [5, "x", None, [[]]])
def test_a_frame_is_an_object(value: object) -> None:
    with pytest.raises(BadInput, match="must be a JSON object"):
        decode(value)


def test_a_notification_is_one_object() -> None:
    with pytest.raises(BadInput, match="must be a JSON object"):
        decode_notification(b"[]", None, {}, Defaults())
    for media in ("application/x-ndjson", "text/event-stream", "text/plain"):
        with pytest.raises(UnsupportedMedia, match="supported: application/json, application/a2a"):
            decode_notification(orjson.dumps(NEW_TASK), media, {}, Defaults())


def test_a_stream_as_an_agent_sends_it() -> None:
    body = (
        b"\xef\xbb\xbf: keep-alive\r\n\r\n"
        b"event: message\r\nid: 7\r\ndata: " + orjson.dumps(rpc(NEW_TASK)) + b"\r\n\r\n"
        b"data:" + orjson.dumps(NEW_ARTIFACT) + b"\n\n"
        b'data: {"statusUpdate":\ndata: ' + orjson.dumps(NEW_UPDATE["statusUpdate"]) + b"}\n\n"
        b"data:\n\n"
        b"data: " + orjson.dumps(OLD_MESSAGE)
    )
    events = decode(body, "text/event-stream; charset=utf-8")

    assert [event.type for event in events] == ["task.updated", "artifact.updated", "task.updated", "message.added"]
    assert events[2].id == one(NEW_UPDATE).id


@pytest.mark.parametrize(
    ("body", "place"),
    [(b'data: {"task":{"id":"t1"}}\n\ndata: {}\n\n', "line 3"), (b'\ndata: {"task":\n\n', "line 2: body: not JSON")],
)
def test_a_wrong_event_of_a_stream_is_named_by_its_line(body: bytes, place: str) -> None:
    with pytest.raises(BadInput, match=f"^{place}"):
        decode(body, "text/event-stream")


def test_lines_and_arrays_and_nothing_at_all() -> None:
    lines = orjson.dumps(NEW_TASK) + b"\r\n\n " + orjson.dumps(NEW_ARTIFACT)
    for media in ("application/x-ndjson", "application/ndjson; charset=utf-8", "application/jsonl"):
        assert [event.type for event in decode(lines, media)] == ["task.updated", "artifact.updated"]
    assert len(decode([NEW_TASK, OLD_ARTIFACT], "application/a2a+json")) == 2
    assert decode([]) == decode(b"", "application/x-ndjson") == decode(b"", "text/event-stream") == []
    with pytest.raises(BadInput, match="not JSON"):
        decode(b"")


@pytest.mark.parametrize("media", ["text/plain", "application/xml", "application/cloudevents+json"])
def test_other_media_types_are_refused(media: str) -> None:
    with pytest.raises(UnsupportedMedia, match="supported: application/json, application/a2a"):
        decode(NEW_TASK, media)


def test_too_many_frames_are_too_large() -> None:
    line = orjson.dumps({"task": {"id": "t1"}})
    assert len(decode(b"\n".join([line] * MAX_EVENTS), "application/x-ndjson")) == MAX_EVENTS
    with pytest.raises(TooLarge, match=f"more than {MAX_EVENTS} events"):
        decode(b"\n".join([line] * (MAX_EVENTS + 1)), "application/x-ndjson")


def test_nesting_without_end_is_refused() -> None:
    deep: object = 1
    for _ in range(70):
        deep = {"a": deep}
    frame = {"task": {"id": "t1", "metadata": deep}}

    with pytest.raises(BadInput, match="nested deeper than 64 levels"):
        decode(frame)
    with pytest.raises(BadInput, match="line 1: body: nested deeper"):
        decode(b"data: " + orjson.dumps(frame), "text/event-stream")
    with pytest.raises(BadInput, match="not JSON"):
        decode(b'{"task":' * 100_000)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), texts)
MEMBERS = ["kind", "id", "taskId", "contextId", "messageId", "status", "state", "timestamp", "message", "role", "parts"]
MEMBERS += ["text", "data", "artifact", "artifactId", "append", "lastChunk", "metadata", "ark.session.id", "baggage"]
MEMBERS += ["traceparent", "task", "statusUpdate", "artifactUpdate", "jsonrpc", "result", "error", "content", "history"]
WORDS = ["task", "message", "status-update", "artifact-update", "working", "TASK_STATE_FAILED", "ROLE_AGENT", "t1"]
hostile = st.recursive(
    st.one_of(scalars, st.sampled_from(WORDS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.sampled_from(MEMBERS), texts), inner, max_size=5)
    ),
    max_leaves=20,
)
shapes = st.sampled_from([OLD_TASK, NEW_TASK, OLD_UPDATE, NEW_UPDATE, OLD_ARTIFACT, NEW_ARTIFACT, NEW_MESSAGE])


@st.composite
def bent(draw: st.DrawFn) -> Json:
    """A frame as it should be, but for some members."""
    frame = copy.deepcopy(draw(shapes))
    for _ in range(draw(st.integers(0, 3))):
        holder = frame
        while draw(st.booleans()) and (inner := [item for item in holder.values() if isinstance(item, dict) and item]):
            holder = draw(st.sampled_from(inner))
        holder[draw(st.sampled_from([*holder, *MEMBERS]))] = draw(hostile)
    return frame


@given(st.one_of(hostile, bent()), st.integers(0, MAX_INT64))
@example({"message": {}}, 0)
def test_anything_is_either_stored_as_it_came_or_refused(value: object, now: int) -> None:
    try:
        events = decode(value, now=now)
    except BadInput:
        return
    sent = orjson.loads(orjson.dumps(value))
    frames = sent if isinstance(sent, list) else [sent]
    assert len(events) >= len(frames)
    for event in events:
        assert 0 <= event.time <= MAX_INT64
        assert len(event.id) == 16
        assert event.phase is None
        for name in (event.task_id, event.task_state, event.conversation_id, event.session_id, event.query):
            assert name is None or (0 < len(name) <= 256 and "\x00" not in name)
        body = orjson.loads(event.body)
        assert any(
            body.get("a2a") == frame or (isinstance(frame, dict) and frame.items() <= body.items()) for frame in frames
        )
        describe(event)
        exchange(event)


@given(st.lists(bent(), max_size=4), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_a_stream_holds_what_an_array_holds(frames: list[Json], newline: bytes) -> None:
    stream = b"".join(b"data: " + orjson.dumps(frame) + newline * 2 for frame in frames)
    try:
        expected = [event.body for event in decode(frames)]
    except BadInput:
        with pytest.raises(BadInput):
            decode(stream, "text/event-stream")
        return
    assert [event.body for event in decode(stream, "text/event-stream")] == expected


@given(st.binary(max_size=200), st.sampled_from(["application/json", "application/x-ndjson", "text/event-stream"]))
def test_bytes_of_any_sort_are_read_or_refused(body: bytes, media: str) -> None:
    with contextlib.suppress(BadInput):
        decode(body, media)
