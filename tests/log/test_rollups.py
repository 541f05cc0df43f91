"""Figures over time, in the writer's transaction: each thing once, whatever comes again, moves, or is removed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select, update

from ark_broker.log.overview import OTHERS, Figures, Window, read_groups
from ark_broker.log.rollups import WIDTHS, forget_old, rollup_upserts
from ark_broker.log.tables import durations, rollups
from ark_broker.model import Event
from ark_broker.sessions.ledger import FIGURES, Ledger
from tests.log.conftest import Log
from tests.support.events import child, make, root, span, trace

DAY = 86_400
SECOND = 1_000_000_000


@pytest.fixture
def now(log: Log) -> int:
    """What the broker's clock says: noon of a day, in nanoseconds."""
    time = 20_000 * DAY * SECOND + 12 * 3_600 * SECOND
    log.writer._clock = lambda: time
    return time


def query(name: str, at: int, **fields: Any) -> list[Event]:
    """A query with two model calls, of which one is the framework's own report of the other, and a tool call."""
    given = {"session_id": f"session {name}", "query": name, "agent": "planner"} | fields
    call = given | {"type": "llm.request", "trace_id": trace(hash(name) % 1_000_000), "kind": "span", "model": "gpt-4o"}
    used = {"input_tokens": 100, "output_tokens": 20, "cost": 0.5, "duration": 2 * SECOND}
    return [
        make(f"{name} start", kind="event", **(given | {"type": "query.started", "time": at})),
        make(f"{name} outer", **(call | used | {"time": at, "span_id": span(3)})),
        make(f"{name} inner", **(call | used | {"time": at, "span_id": span(4), "parent_span_id": span(3)})),
        make(f"{name} tool", kind="event", **(given | {"type": "tool.call", "tool": "search", "time": at})),
        make(f"{name} end", kind="event", **(given | {"type": "query.completed", "time": at + 4 * SECOND})),
    ]


async def total(log: Log, width: int = DAY, **narrowed: Any) -> dict[str, int]:
    """Every figure that is not 0, of everything."""
    async with log.reader.snapshot() as connection:
        groups = await read_groups(connection, Window(0, 2**34, width, **narrowed), "agent")
    found = Figures()
    for bars in groups.values():
        for figures in bars.values():
            found.add(figures)
    return {name: found[name] for name in FIGURES if found[name]} | {
        measure: sum(slots.values()) for measure, slots in found.slots.items() if sum(slots.values())
    }


ONE_QUERY = {
    "sessions": 1,
    "queries": 1,
    "queries_done": 1,
    "model_calls": 1,
    "tool_calls": 1,
    "input_tokens": 100,
    "output_tokens": 20,
    "cost": 500_000_000,
    "query_ms": 4_000,
    "model_ms": 2_000,
    "query": 1,
    "model": 1,
}


async def test_a_query_counts_once_in_every_width(log: Log, now: int) -> None:
    await log.writer.append(query("q", now))
    for width in WIDTHS:
        assert await total(log, width) == ONE_QUERY


async def test_what_is_delivered_again_counts_once(log: Log, now: int) -> None:
    for event in [*query("q", now), *query("q", now)]:
        await log.writer.append([event])
    await log.writer.append(query("q", now))
    assert await total(log) == ONE_QUERY


@pytest.mark.parametrize("seed", range(5))
async def test_neither_the_order_nor_the_commits_matter(log: Log, now: int, seed: int) -> None:
    events = [event for number in range(4) for event in query(f"q{number % 2}", now)] + query(
        "q3", now - 3_600 * SECOND
    )
    chance = random.Random(seed)
    chance.shuffle(events)
    while events:
        cut = chance.randint(1, 5)
        await log.writer.append(events[:cut])
        del events[:cut]
    three = {name: 3 * value for name, value in ONE_QUERY.items()}
    assert await total(log) == await total(log, 60) == three


async def test_a_query_that_goes_on_moves_from_phase_to_phase(log: Log, now: int) -> None:
    events = query("q", now)
    await log.writer.append(events[:-1])
    running = await total(log)
    assert (running["queries_running"], running["sessions_active"]) == (1, 1)
    assert "query" not in running
    await log.writer.append(events[-1:])
    assert await total(log) == ONE_QUERY


async def test_calls_count_by_their_own_model_and_agent(log: Log, now: int) -> None:
    given = {"session_id": "s", "query": "q", "kind": "event", "time": now}
    calls = [("planner", "gpt-4o", 10), ("planner", "gpt-4o-mini", 3), ("writer", "gpt-4o-mini", 2), (None, None, 1)]
    await log.writer.append(
        [make("start", **given, type="query.started", agent="planner")]
        + [
            make(number, **given, type="llm.request", agent=agent, model=model, output_tokens=tokens)
            for number, (agent, model, tokens) in enumerate(calls)
        ]
    )
    async with log.reader.snapshot() as connection:
        window = Window(0, 2**34, DAY)
        found = {by: await read_groups(connection, window, by) for by in ("agent", "model")}
    tokens = {
        by: {name: sum(figures["output_tokens"] for figures in bars.values()) for name, bars in groups.items()}
        for by, groups in found.items()
    }
    assert tokens == {"agent": {"planner": 14, "writer": 2}, "model": {"gpt-4o": 10, "gpt-4o-mini": 5, "": 1}}


async def test_a_model_that_is_known_later_leaves_nothing_under_none(log: Log, now: int) -> None:
    for event in query("q", now):
        await log.writer.append([event])
    async with log.reader.snapshot() as connection:
        assert list(await read_groups(connection, Window(0, 2**34, DAY), "model")) == ["gpt-4o"]


async def test_more_calls_than_a_summary_keeps_are_all_counted(log: Log, now: int) -> None:
    given = {"session_id": "s", "query": "q", "kind": "event", "type": "llm.request", "duration": SECOND}
    for number in range(150):
        model = f"model {number % 2}"
        await log.writer.append([make(number, **given, time=now + number, model=model, output_tokens=1)])
    assert (await total(log))["model_calls"] == 150
    assert (await total(log, model="model 1"))["output_tokens"] == 75
    assert (await total(log))["model"] == 150


async def test_tokens_that_chunks_are_counted_for_wait_for_the_end(log: Log, now: int) -> None:
    given = {"query": "q", "kind": "chunk", "time": now, "session_id": "s"}
    await log.writer.append([make(number, **given, type="llm.chunk") for number in range(5)])
    assert "output_tokens" not in await total(log)
    await log.writer.append([make("end", session_id="s", query="q", kind="event", type="query.completed", time=now)])
    assert (await total(log))["output_tokens"] == 5


async def test_a_session_that_moves_is_counted_where_it_went(log: Log, now: int) -> None:
    # A trace that names nobody is a session of its own, until its root says whose it is.
    given = {"type": "llm.request", "time": now, "output_tokens": 7}
    await log.writer.append([child("call", 1, **given)])
    await log.writer.decide_quiet_traces(2**62)
    assert (await total(log))["output_tokens"] == 7
    await log.writer.append([root("root", 1, session_id="s", query="q", time=now, agent="planner")])
    assert (await log.reader.session("s")) is not None
    found = await total(log)
    assert (found["sessions"], found["queries"], found["output_tokens"]) == (1, 1, 7)


async def test_a_deleted_session_takes_its_figures_along(log: Log, now: int) -> None:
    await log.writer.append(query("q", now) + query("other", now))
    await log.writer.delete_session("session q")
    assert await total(log) == ONE_QUERY
    await log.writer.delete_session("session other")
    assert await total(log) == {}


async def test_an_operator_who_links_a_trace_elsewhere_moves_its_figures(log: Log, now: int) -> None:
    given = {"type": "llm.request", "time": now, "output_tokens": 7}
    await log.writer.append([child("call", 1, **given)])
    await log.writer.decide_quiet_traces(2**62)
    await log.writer.create_links([f"trace:{trace(1)}"], "right", "q")
    found = await total(log)
    assert (found["sessions"], found["queries"], found["output_tokens"]) == (1, 1, 7)


async def test_two_replicas_add_up(two_logs: tuple[Log, Log]) -> None:
    one, other = two_logs
    at = 20_000 * DAY * SECOND
    for each in two_logs:
        each.writer._clock = lambda: at
    first, second = query("q", at), query("p", at)
    for left, right in zip(first, second, strict=True):
        await one.writer.append([left])
        await other.writer.append([right])
    await other.writer.append(first)
    assert await total(one) == {name: 2 * value for name, value in ONE_QUERY.items()}


async def test_old_figures_are_kept_by_the_day_only(log: Log, now: int) -> None:
    await log.writer.append(query("old", now - 50 * DAY * SECOND))
    assert await total(log, 60) == {}
    assert await total(log, 3_600) == await total(log) == ONE_QUERY
    await forget_old(log.database, now + 60 * DAY * SECOND)
    assert await total(log, 3_600) == {}
    assert await total(log) == ONE_QUERY
    async with log.reader.snapshot() as connection:
        for table in (rollups, durations):
            widths = (await connection.execute(select(table.c.width).distinct())).scalars().all()
            assert widths == [DAY]


async def test_names_beyond_the_busiest_are_one(log: Log, now: int) -> None:
    events: Sequence[Event] = [
        event for number in range(25) for event in query(f"q{number}", now, agent=f"agent {number:02}")
    ]
    await log.writer.append([*events, *query("again", now, agent="agent 24")])
    async with log.reader.snapshot() as connection:
        groups = await read_groups(connection, Window(0, 2**34, DAY), "agent")
    assert len(groups) == 21
    assert sum(figures["queries"] for figures in groups[OTHERS].values()) == 5
    assert sum(figures["queries"] for figures in groups["agent 24"].values()) == 2
    assert await total(log) == {name: 26 * value for name, value in ONE_QUERY.items()}


async def test_a_reader_of_some_namespaces_sees_their_figures_only(log: Log, now: int) -> None:
    await log.writer.append(query("q", now, namespace="a") + query("other", now, namespace="b") + query("none", now))
    seen = Log(log.database, log.reader.confined(frozenset({"a"})), log.tail, log.writer)
    assert await total(seen) == ONE_QUERY == await total(log, namespace="b")
    assert await total(seen, namespace="b") == {}
    assert await total(log) == {name: 3 * value for name, value in ONE_QUERY.items()}


async def test_figures_that_are_beyond_all_bounds_stop_no_commit_and_no_reading(log: Log, now: int) -> None:
    await log.writer.append(query("q", now) + query("other", now, agent="writer"))
    async with log.database.writer.begin() as connection:
        await connection.execute(update(rollups).values(cost=2**63 - 1, input_tokens=-(2**63)))
    ledger = Ledger({(now // SECOND // 60, "", "planner", "gpt-4o"): [10**30] * len(FIGURES)})
    async with log.database.writer.begin() as connection:
        await log.database.dialect.upsert(connection, rollup_upserts(ledger, now))
    stored = await log.writer.append(query("again", now) + query("another", now, agent="writer"))
    assert not stored.refused
    found = await total(log)
    assert found["cost"] > 2**62
    assert found["input_tokens"] < 0


async def test_what_one_event_says_is_no_more_than_a_session_can_hold(log: Log, now: int) -> None:
    given = {"kind": "event", "type": "llm.request", "session_id": "s", "time": now, "input_tokens": 10**12}
    stored = await log.writer.append([make((n, cost), **given, cost=cost) for n in range(30) for cost in (1e9, 1e6)])
    assert not stored.refused
    assert (await total(log))["cost"] == 30 * 10**15
