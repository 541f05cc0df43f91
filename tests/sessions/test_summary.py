"""Summaries of queries and sessions: what they say, and that neither order nor storage changes it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ark_broker.model import Event
from ark_broker.model.vocabulary import SessionStatus, provisional
from ark_broker.sessions.summary import MAX_TRACES, QuerySummary, SessionSummary, fold, move_query_events, settle
from tests.support.events import NOON, child, make, root, trace

State = tuple[SessionSummary, dict[str, QuerySummary]]


def folded(events: Iterable[Event]) -> State:
    session, queries = SessionSummary(id="s"), dict[str, QuerySummary]()
    for event in events:
        fold(session, queries, event)
    settle(session, queries.values())
    return session, queries


def query_of(*events: Event) -> QuerySummary:
    return folded(msgspec.structs.replace(event, query="q") for event in events)[1]["q"]


def report(name: object, type_: str, query: str = "q", time: int = NOON, **fields: object) -> Event:
    return make(name, type=type_, query=query, time=time, **fields)


# -- a query ---------------------------------------------------------------------------------------


def test_a_query_is_named_by_its_earliest_events() -> None:
    query = query_of(
        make(1, time=5, trace_id=trace(5), namespace="late", query_uid="uid-5"),
        make(2, time=3, trace_id=trace(3), namespace="early", query_uid="uid-3"),
        make(3, time=4, trace_id=trace(4)),
    )
    assert (query.trace_id, query.namespace, query.uid) == (trace(3), "early", "uid-3")
    assert (query.first_activity, query.last_activity) == (3, 5)


def test_activity_lasts_until_the_latest_end() -> None:
    query = query_of(make(1, time=5, duration=100), make(2, time=50))
    assert (query.first_activity, query.last_activity) == (5, 105)


def test_a_stream_named_by_a_report_beats_the_path_that_chunks_were_posted_to() -> None:
    chunk = make(1, kind="chunk", type="llm.chunk", time=1, stream_id="query-001")
    assert query_of(chunk).stream_id == "query-001"
    assert query_of(chunk, make(2, time=2, stream_id="stream-001")).stream_id == "stream-001"


def test_mcp_sessions_are_kept_by_server_and_the_latest_wins() -> None:
    query = query_of(
        make(1, time=1, mcp_server="ark-broker", mcp_session_id="old"),
        make(2, time=2, mcp_server="ark-broker", mcp_session_id="mcp-xyz"),
        make(3, time=3, tool="search", mcp_session_id="mcp-2"),
        make(4, time=3, mcp_session_id="mcp-3"),
        make(5, time=3, mcp_session_id="mcp-4"),
    )
    assert query.mcp_sessions == {"ark-broker": "mcp-xyz", "mcp": "mcp-4", "search": "mcp-2"}


def test_names_are_sorted_and_bounded() -> None:
    query = query_of(
        *(
            make(n, agent=f"a{n:03}", task_id=f"t{n:03}", mcp_session_id=f"m{n}", tool=f"x{n:03}")
            for n in range(150, 0, -1)
        )
    )
    assert query.agents == [f"a{n:03}" for n in range(1, 101)]
    assert query.task_ids == [f"t{n:03}" for n in range(1, 101)]
    assert list(query.mcp_sessions) == [f"x{n:03}" for n in range(1, 101)]


def test_tokens_come_from_model_calls_else_from_the_stream_else_from_counting_chunks() -> None:
    chunks = [make(n, kind="chunk", type="llm.chunk") for n in range(3)]
    control = make("control", kind="chunk", type="llm.control")
    usage = make("usage", kind="chunk", type="llm.usage", input_tokens=7, output_tokens=5)
    request = make("request", type="llm.request", input_tokens=8, output_tokens=6)
    other = make("agent", type="agent.completed", input_tokens=1000, output_tokens=1000)

    def tokens(*events: Event) -> tuple[int, int]:
        query = query_of(*events)
        return query.input_tokens, query.output_tokens

    assert tokens(*chunks, control) == (0, 3)
    assert tokens(*chunks, usage) == (7, 5)
    assert tokens(*chunks, usage, request, other) == (8, 6)
    assert tokens(*chunks, usage, request, make("second", type="llm.request", output_tokens=4)) == (8, 10)


def test_completion_markers_are_no_chunks() -> None:
    query = query_of(make(1, kind="chunk", type="llm.chunk"), make(2, kind="chunk", type="stream.completed"))
    assert (query.events, query.chunks) == (2, 1)


def test_a_tool_call_and_its_end_are_one_call_and_so_is_a_failure_alone() -> None:
    call, result = make(1, type="tool.call"), make(2, type="tool.result")
    assert query_of(call).tool_calls == 1
    assert query_of(call, result).tool_calls == 1
    assert query_of(call, make(3, type="tool.call"), result).tool_calls == 2
    assert query_of(make(4, type="tool.failed")).tool_calls == 1


def test_cost_is_summed_exactly_and_a_total_is_not_added_to_its_parts() -> None:
    events = [make(n, type="llm.request", cost=0.1) for n in range(10)]
    totals = make("total", type="agent.completed", cost=1.0)
    assert query_of(*events, totals).cost == 1.0
    assert query_of(make(1)).cost is None


def test_a_total_counts_only_where_nothing_below_it_was_reported() -> None:
    total = make("total", type="query.completed", input_tokens=7, output_tokens=5, cost=0.25)
    part = make("part", type="agent.completed", input_tokens=6, output_tokens=4, cost=0.2)
    chunk = make("chunk", kind="chunk", type="llm.chunk")
    request = make("request", type="llm.request", input_tokens=3, output_tokens=2, cost=0.1)

    alone, both = query_of(part, total, chunk), query_of(part, request, total, chunk)

    assert (alone.input_tokens, alone.output_tokens, alone.cost) == (7, 5, 0.25)
    assert (both.input_tokens, both.output_tokens, both.cost) == (3, 2, 0.1)


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), float("-inf"), 1e300, -0.5])
def test_a_nonsense_price_is_left_out(cost: float) -> None:
    assert query_of(make(1, type="llm.request", cost=cost)).cost is None


def test_the_error_is_the_latest_and_a_success_clears_it() -> None:
    first = make(1, type="query.failed", error="first", time=1)
    second = make(2, type="query.failed", error="second", time=2)
    tool = make(3, type="tool.failed", error="not the query's", time=9)
    assert query_of(second, first, tool).error == "second"
    assert query_of(second, make(4, type="query.completed", time=3), first).error is None
    assert query_of(root(5, 1, status="error", error="root")).error == "root"


def test_a_query_lasts_from_its_first_start_to_its_end() -> None:
    query = query_of(
        make(0, time=1),
        make(1, type="query.started", time=3),
        make(2, type="query.failed", time=5),
        make(3, type="query.started", time=7),
    )
    assert (query.started_at, query.ended_at, query.duration) == (3, None, None)
    query.add(make(4, type="query.completed", time=8, duration=2))
    assert (query.started_at, query.ended_at, query.duration) == (3, 10, 7)


def test_without_a_start_a_query_starts_with_its_first_activity_and_never_lasts_less_than_nothing() -> None:
    assert query_of(root(1, 1, time=5, duration=4)).duration == 4
    assert query_of(make(1, type="query.started", time=9), make(2, type="query.completed", time=10)).duration == 1
    late = query_of(make(1, type="query.failed", time=4, duration=0), root(2, 1, time=3))
    assert (late.started_at, late.ended_at) == (3, 4)


def test_a_span_from_the_far_future_fits_the_database() -> None:
    query = query_of(make(1, time=2**63 - 1, duration=2**63 - 1), make(2, time=0))
    assert (query.first_activity, query.last_activity) == (0, 2**63 - 1)


# -- a session -------------------------------------------------------------------------------------

_STATUSES: list[tuple[list[tuple[str, str, int]], SessionStatus]] = [
    ([], "idle"),
    ([("a", "query.started", 1)], "active"),
    ([("a", "query.waiting", 1)], "waiting"),
    ([("a", "query.waiting", 1), ("b", "query.started", 1)], "active"),
    ([("a", "query.waiting", 1), ("b", "query.failed", 9)], "waiting"),
    ([("a", "query.failed", 1), ("b", "query.completed", 2)], "idle"),
    ([("a", "query.failed", 2), ("b", "query.completed", 1)], "error"),
    ([("a", "query.failed", 1), ("a", "query.completed", 2)], "idle"),
    ([("a", "query.failed", 2), ("b", "query.canceled", 3)], "idle"),
    ([("a", "query.failed", 5), ("b", "query.completed", 6), ("b", "query.started", 7)], "active"),
    ([("a", "query.failed", 5), ("b", "query.completed", 6), ("b", "query.waiting", 7)], "waiting"),
    ([("a", "query.failed", 5), ("b", "query.started", 7), ("b", "query.completed", 8)], "idle"),
]


@pytest.mark.parametrize(("history", "status"), _STATUSES)
def test_the_status_of_a_session_follows_from_its_queries(
    history: list[tuple[str, str, int]], status: SessionStatus
) -> None:
    events = [report(n, type_, query, time) for n, (query, type_, time) in enumerate(history)]
    for order in (events, events[::-1]):
        assert folded(order)[0].status == status


def test_a_session_counts_what_its_queries_and_other_events_used() -> None:
    session, queries = folded(
        [
            report(1, "llm.request", "a", input_tokens=10, output_tokens=5, cost=0.5, model="m1", agent="planner"),
            *(make(n, kind="chunk", type="llm.chunk", query="b") for n in range(10, 14)),
            report(2, "tool.call", "a", tool="search"),
            report(3, "tool.result", "a", tool="search"),
            make(4, type="tool.failed", tool="shell"),
            make(5, type="llm.request", output_tokens=1, cost=0.25, namespace="default"),
            report(6, "query.failed", "b"),
        ]
    )
    assert set(queries) == {"a", "b"}
    assert (session.events, session.chunks, session.tool_calls) == (10, 4, 2)
    assert (session.input_tokens, session.output_tokens, session.cost) == (10, 10, 0.75)
    assert session.phases == {"running": 1, "error": 1}
    assert (session.query_count, session.error_count) == (2, 1)
    assert (session.agents, session.models, session.namespace) == (["planner"], ["m1"], "default")
    assert session.participants == ["planner", "search", "shell"]


def test_search_text_has_a_line_for_each_name_in_lower_case() -> None:
    session, _ = folded([report(1, "x", "Query-A", agent="Planner"), report(2, "x", provisional(trace(1)))])
    assert session.search == "\ns\n\x1fplanner\nquery-a\n"


def test_search_text_is_bounded() -> None:
    session, _ = folded(report(n, "x", f"{n:03}" + "q" * 500, agent=f"{n:03}" + "a" * 500) for n in range(200))
    assert len(session.search) <= 16_384
    assert session.search.endswith("\n")


def test_a_provisional_query_that_gets_a_name_leaves_no_trace() -> None:
    old = provisional(trace(1))
    early = [child(1, 1, query=old, type="tool.call"), child(2, 1, query=old, type="llm.request", output_tokens=3)]
    session, queries = folded([*early, root(3, 1, query="q", type="query.completed")])
    assert session.phases == {"running": 1, "done": 1}

    for event in early:
        event.query = "q"
    move_query_events(session, queries, old, early)
    settle(session, queries.values())

    assert list(queries) == ["q"]
    assert session.phases == {"done": 1}
    assert (session.status, session.events, session.tool_calls, session.output_tokens) == ("idle", 3, 1, 3)


def test_moving_a_query_that_is_not_there_is_refused() -> None:
    session, queries = folded([])
    with pytest.raises(KeyError):
        move_query_events(session, queries, provisional(trace(1)), [])


# -- order -----------------------------------------------------------------------------------------

QUERIES = ["a", "b", provisional(trace(1)), provisional(trace(2)), None]
PHASE_TYPES = ["query.started", "query.waiting", "query.resumed", "query.completed", "query.failed", "query.canceled"]
SPAN_TYPES = [*PHASE_TYPES, "question.answered", "tool.call", "tool.result", "tool.failed", "llm.request", "GET /"]
CHUNK_TYPES = ["llm.chunk", "llm.usage", "llm.control", "llm.error", "stream.completed"]

small = st.sampled_from([None, "x", "y", "z"])
spans = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["span", "event"]),
        "type": st.sampled_from(SPAN_TYPES),
        "query": st.sampled_from(QUERIES),
        "duration": st.sampled_from([None, 0, 1, 3]),
        "namespace": small,
        "query_uid": small,
        "agent": small,
        "model": small,
        "trace_id": st.sampled_from([None, trace(1), trace(2), trace(3)]),
        "span_id": st.just("01" * 8),
        "parent_span_id": st.sampled_from([None, "02" * 8]),
        "tool": small,
        "mcp_server": small,
        "mcp_session_id": small,
        "task_id": small,
        "stream_id": small,
        "status": st.sampled_from([None, "ok", "error"]),
        "error": small,
        "cost": st.sampled_from([None, 0.1, 0.2, 1e-9]),
    }
)
chunks = st.fixed_dictionaries(
    {
        "kind": st.just("chunk"),
        "type": st.sampled_from(CHUNK_TYPES),
        "query": st.sampled_from([query for query in QUERIES if query is not None]),
        "stream_id": small,
        "model": small,
        "error": small,
    }
)
tokens = st.fixed_dictionaries(
    {"input_tokens": st.sampled_from([None, 1, 5]), "output_tokens": st.sampled_from([None, 2])}
)
fields = st.builds(
    lambda one, two, time: one | two | {"time": NOON + time}, st.one_of(spans, spans, chunks), tokens, st.integers(0, 5)
)
histories = st.lists(fields, max_size=14).map(lambda found: [make(n, **given) for n, given in enumerate(found)])


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, MAX_TRACES + 5)), max_size=60), st.data())
def test_the_first_traces_of_a_query_are_kept_by_time(seen: list[tuple[int, int]], data: st.DataObject) -> None:
    first = {number: min(time for time, other in seen if other == number) for _, number in seen}
    history = [make(place, time=time, trace_id=trace(number)) for place, (time, number) in enumerate(seen)]

    query = QuerySummary(session_id="s", name="q")
    for event in data.draw(st.permutations(history)):
        query.add(event)

    by_time = sorted(first, key=lambda number: (first[number], trace(number)))
    assert query.trace_ids == [trace(number) for number in by_time[:MAX_TRACES]]
    assert query.trace_id == (query.trace_ids[0] if seen else None)


@given(histories, st.data())
def test_any_order_gives_the_same_summaries(history: list[Event], data: st.DataObject) -> None:
    assert folded(data.draw(st.permutations(history))) == folded(history)


def stored(state: State) -> State:
    """As the writer reads it back after a restart."""
    session, queries = state
    return (
        msgspec.msgpack.decode(session.encode(), type=SessionSummary),
        {name: msgspec.msgpack.decode(query.encode(), type=QuerySummary) for name, query in queries.items()},
    )


@settings(max_examples=200)
@given(histories, st.data())
def test_moves_in_the_middle_and_restarts_end_where_a_fold_from_scratch_does(
    history: list[Event], data: st.DataObject
) -> None:
    session, queries = folded([])
    seen: list[Event] = []
    renamed: dict[str, str] = {}
    for event in data.draw(st.permutations(history)):
        if event.query is not None:
            event.query = renamed.get(event.query, event.query)
        seen.append(event)
        fold(session, queries, event)
        movable = [name for name in queries if name.startswith("trace:")]
        if movable and data.draw(st.integers(0, 3)) == 0:
            old, new = data.draw(st.sampled_from(movable)), data.draw(st.sampled_from(["a", "b"]))
            moved = [earlier for earlier in seen if earlier.query == old]
            for earlier in moved:
                earlier.query = new
            renamed[old] = new
            move_query_events(session, queries, old, moved)
        if data.draw(st.integers(0, 3)) == 0:
            settle(session, queries.values())
            session, queries = stored((session, queries))
    settle(session, queries.values())
    assert (session, queries) == folded(seen)
    assert (session.status, session.search) == (folded(seen)[0].status, folded(seen)[0].search)


@given(histories, st.data())
def test_a_session_needs_only_the_summary_of_the_query_that_an_event_belongs_to(
    history: list[Event], data: st.DataObject
) -> None:
    session, all_queries = folded([])
    for event in data.draw(st.permutations(history)):
        loaded = {event.query: all_queries[event.query]} if event.query in all_queries else {}
        fold(session, loaded, event)
        all_queries |= loaded
        settle(session, loaded.values())
    assert (session, all_queries) == folded(history)


@given(histories)
def test_a_session_is_the_sum_of_its_queries(history: list[Event]) -> None:
    session, queries = folded(history)
    own = folded(event for event in history if event.query is None)[0]
    assert session.query_count == len(queries)
    assert session.usage.cost == own.usage.cost + sum(query.usage.cost for query in queries.values())
    for name in ("events", "chunks", "tool_calls", "input_tokens", "output_tokens"):
        assert getattr(session, name) == getattr(own, name) + sum(getattr(query, name) for query in queries.values())
    for phase, count in session.phases.items():
        assert count == sum(query.phase == phase for query in queries.values())
