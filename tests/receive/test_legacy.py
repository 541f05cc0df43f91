"""Records of Ark's own broker become the Events that its surface reads back."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.api.ark.traces import span as shown_span
from ark_broker.model import Event
from ark_broker.model.errors import BadInput
from ark_broker.receive import ark
from ark_broker.receive.legacy import Store, event_of, instant_of, record_of, session_records
from ark_broker.sessions.ark import arrival_of, news_of

WHEN = "2026-07-23T10:00:00.123Z"
AT = 1_784_800_800_123_000_000

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Text as JSON has it: without halves of surrogate pairs.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcde", min_size=1), inner, max_size=4),
    max_leaves=10,
)
names = st.text("abcdefgh-0123456789", min_size=1, max_size=30)


def item(data: object, number: int = 7, **more: object) -> dict[str, Any]:
    return {"sequenceNumber": number, "timestamp": WHEN, "data": data, **more}


def imported(store: Store, data: object, number: int = 7, **more: object) -> Event:
    event = event_of(record_of(store, item(data, number, **more), 1))
    assert event is not None
    return event


@given(names, names, json_values)
def test_a_message_is_read_back_as_it_was(conversation: str, query: str, message: object) -> None:
    event = imported("messages", {"conversationId": conversation, "queryId": query, "message": message})

    assert orjson.loads(bytes(ark.message_of(event))) == orjson.loads(orjson.dumps(message))
    assert (event.conversation_id, event.query, event.kind) == (conversation, query, "message")


@given(names, json_values.filter(lambda value: value is not None))
def test_a_chunk_is_read_back_as_it_was(query: str, chunk: object) -> None:
    event = imported("chunks", {"queryId": query, "chunk": chunk})

    assert orjson.loads(event.body) == orjson.loads(orjson.dumps(chunk))
    assert (event.query, event.stream_id, event.kind) == (query, query, "chunk")


@given(st.dictionaries(st.text("abcde", min_size=1), json_values, max_size=4), names)
def test_an_event_is_read_back_as_it_was(more: dict[str, Any], uid: str) -> None:
    stored = {"data": {"queryId": uid, "sessionId": "s", "queryName": "q"}, "reason": "LLMCallStart", **more}

    event = imported("events", stored)

    assert orjson.loads(event.body) == orjson.loads(orjson.dumps(stored))
    assert (event.query_uid, event.session_id, event.query) == (uid, "s", "q")


@given(st.binary(min_size=16, max_size=16).filter(any), st.binary(min_size=8, max_size=8).filter(any), st.booleans())
def test_a_span_is_the_same_whether_its_ids_were_base64_or_hex(trace: bytes, span: bytes, has_parent: bool) -> None:
    def stored(protobuf: bool) -> dict[str, Any]:
        def name(raw: bytes) -> str:
            return base64.b64encode(raw).decode() if protobuf else raw.hex()

        return {
            "traceId": name(trace),
            "spanId": name(span),
            "parentSpanId": name(b"\x01" * 8) if has_parent else "",
            "name": "query.q",
            "kind": "SPAN_KIND_CLIENT" if protobuf else 3,
            "startTimeUnixNano": "1784800800000000000",
            "endTimeUnixNano": "1784800801000000000",
            "attributes": [{"key": "ark.session.id", "value": {"stringValue": "s"}}],
            "status": {"message": "no", "code": "STATUS_CODE_ERROR" if protobuf else 2},
            "resource": {"service.name": "ark", "replicas": 2, "ready": True, "share": 0.5, "tags": ["a", "b"]},
        }

    from_protobuf, from_json = imported("spans", stored(True)), imported("spans", stored(False))

    assert (from_protobuf.id, from_protobuf.body) == (from_json.id, from_json.body)
    assert (from_json.trace_id, from_json.span_id, from_json.session_id) == (trace.hex(), span.hex(), "s")
    assert from_json.parent_span_id == ("01" * 8 if has_parent else None)
    shown = orjson.loads(shown_span(from_json))
    assert shown["resource"] == stored(True)["resource"]
    assert (shown["kind"], shown["status"]) == ("SPAN_KIND_CLIENT", stored(True)["status"])


def test_attributes_that_are_bare_values_get_their_kind() -> None:
    span = {
        "traceId": "0a" * 16,
        "spanId": "0b" * 8,
        "attributes": [{"key": "ark.session.id", "value": "s"}, {"key": "none"}],
        "resource": None,
    }

    assert imported("spans", span).session_id == "s"


def test_a_completion_marker_ends_its_stream() -> None:
    event = imported("chunks", {"queryId": "q", "chunk": "[DONE]", "complete": True})

    assert (event.type, event.body) == ("stream.completed", b'"[DONE]"')


@pytest.mark.parametrize("store", ["messages", "chunks", "events"])
def test_the_same_record_has_the_same_id_and_another_one_another(store: Store) -> None:
    data = {
        "messages": {"conversationId": "c", "queryId": "q", "message": 1},
        "chunks": {"queryId": "q", "chunk": 1},
        "events": {"data": {"queryId": "u"}},
    }[store]
    shuffled = dict(reversed(data.items()))

    assert imported(store, data).id == imported(store, shuffled).id
    assert imported(store, data).id != imported(store, data, number=8).id
    assert imported(store, data).id != imported(store, {**data, "more": 1}).id


def test_chunks_of_one_millisecond_keep_their_order() -> None:
    times = [imported("chunks", {"queryId": "q", "chunk": {}}, number).time for number in (1, 2, 3)]

    assert times == [AT + 1, AT + 2, AT + 3]


def test_an_event_that_names_its_session_arrived_when_it_was_stored() -> None:
    named = imported("events", {"data": {"queryId": "u", "queryName": "q", "sessionId": "s"}})
    unnamed = imported("events", {"data": {"queryId": "u"}})

    assert (arrival_of(named), named.correlated_by) == (AT, "import")
    assert (unnamed.time, unnamed.correlated_by) == (AT, None)


def test_a_time_to_live_is_kept() -> None:
    event = imported("messages", {"conversationId": "c", "queryId": "q", "message": 1}, expiresAt=1_900_000_000_000)

    assert event.expires_at == 1_900_000_000_000_000_000


@pytest.mark.parametrize(
    ("store", "found", "reason"),
    [
        ("messages", [], "must be an object"),
        ("messages", {"timestamp": WHEN}, "data: is required"),
        ("messages", item({"queryId": "q", "message": 1}), "data.conversationId: must be a string"),
        ("messages", item({"conversationId": "c", "queryId": "q"}), "data.message: is required"),
        ("messages", item({"conversationId": "c", "queryId": "q" * 300, "message": 1}), "at most 256"),
        ("messages", item({}) | {"timestamp": "yesterday"}, "timestamp: must be an ISO 8601 time"),
        ("messages", item([[[]]]), "data: must be an object"),
        ("chunks", item({"queryId": "", "chunk": 1}), "data.queryId: must be a name"),
        ("chunks", item({"queryId": "a\nb", "chunk": 1}), "data.queryId: must be a name"),
        ("chunks", item({"queryId": "q"}), "data.chunk: is required"),
        ("events", item({"reason": "x"}), "data: "),
        ("spans", item({"traceId": "zz", "spanId": "0b" * 8}), "traceId must be 16 bytes"),
        ("spans", item({"traceId": "0a" * 16, "spanId": "0b" * 8, "attributes": 1}), "attributes: must be an array"),
    ],
)
def test_what_cannot_be_imported_says_why(store: Store, found: object, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        event_of(record_of(store, found, 1))


def test_what_nests_too_deep_is_refused() -> None:
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]

    with pytest.raises(BadInput, match="nested deeper"):
        record_of("messages", item({"conversationId": "c", "queryId": "q", "message": deep}), 1)


@pytest.mark.parametrize("value", [WHEN, "2026-07-23T12:00:00.123+02:00", "2026-07-23T10:00:00.123", AT // 10**6])
def test_times_are_read_as_javascript_writes_them(value: object) -> None:
    assert instant_of(value, "timestamp") == AT


def stored_query(phase: str, **more: object) -> dict[str, object]:
    times = {"createdAt": WHEN, "lastActivity": "2026-07-23T10:00:09.000Z"}
    return {"name": "q", "phase": phase, "targetType": "agent", **times, **more}


def reports(queries: dict[str, Any]) -> list[tuple[str, str, int]]:
    """What session records of the queries say: name, phase, when."""
    found = []
    for record in session_records("s", queries, lambda name, error: pytest.fail(f"{name}: {error}")):
        event = event_of(record)
        assert event is not None
        news = news_of(event)
        assert news is not None
        assert event.session_id == "s"
        found.append((event.query or "", news.phase, arrival_of(event)))
    return found


@pytest.mark.parametrize("phase", ["done", "error", "canceled"])
def test_a_query_that_ended_began_and_ended(phase: str) -> None:
    end = "2026-07-23T10:00:05.000Z"

    assert reports({"q": stored_query(phase, completedAt=end)}) == [
        ("q", "running", AT),
        ("q", phase, AT + 4_877_000_000),
    ]


@pytest.mark.parametrize("phase", ["running", "pending", "unknown"])
def test_a_query_that_has_not_ended_runs_and_was_active(phase: str) -> None:
    assert reports({"q": stored_query(phase)}) == [("q", "running", AT), ("q", "running", AT + 8_877_000_000)]


def test_the_query_that_was_active_last_is_told_of_last() -> None:
    early = stored_query("done", completedAt="2026-07-23T10:00:05.000Z")
    late = stored_query("error", completedAt="2026-07-23T10:00:07.000Z", error="boom")

    assert [name for name, _, _ in reports({"late": late, "early": early})] == ["late", "early", "early", "late"]


def test_what_is_known_of_a_query_is_told() -> None:
    query = stored_query("error", namespace="n", conversationId="c", agent="a", team="t", tool="x", error="boom")
    *_, last = [event_of(record) for record in session_records("s", {"q": query}, lambda *_: None)]
    assert last is not None
    news = news_of(last)

    assert news is not None
    assert (news.namespace, news.conversation, news.agent, news.team, news.tool) == ("n", "c", "a", "t", "x")
    assert (news.error, news.target_type, last.type) == ("boom", "agent", "query.failed")


def test_what_is_no_query_is_rejected_and_the_others_are_told_of() -> None:
    rejected: list[str] = []
    queries = {"a": 1, "b": stored_query("done", createdAt="never"), "c": stored_query("running")}

    records = list(session_records("s", queries, lambda name, error: rejected.append(f"{name} {error}")))

    assert rejected == ["a must be an object", "b createdAt: must be an ISO 8601 time, or milliseconds since the epoch"]
    assert {record.data["queryName"] for record in records} == {"c"}
