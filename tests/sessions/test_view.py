"""The prototype's session view: its shape, its entries, and that it is the same for every order of arrival."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.model import Event
from ark_broker.model.details import Details
from ark_broker.sessions.summary import SessionSummary, fold, settle
from ark_broker.sessions.view import ViewBuilder, build_view, query_summary_json, summary_json
from tests.support.events import NOON, make, root, span, trace

SECOND = 1_000_000_000


def describe(event: Event) -> Details:
    """Details that are the body themselves."""
    assert event.kind != "chunk", "a chunk's content is nobody's business here"
    return msgspec.json.decode(event.body, type=Details)


def happened(name: object, type_: str, at: float = 0, **fields: Any) -> Event:
    """An event of query `q`, `at` seconds after noon; fields of Details go into its body."""
    content = {key: fields.pop(key) for key in Details.__struct_fields__ if key in fields}
    given = {"query": "q", "time": NOON + round(at * SECOND), "body": msgspec.json.encode(content)}
    return make(name, type=type_, **(given | fields))


def chunk(name: object, at: float = 0, type_: str = "llm.chunk", **fields: Any) -> Event:
    return happened(name, type_, at, **({"kind": "chunk", "stream_id": "stream-001", "body": b""} | fields))


def entries(*events: Event, limit: int | None = None) -> list[Any]:
    builder = ViewBuilder("s", describe, limit=limit)
    for event in events:
        builder.add(event)
    return query(builder.build())["events"]


def query(view: dict[str, Any], name: str = "q") -> dict[str, Any]:
    found = view["queries"][name]
    assert isinstance(found, dict)
    return found


def told(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of a query without where their events are found."""
    return [{key: value for key, value in entry.items() if key not in ("seq", "spanId")} for entry in found["events"]]


PROTOTYPE = [
    happened(1, "query.started", 0, query="query-001", trace_id=trace(1), span_id=span(1), stream_id="stream-001"),
    happened(
        2,
        "tool.call",
        0.2,
        query="query-001",
        trace_id=trace(1),
        span_id=span(3),
        tool="web_search",
        input="weather NYC",
    ),
    happened(3, "tool.result", 0.7, query="query-001", trace_id=trace(1), span_id=span(3), output="72F sunny"),
    happened(
        4,
        "tool.call",
        0.8,
        query="query-001",
        trace_id=trace(1),
        span_id=span(4),
        tool="ask_question",
        mcp_server="ark-broker",
        mcp_session_id="mcp-xyz",
    ),
    happened(
        5,
        "query.waiting",
        0.9,
        query="query-001",
        trace_id=trace(1),
        span_id=span(1),
        question_uri="ark://questions/q-123",
    ),
    happened(6, "query.completed", 1.2, query="query-001", trace_id=trace(1), span_id=span(1), duration_ms=1200),
]


def test_the_prototypes_session_has_the_prototypes_shape() -> None:
    view: Any = build_view("session-abc", PROTOTYPE, describe)

    assert view["id"] == "session-abc"
    found = query(view, "query-001")
    assert found["phase"] == "done"
    assert found["traceId"] == trace(1)
    assert found["mcpSessions"] == {"ark-broker": "mcp-xyz"}
    assert found["streamId"] == "stream-001"
    assert told(found) == [
        {"type": "query.started", "ts": "2024-01-15T10:30:00Z"},
        {
            "type": "tool.call",
            "ts": "2024-01-15T10:30:00.200Z",
            "tool": "web_search",
            "input": "weather NYC",
            "output": "72F sunny",
            "duration": 500,
        },
        {"type": "tool.call", "ts": "2024-01-15T10:30:00.800Z", "tool": "ask_question", "mcpServer": "ark-broker"},
        {"type": "query.waiting", "ts": "2024-01-15T10:30:00.900Z", "questionUri": "ark://questions/q-123"},
        {"type": "query.completed", "ts": "2024-01-15T10:30:01.200Z", "duration": 1200},
    ]
    assert (found["startedAt"], found["endedAt"], found["duration"]) == (
        "2024-01-15T10:30:00Z",
        "2024-01-15T10:30:01.200Z",
        1200,
    )
    assert json.loads(json.dumps(view)) == view


def test_the_prototypes_three_queries_have_their_phases_and_streams() -> None:
    view: Any = build_view(
        "session-abc",
        [
            *PROTOTYPE,
            happened("b1", "query.started", 2, query="query-002"),
            *(chunk(("b", n), 2.1 + n / 100, query="query-002") for n in range(23)),
            happened("b2", "tool.call", 3, query="query-002", tool="ask_question", input="Approve production deploy?"),
            happened("b3", "query.waiting", 4, query="query-002"),
            happened("c1", "query.started", 5, query="query-003"),
            *(chunk(("c", n), 5.1 + n / 100, query="query-003") for n in range(52)),
        ],
        describe,
    )
    assert {name: found["phase"] for name, found in view["queries"].items()} == {
        "query-001": "done",
        "query-002": "waiting",
        "query-003": "running",
    }
    assert [entry["type"] for entry in query(view, "query-002")["events"]] == [
        *("query.started", "stream", "tool.call", "query.waiting")
    ]
    assert query(view, "query-003")["events"][1] == {
        "type": "stream",
        "ts": "2024-01-15T10:30:05.100Z",
        "stream": "stream-001",
        "tokens": 52,
        "chunks": 52,
        "duration": 510,
    }


# -- single events ---------------------------------------------------------------------------------


def test_what_is_not_known_is_left_out_and_what_is_known_is_there() -> None:
    assert entries(happened(1, "GET /")) == [{"type": "GET /", "ts": "2024-01-15T10:30:00Z"}]
    request = happened(
        1,
        "llm.request",
        duration=1_500_000,
        display_name="chat gpt-4",
        agent="planner",
        model="gpt-4",
        input=[{"role": "user"}],
        output="Hello",
        finish_reason="stop",
        input_tokens=12,
        cost=0.01,
        status="ok",
    )
    assert entries(request) == [
        {
            "type": "llm.request",
            "ts": "2024-01-15T10:30:00Z",
            "name": "chat gpt-4",
            "duration": 1.5,
            "input": [{"role": "user"}],
            "output": "Hello",
            "agent": "planner",
            "model": "gpt-4",
            "status": "ok",
            "cost": 0.01,
            "finishReason": "stop",
            "tokens": {"input": 12, "output": 0},
        }
    ]


@pytest.mark.parametrize(("claimed", "expected"), [(1200.0, 1200), (0.5, 0.5), (float("inf"), 3)])
def test_a_claimed_duration_comes_before_the_length_of_the_span(claimed: float, expected: float) -> None:
    event = make(1, type="query.completed", query="q", duration=3_000_000)
    view: Any = build_view("s", [event], lambda _event: Details(duration_ms=claimed))
    assert query(view)["events"][0]["duration"] == expected


def test_a_report_of_a_moment_has_no_length_and_stands_where_it_ended() -> None:
    found = entries(
        happened(1, "query.completed", 0, duration=9 * SECOND),
        happened(2, "query.started", 0, duration=15_000),
        happened(3, "query.waiting", 0, duration=4 * SECOND),
        happened(4, "GET /", 3),
    )
    assert [(entry["type"], entry["ts"][-4:-1], entry.get("duration")) for entry in found] == [
        ("query.started", ":00", None),
        ("GET /", ":03", None),
        ("query.waiting", ":04", None),
        ("query.completed", ":09", 9000),
    ]


def test_among_equal_times_the_start_is_first_and_the_end_last() -> None:
    types = ["query.completed", "tool.call", "agent.completed", "question.asked", "agent.started", "query.started"]
    found = [entry["type"] for entry in entries(*(happened(n, type_) for n, type_ in enumerate(types)))]
    assert (found[:2], found[-2:]) == (["query.started", "agent.started"], ["agent.completed", "query.completed"])


# -- tool calls ------------------------------------------------------------------------------------


def test_a_tool_call_id_joins_reports_of_different_spans() -> None:
    found = entries(
        happened(1, "tool.call", 0, span_id=span(1), tool_call_id="c1", tool="a", input=1),
        happened(2, "tool.call", 1, span_id=span(1), tool_call_id="c2", tool="b", input=2),
        happened(3, "tool.result", 2, span_id=span(1), tool_call_id="c2", output="two"),
        happened(4, "tool.result", 3, span_id=span(9), tool_call_id="c1", output="one"),
    )
    assert [(entry["toolCallId"], entry["input"], entry["output"], entry["duration"]) for entry in found] == [
        ("c1", 1, "one", 3000),
        ("c2", 2, "two", 1000),
    ]


def test_the_same_span_id_in_another_trace_is_another_call() -> None:
    found = entries(
        happened(1, "tool.call", 0, trace_id=trace(1), span_id=span(1), input=1),
        happened(2, "tool.result", 1, trace_id=trace(2), span_id=span(1), output=2),
    )
    assert [(entry.get("input"), entry.get("output")) for entry in found] == [(1, None), (None, 2)]


def test_a_failure_keeps_the_type_and_says_what_went_wrong() -> None:
    call = happened(1, "tool.call", 0, span_id=span(1), tool="shell", status="ok")
    failed = happened(2, "tool.failed", 1, span_id=span(1), error="exit 1")
    assert entries(call, failed) == [
        {
            "type": "tool.call",
            "ts": "2024-01-15T10:30:00Z",
            "tool": "shell",
            "status": "error",
            "error": "exit 1",
            "duration": 1000,
            "spanId": span(1),
        }
    ]


def test_an_entry_says_where_its_first_event_is_found() -> None:
    call = happened(1, "tool.call", 0, span_id=span(1), tool="shell", seq=7, session_seq=9)
    result = happened(2, "tool.result", 1, span_id=span(1), output="ok", seq=8, session_seq=8)
    chunks = [happened(3, "llm.chunk", 2, kind="chunk", seq=10), happened(4, "llm.chunk", 3, kind="chunk", seq=11)]
    assert [(entry["seq"], entry.get("spanId")) for entry in entries(call, result, *chunks)] == [
        (9, span(1)),
        (10, None),
    ]


def test_a_failure_alone_is_a_tool_call_too() -> None:
    failed = happened(2, "tool.failed", 1, duration=2_000_000, tool="shell", error="exit 1")
    (entry,) = entries(failed)
    assert (entry["type"], entry["tool"], entry["status"], entry["duration"]) == ("tool.call", "shell", "error", 2)


def test_a_result_after_a_failure_clears_it() -> None:
    (entry,) = entries(
        happened(1, "tool.call", 0, span_id=span(1)),
        happened(2, "tool.failed", 1, span_id=span(1), error="timeout"),
        happened(3, "tool.result", 2, span_id=span(1), output="ok"),
    )
    assert (entry["output"], "status" in entry, "error" in entry) == ("ok", False, False)


def test_a_result_whose_clock_is_behind_still_finds_its_call() -> None:
    (entry,) = entries(
        happened(1, "tool.call", 5, tool_call_id="c", input=1),
        happened(2, "tool.result", 4, tool_call_id="c", output=2),
    )
    assert (entry["ts"], entry["input"], entry["output"]) == ("2024-01-15T10:30:05Z", 1, 2)
    assert "duration" not in entry


def test_ids_that_are_used_again_pair_first_come_first_served() -> None:
    found = entries(
        *(happened(("call", n), "tool.call", n, kind="event", tool_call_id="0", input=n) for n in range(3)),
        *(happened(("result", n), "tool.result", n + 0.5, kind="event", tool_call_id="0", output=n) for n in range(3)),
    )
    assert [(entry["input"], entry["output"], entry["duration"]) for entry in found] == [(n, n, 500) for n in range(3)]


def test_log_records_of_several_calls_may_lie_in_one_span() -> None:
    found = entries(
        *(happened(("call", n), "tool.call", n, kind="log", span_id=span(1), input=n) for n in range(2)),
        *(happened(("result", n), "tool.result", n + 5, kind="log", span_id=span(1), output=n) for n in range(2)),
    )
    assert [(entry["input"], entry["output"]) for entry in found] == [(0, 0), (1, 1)]


def test_a_span_that_reports_its_call_twice_is_one_call() -> None:
    found = entries(
        happened(1, "tool.call", 0, span_id=span(1), input=1),
        happened(2, "tool.call", 0, span_id=span(1), duration=5, output=2),
    )
    assert [(entry["input"], entry["output"]) for entry in found] == [(1, 2)]


def test_many_calls_under_one_id_take_no_quadratic_time() -> None:
    """A hostile producer's session must not stall whoever looks at it: 20,000 of each would take minutes."""
    calls = [happened(("call", n), "tool.call", n / 1000, tool_call_id="0", kind="event") for n in range(20_000)]
    ends = [happened(("end", n), "tool.result", 30 + n / 1000, tool_call_id="0", kind="event") for n in range(20_000)]
    view: Any = build_view("s", [*calls, *ends], lambda _event: Details())
    assert len(query(view)["events"]) == 20_000


# -- streams ---------------------------------------------------------------------------------------


def test_chunks_are_one_entry_and_the_marker_closes_it() -> None:
    found = entries(
        *(chunk(n, n) for n in range(3)),
        chunk("control", 3, "llm.control"),
        chunk("end", 4, "stream.completed"),
        chunk("again", 5),
    )
    assert found == [
        {
            "type": "stream",
            "ts": "2024-01-15T10:30:00Z",
            "stream": "stream-001",
            "tokens": 3,
            "chunks": 4,
            "duration": 3000,
            "complete": True,
        },
        {"type": "stream", "ts": "2024-01-15T10:30:05Z", "stream": "stream-001", "tokens": 1, "chunks": 1},
    ]


def test_usage_says_how_many_tokens_there_were() -> None:
    usage = chunk("usage", 9, "llm.usage", input_tokens=3, output_tokens=40)
    assert entries(chunk(1), chunk(2, 1), usage)[0]["tokens"] == 40
    # Some providers repeat the usage so far on every chunk.
    assert entries(chunk(1, output_tokens=1), chunk(2, 1, output_tokens=7))[0]["tokens"] == 7


def test_what_the_query_does_in_between_ends_a_run_and_other_spans_do_not() -> None:
    found = entries(
        chunk(1, 1), happened("http", "GET /", 2), chunk(2, 3), happened("tool", "tool.call", 4), chunk(3, 5)
    )
    assert [(entry["type"], entry.get("chunks")) for entry in found] == [
        ("stream", 2),
        ("GET /", None),
        ("tool.call", None),
        ("stream", 1),
    ]


def test_a_marker_after_the_query_has_ended_still_closes_its_stream() -> None:
    found = entries(chunk(1, 1), happened(2, "query.completed", 2), chunk(3, 3, "stream.completed"))
    assert [entry.get("complete") for entry in found] == [True, None]


def test_streams_at_the_same_time_do_not_interrupt_each_other() -> None:
    found = entries(*(chunk(n, n, stream_id=f"stream-{n % 2}", agent=f"a{n % 2}") for n in range(6)))
    assert [(entry["stream"], entry["chunks"], entry["agent"]) for entry in found] == [
        ("stream-0", 3, "a0"),
        ("stream-1", 3, "a1"),
    ]


def test_an_error_chunk_shows_in_its_stream() -> None:
    (entry,) = entries(chunk(1), chunk(2, 1, "llm.error", error="overloaded"))
    assert (entry["status"], entry["error"]) == ("error", "overloaded")


def test_a_marker_alone_is_no_entry() -> None:
    assert entries(chunk(1, 0, "stream.completed")) == []


# -- the view as a whole ---------------------------------------------------------------------------


def test_a_limit_keeps_the_newest_entries_and_describes_no_other() -> None:
    described: list[str] = []

    def watched(event: Event) -> Details:
        described.append(event.type)
        return Details()

    builder = ViewBuilder("s", watched, limit=2)
    for number in range(5):
        builder.add(happened(number, f"step.{number}", number))
    found = query(builder.build())
    assert [entry["type"] for entry in found["events"]] == described == ["step.3", "step.4"]
    assert (found["truncated"], found["omitted"]) == (True, 3)


def test_a_limit_that_is_not_reached_says_nothing() -> None:
    builder = ViewBuilder("s", describe, limit=2)
    builder.add(happened(1, "GET /"))
    assert not {"truncated", "omitted"} & query(builder.build()).keys()


def test_events_of_no_query_stand_at_the_top() -> None:
    view: Any = build_view(
        "s", [happened(1, "deploy", query=None, message="hi"), happened(2, "query.started")], describe
    )
    assert view["events"] == [{"type": "deploy", "ts": "2024-01-15T10:30:00Z", "message": "hi"}]
    assert "events" not in build_view("s", [happened(2, "query.started")], describe)


def test_queries_stand_in_the_order_they_started() -> None:
    events = [
        happened(n, "query.started", at, query=name) for n, (name, at) in enumerate([("a", 2), ("c", 1), ("b", 1)])
    ]
    view: Any = build_view("s", events, describe)
    assert list(view["queries"]) == ["b", "c", "a"]


def test_a_failed_query_says_why_and_what_it_took() -> None:
    view: Any = build_view(
        "s",
        [
            happened(1, "query.started", 0, namespace="default", query_uid="uid-1", agent="planner"),
            happened(2, "llm.request", 1, model="gpt-4", input_tokens=5, output_tokens=7, cost=0.25, task_id="t1"),
            happened(3, "query.failed", 2, error="no model"),
        ],
        describe,
    )
    found = query(view)
    del found["events"]
    assert found == {
        "phase": "error",
        "mcpSessions": {},
        "namespace": "default",
        "uid": "uid-1",
        "agents": ["planner"],
        "models": ["gpt-4"],
        "taskIds": ["t1"],
        "error": "no model",
        "tokens": {"input": 5, "output": 7},
        "cost": 0.25,
        "startedAt": "2024-01-15T10:30:00Z",
        "endedAt": "2024-01-15T10:30:02Z",
        "duration": 2000,
    }


def test_a_session_in_a_list_says_what_a_list_shows() -> None:
    session, queries = SessionSummary(id="s"), {}
    for event in [
        happened(1, "query.started", 0, namespace="default", agent="planner", model="gpt-4"),
        happened(2, "query.failed", 1),
        happened(3, "tool.call", 1, query="other", tool="search", cost=0.5),
        chunk(4, 2, query="other"),
    ]:
        fold(session, queries, event)
    settle(session, queries.values())
    assert summary_json(session) == {
        "id": "s",
        "status": "active",
        "namespace": "default",
        "agents": ["planner"],
        "participants": ["planner", "search"],
        "models": ["gpt-4"],
        "counts": {
            "queries": 2,
            "phases": {"error": 1, "running": 1},
            "events": 4,
            "toolCalls": 1,
            "modelCalls": 0,
            "chunks": 1,
            "errors": 1,
        },
        "tokens": {"input": 0, "output": 1},
        "cost": 0.5,
        "activity": [1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1],
        "activityInterval": 134.217728,
        "firstActivity": "2024-01-15T10:30:00Z",
        "lastActivity": "2024-01-15T10:30:02Z",
    }
    other = query_summary_json(queries["other"])
    assert (other["name"], other["session"], other["phase"]) == ("other", "s", "running")
    assert other["counts"] == {"events": 2, "chunks": 1, "toolCalls": 1, "modelCalls": 0}
    assert other["lastActivity"] == "2024-01-15T10:30:02Z"


def test_children_before_their_parent_and_a_root_that_ends_first_are_one_query() -> None:
    late = [root("root", 1, query="q", time=NOON, duration=1), *PROTOTYPE[1:4]]
    for event in late:
        event.query = "q"
    view: Any = build_view("s", reversed(late), describe)
    assert list(view["queries"]) == ["q"]
    assert query(view)["phase"] == "done"


# -- order -----------------------------------------------------------------------------------------

TYPES = [
    *("query.started", "query.waiting", "query.resumed", "query.completed", "query.failed", "question.answered"),
    *("tool.call", "tool.call", "tool.result", "tool.failed", "llm.request", "GET /"),
]
CHUNKS = ["llm.chunk", "llm.chunk", "llm.usage", "llm.error", "stream.completed"]
small = st.sampled_from([None, "x", "y"])


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    found = []
    for number in range(draw(st.integers(0, 14))):
        is_chunk = draw(st.booleans())
        found.append(
            happened(
                number,
                draw(st.sampled_from(CHUNKS if is_chunk else TYPES)),
                draw(st.integers(0, 4)),
                kind="chunk" if is_chunk else draw(st.sampled_from(["span", "event"])),
                query=draw(st.sampled_from(["a", "b"] if is_chunk else ["a", "b", None])),
                stream_id=draw(small),
                duration=draw(st.sampled_from([None, 2])),
                trace_id=draw(st.sampled_from([None, trace(1)])),
                span_id=draw(st.sampled_from([None, span(1), span(2)])),
                parent_span_id=draw(st.sampled_from([None, span(9)])),
                tool_call_id=draw(small),
                tool=draw(small),
                error=draw(small),
                input=draw(small),
                output=draw(small),
            )
        )
    return found


@given(histories(), st.sampled_from([None, 2]), st.data())
def test_the_view_is_the_same_for_every_order_of_arrival_and_every_redelivery(
    history: list[Event], limit: int | None, data: st.DataObject
) -> None:
    def view_of(arrivals: list[Event]) -> dict[str, object]:
        builder = ViewBuilder("s", describe, limit=limit)
        # As the log does: an id is stored once.
        for event in {event.id: event for event in arrivals}.values():
            builder.add(event)
        return builder.build()

    again = data.draw(st.lists(st.sampled_from(history), max_size=4)) if history else []
    arrivals = data.draw(st.permutations([*history, *again]))
    # Compared as text: the order of keys, and of queries, counts as well.
    assert json.dumps(view_of(arrivals)) == json.dumps(view_of(history))


@given(histories())
def test_every_event_is_in_exactly_one_entry(history: list[Event]) -> None:
    view: Any = build_view("s", history, describe)
    found = [entry for each in view["queries"].values() for entry in each["events"]] + view.get("events", [])
    streamed = sum(entry.get("chunks", 0) for entry in found)
    assert streamed == sum(event.kind == "chunk" and event.type != "stream.completed" for event in history)
    single = [event for event in history if event.kind != "chunk" and not event.type.startswith("tool.")]
    assert sorted(event.type for event in single) == sorted(
        entry["type"] for entry in found if entry["type"] not in ("stream", "tool.call")
    )
    calls = sum(event.type == "tool.call" for event in history)
    ends = sum(event.type in ("tool.result", "tool.failed") for event in history)
    assert sum(entry["type"] == "tool.call" for entry in found) <= calls + ends
