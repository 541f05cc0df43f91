"""The prototype's consumer view of a query: chunks as posted, events between them, and when it is over."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.model import Event
from ark_broker.model.details import Details
from ark_broker.sessions.completions import StreamEnd, consumer_data, is_end
from tests.support.events import NOON, make


def describe(event: Event) -> Details:
    return msgspec.json.decode(event.body, type=Details)


def data_of(event: Event) -> Any:
    data = consumer_data(event, describe)
    assert data is not None
    found = json.loads(data)
    assert found["type"] == "event"
    return found["event"]


def chunk(name: object = 1, type_: str = "llm.chunk", body: bytes = b"{}") -> Event:
    return make(name, kind="chunk", type=type_, query="q1", body=body)


def test_a_chunk_is_passed_on_byte_by_byte() -> None:
    body = b'{"choices": [{"delta":{"content":"Hello"}}] }'
    assert consumer_data(chunk(body=body), describe) == body


def test_a_completion_marker_is_no_data() -> None:
    marker = chunk(type_="stream.completed")
    assert is_end(marker)
    assert consumer_data(marker, describe) is None
    assert not is_end(chunk())
    assert not is_end(make(1, kind="event", type="stream.completed"))


def test_an_event_is_wrapped_as_in_the_prototype_and_compact() -> None:
    started = make(1, type="query.started", query="q1")
    assert consumer_data(started, describe) == (
        b'{"type":"event","event":{"type":"query.started","queryName":"q1","ts":"2024-01-15T10:30:00Z"}}'
    )


def test_a_tool_call_has_the_prototypes_spelling_in_this_view() -> None:
    call = make(
        1,
        type="tool.call",
        query="q1",
        tool="ask_question",
        tool_call_id="c1",
        agent="planner",
        body=b'{"input":{"question":"Approve?"}}',
    )
    assert data_of(call) == {
        "type": "tool.called",
        "queryName": "q1",
        "ts": "2024-01-15T10:30:00Z",
        "agent": "planner",
        "tool": "ask_question",
        "toolCallId": "c1",
        "input": {"question": "Approve?"},
    }


def test_a_wait_says_for_which_question() -> None:
    waiting = make(1, type="query.waiting", body=b'{"question_uri":"ark://questions/123"}')
    assert data_of(waiting)["questionUri"] == "ark://questions/123"


def test_a_failed_tool_is_an_error_whatever_its_status() -> None:
    failed = data_of(make(1, type="tool.failed", status="ok", error="exit 1"))
    assert (failed["type"], failed["status"], failed["error"]) == ("tool.failed", "error", "exit 1")


def test_a_report_happened_when_it_ended() -> None:
    assert data_of(make(1, type="query.completed", time=NOON, duration=10**9))["ts"] == "2024-01-15T10:30:01Z"


@pytest.mark.parametrize(
    ("kind", "type_", "shown"),
    [
        ("span", "GET /v1/chat", False),
        ("span", "agent.completed", True),
        ("span", "llm.request", True),
        ("log", "log", False),
        ("log", "question.answered", True),
        ("event", "team.handoff", True),
        ("task", "task.updated", True),
        ("message", "whatever", True),
        ("event", "session.deleted", False),
    ],
)
def test_infrastructure_is_left_out_and_what_was_sent_on_purpose_is_not(kind: str, type_: str, shown: bool) -> None:
    assert (consumer_data(make(1, kind=kind, type=type_), describe) is not None) == shown


# -- the end ---------------------------------------------------------------------------------------

_MARKER = "stream.completed"

#: (what was seen, in the order of the log; the time is the place in the list unless given) → over, open chunks
_ENDS: list[tuple[list[str | tuple[str, int]], bool, bool]] = [
    ([], False, False),
    (["llm.chunk"], False, True),
    (["llm.chunk", _MARKER], True, False),
    ([_MARKER], True, False),
    (["llm.chunk", _MARKER, "llm.request"], True, False),
    # after an approval the same stream goes on
    (["llm.chunk", _MARKER, "query.waiting", "question.answered", "llm.chunk"], False, True),
    (["llm.chunk", _MARKER, "llm.chunk", _MARKER], True, False),
    # reports
    (["query.started"], False, False),
    (["query.started", "query.completed"], True, False),
    (["query.started", "query.failed"], True, False),
    (["query.started", "query.canceled"], True, False),
    (["query.started", "query.waiting"], False, False),
    (["query.failed", "query.started"], False, False),
    (["query.failed", "query.resumed"], False, False),
    # the start comes late, but is older
    ([("query.completed", 9), ("query.started", 1)], True, False),
    # the report overtakes the last chunks
    (["llm.chunk", "query.completed"], True, True),
    (["llm.chunk", "query.completed", "llm.chunk"], True, True),
    (["llm.chunk", "query.completed", "llm.chunk", _MARKER], True, False),
]


@pytest.mark.parametrize(("history", "over", "open_chunks"), _ENDS)
def test_a_stream_is_over_at_its_last_marker_or_when_the_query_has_ended(
    history: list[str | tuple[str, int]], over: bool, open_chunks: bool
) -> None:
    end = StreamEnd()
    for place, item in enumerate(history):
        type_, time = item if isinstance(item, tuple) else (item, place)
        kind = "chunk" if type_ in (_MARKER, "llm.chunk") else "span"
        end.add(make(place, kind=kind, type=type_, time=NOON + time))
    assert (end.over, end.open_chunks) == (over, open_chunks)


def test_the_end_of_a_trace_root_does_not_end_the_stream() -> None:
    end = StreamEnd()
    end.add(make(1, type="POST /query", trace_id="ab" * 16, span_id="cd" * 8))
    assert not end.over


@given(st.lists(st.sampled_from(["llm.chunk", _MARKER])))
def test_a_stream_of_chunks_alone_is_over_exactly_at_a_marker(types: list[str]) -> None:
    end = StreamEnd()
    for place, type_ in enumerate(types):
        end.add(chunk(place, type_))
    assert end.over == (bool(types) and types[-1] == _MARKER)
    assert end.open_chunks == (bool(types) and types[-1] != _MARKER)
