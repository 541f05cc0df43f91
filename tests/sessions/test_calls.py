"""Calls counted once, however often and by whomever they are told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ark_broker.model import Event
from ark_broker.model.details import Details
from ark_broker.sessions import tally
from ark_broker.sessions.calls import tool_calls, tool_report
from ark_broker.sessions.summary import QuerySummary, SessionSummary, fold, settle
from ark_broker.sessions.view import build_view
from tests.support.events import NOON, child, make, root, span, trace


def told(name: object, type_: str = "tool.call", start: int = 0, length: int = 5, **fields: Any) -> Event:
    """A report of a call of the tool `search`."""
    given = {"type": type_, "time": NOON + start, "duration": length, "tool": "search", "query": "q"}
    return make(name, **(given | fields))


def in_trace(number: int, parent: int | None, **fields: Any) -> dict[str, Any]:
    above = None if parent is None else span(parent)
    return {"trace_id": trace(1), "span_id": span(number), "parent_span_id": above} | fields


AGENT = told("agent", span_id=span(10), **{"trace_id": trace(1), "parent_span_id": span(1)})
CLIENT = told("client", start=1, length=3, **in_trace(11, 10, mcp_session_id="m"))
SERVER = told("server", start=2, length=1, **in_trace(12, 11, mcp_session_id="m"))
EVENT = told("event", kind="event", length=0, tool_call_id="c1", **in_trace(10, None))
RESULT = told("result", "tool.result", kind="event", start=5, length=0, tool_call_id="c1")


def count(*events: Event) -> int:
    return len(tool_calls(map(tool_report, events)))


def test_agent_client_server_and_event_are_one_call() -> None:
    assert count(AGENT, CLIENT, SERVER, EVENT, RESULT) == 1


def test_a_call_that_failed_for_all_of_them_is_one_call() -> None:
    failed = [told(n, "tool.failed", **in_trace(10 + n, 9 + n)) for n in range(3)]
    assert count(*failed) == 1


def test_calls_of_one_tool_side_by_side_are_as_many() -> None:
    assert count(*(told(n, **in_trace(10 + n, 1)) for n in range(3))) == 3


def test_another_tool_called_within_a_tool_is_another_call() -> None:
    assert count(AGENT, told("inner", **in_trace(11, 10, tool="read"))) == 2


def test_an_id_that_a_model_uses_again_is_another_call_when_the_first_is_over() -> None:
    one, two = (told(n, start=10 * n, **in_trace(10 + n, 1, tool_call_id="call_0")) for n in range(2))
    assert count(one, two) == 2


def test_one_id_told_in_two_traces_is_one_call() -> None:
    other = told("other", start=50, trace_id=trace(2), span_id=span(3), tool_call_id="c1")
    assert count(told("one", **in_trace(10, 1, tool_call_id="c1")), other) == 1


def test_a_server_that_knows_no_trace_is_told_by_its_mcp_session() -> None:
    alone = [told(n, start=n, trace_id=trace(5 + n), span_id=span(5), mcp_session_id="m") for n in range(2)]
    assert count(CLIENT, alone[0]) == 1
    assert count(CLIENT, *alone) == 2
    assert count(*alone) == 2


def test_an_end_that_names_nothing_but_the_tool_finds_the_call() -> None:
    begins = [told(n, kind="event", start=n) for n in range(2)]
    ends = [told(("end", n), "tool.result", kind="event", start=5 + n) for n in range(2)]
    assert count(*begins, *ends) == 2
    assert count(*begins, *ends, told("x", "tool.result", kind="event", tool="other")) == 3


def test_spans_that_name_each_other_as_parent_are_one_call() -> None:
    assert count(told(1, **in_trace(10, 11)), told(2, **in_trace(11, 10))) == 1
    assert count(told(1, **in_trace(10, 10))) == 1


def summary_of(*events: Event) -> QuerySummary:
    session, queries = SessionSummary(id="s"), dict[str, QuerySummary]()
    for event in events:
        fold(session, queries, event)
    settle(session, queries.values())
    assert session.usage == queries["q"].usage
    return queries["q"]


def llm(name: object, number: int, parent: int | None, **fields: Any) -> Event:
    return make(name, type="llm.request", query="q", **in_trace(number, parent, **fields))


def test_tokens_are_those_of_the_leaves() -> None:
    framework = llm("framework", 10, 1, input_tokens=7, output_tokens=2, cached_tokens=3, cost=0.5)
    provider = llm("provider", 11, 10, input_tokens=7, output_tokens=2, cached_tokens=3, cost=0.5)
    second = llm("second", 12, 1, input_tokens=1, output_tokens=1, reasoning_tokens=1)
    agent = root("agent", 1, type="agent.completed", query="q", input_tokens=8, output_tokens=3, cost=0.5)
    usage = summary_of(provider, framework, second, agent).usage
    assert (usage.model_calls, usage.input, usage.output, usage.cached, usage.reasoning) == (2, 8, 3, 3, 1)
    assert summary_of(framework, provider).cost == 0.5


def test_what_the_producer_says_of_the_price_goes_before_the_table() -> None:
    priced = llm(1, 10, 1, model="m", input_tokens=1, cost=0.25, cost_by="table")
    agent = root("agent", 1, type="agent.completed", query="q", cost=1.0)
    assert summary_of(priced).usage.estimated == 250_000_000
    assert (summary_of(priced, agent).cost, summary_of(priced, agent).usage.estimated) == (1.0, 0)


def test_a_model_without_a_price_costs_nothing_and_says_so() -> None:
    view: Any = build_view("s", [llm(1, 10, 1, model="mystery", input_tokens=5)], lambda _event: Details())
    query = view["queries"]["q"]
    assert "cost" not in query
    assert query["unpricedModels"] == ["mystery"]


def test_calls_that_failed_and_were_made_again_are_retries() -> None:
    calls = [llm(n, 10 + n, 1, time=NOON + n, status="error" if n < 2 else None, input_tokens=1) for n in range(3)]
    tools = [told(("t", n), start=9 * n, **in_trace(20 + n, 1, tool_call_id="c")) for n in range(2)]
    assert summary_of(*calls, *tools).usage.retries == 3


@pytest.mark.parametrize("shuffled", [False, True])
def test_beyond_what_is_remembered_every_call_still_counts(monkeypatch: pytest.MonkeyPatch, shuffled: bool) -> None:
    monkeypatch.setattr(tally, "MAX_REPORTS", 8)
    monkeypatch.setattr(tally, "_KEPT", 4)
    session, queries = SessionSummary(id="s"), dict[str, QuerySummary]()
    for number in range(100):
        fold(session, queries, told(("t", number), start=10 * number, **in_trace(1000 + number, 1)))
        fold(session, queries, llm(("m", number), 5000 + number, 1, time=NOON + number, input_tokens=2))
        if number % 7 == 0:
            settle(session, queries.values())
    settle(session, queries.values())
    found = queries["q"]
    assert (found.tool_calls, found.input_tokens, session.usage.model_calls) == (100, 200, 100)
    assert len(found.tally.tools) <= 8


reports = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["span", "event"]),
        "type": st.sampled_from(["tool.call", "tool.result", "tool.failed", "llm.request"]),
        "trace_id": st.sampled_from([None, trace(1), trace(2)]),
        "span_id": st.sampled_from([None, span(1), span(2), span(3)]),
        "parent_span_id": st.sampled_from([None, span(1), span(2), span(3)]),
        "tool": st.sampled_from([None, "a", "b"]),
        "tool_call_id": st.sampled_from([None, "1", "2"]),
        "mcp_session_id": st.sampled_from([None, "m"]),
        "time": st.integers(NOON, NOON + 4),
        "duration": st.sampled_from([None, 0, 2]),
        "input_tokens": st.sampled_from([None, 3]),
        "cost": st.sampled_from([None, 0.5]),
        "query": st.just("q"),
    }
)


@given(st.lists(reports, max_size=10), st.data())
def test_lists_and_views_count_the_same_calls_in_every_order(found: list[dict[str, Any]], data: st.DataObject) -> None:
    events = [make(n, **fields) for n, fields in enumerate(found)]
    if not events:
        return
    session, queries = SessionSummary(id="s"), dict[str, QuerySummary]()
    for event in data.draw(st.permutations(events)):
        fold(session, queries, event)
        if data.draw(st.booleans()):
            settle(session, queries.values())
    settle(session, queries.values())
    view: Any = build_view("s", data.draw(st.permutations(events)), lambda _event: Details())
    query = view["queries"]["q"]
    entries = [entry for entry in query["events"] if entry["type"] == "tool.call"]
    assert len(entries) == queries["q"].tool_calls == session.tool_calls
    assert query["tokens"]["input"] == session.input_tokens
    assert query.get("cost") == session.cost


def test_a_child_of_the_prototypes_kind_is_one_call() -> None:
    begin = child(1, 1, type="tool.call", tool="t", query="q")
    end = child(2, 1, type="tool.result", query="q")
    assert count(begin, end) == 1
