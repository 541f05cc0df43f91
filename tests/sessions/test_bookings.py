"""What queries and sessions add to the figures over time."""

from __future__ import annotations

from typing import Any

from ark_broker.model import Event
from ark_broker.sessions.bookings import book_query, book_session
from ark_broker.sessions.ledger import FIGURES, Booked, Ledger
from ark_broker.sessions.summary import QuerySummary, SessionSummary, fold, settle
from tests.support.events import NOON, make

MINUTE = NOON // 60_000_000_000


def folded(*events: Event) -> tuple[SessionSummary, QuerySummary]:
    session, queries = SessionSummary(id="s"), dict[str, QuerySummary]()
    for event in events:
        event.query = "q"
        fold(session, queries, event)
    settle(session, queries.values())
    return session, queries["q"]


def shown(booked: Booked) -> dict[tuple[str, str], dict[str, int]]:
    """Figures that are not 0, by agent and model."""
    return {
        (row.agent, row.model): {name: value for name, value in zip(FIGURES, row.figures, strict=True) if value}
        for row in booked.rows
    }


def reported(name: object, type_: str, **fields: Any) -> Event:
    return make(name, kind="event", type=type_, **fields)


def test_a_query_counts_where_it_began_for_whom_it_began_with() -> None:
    session, query = folded(
        reported(1, "query.started", agent="planner", namespace="a"),
        reported(2, "tool.call", agent="a helper", time=NOON + 90_000_000_000),
    )
    booked = book_query(query, session)
    assert (booked.minute, booked.namespace) == (MINUTE, "a")
    assert shown(booked) == {("planner", ""): {"queries": 1, "queries_running": 1, "tool_calls": 1}}
    assert shown(book_session(session)) == {("planner", ""): {"sessions": 1, "sessions_active": 1}}


def test_a_total_that_is_reported_is_the_main_models() -> None:
    session, query = folded(
        reported(1, "query.started", agent="planner", model="gpt-4o"),
        reported(2, "query.completed", input_tokens=9, output_tokens=4, cost=0.25, time=NOON + 3_000_000_000),
    )
    [[pair, figures]] = shown(book_query(query, session)).items()
    assert pair == ("planner", "gpt-4o")
    assert (figures["input_tokens"], figures["output_tokens"], figures["cost"]) == (9, 4, 250_000_000)
    assert (figures["queries_done"], figures["query_ms"]) == (1, 3_000)


def test_chunks_change_nothing_until_the_query_ends() -> None:
    session, query = folded(*(make(number, kind="chunk", type="llm.chunk") for number in range(3)))
    query.booked = book_query(query, session)
    query.add(make("more", kind="chunk", type="llm.chunk", query="q"))
    settle(session, [query])
    assert book_query(query, session) is query.booked
    query.add(reported("end", "query.completed", query="q"))
    settle(session, [query])
    assert shown(book_query(query, session))["", ""]["output_tokens"] == 4


def test_a_ledger_has_what_changed_and_nothing_else() -> None:
    session, query = folded(reported(1, "query.started"))
    before = book_query(query, session)
    query.add(reported(2, "query.failed", query="q", time=NOON + 1_000_000))
    settle(session, [query])
    ledger = Ledger()
    ledger.replace(before, book_query(query, session))
    [[key, figures]] = ledger.changes()
    assert key == (MINUTE, "", "", "")
    changed = {name: value for name, value in zip(FIGURES, figures, strict=True) if value}
    assert changed == {"queries_running": -1, "queries_error": 1, "query_ms": 1}
    assert len(list(ledger.duration_changes())) == 1

    ledger.replace(book_query(query, session), None)
    ledger.replace(None, before)
    assert not list(ledger.changes())
    assert not list(ledger.duration_changes())
