"""Appending: positions, identity, and what happens to what cannot be stored."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from ark_broker.log.scope import WHOLE_LOG, Scope
from ark_broker.model.errors import LogUnavailable, NotFound, Overloaded
from tests.log.conftest import Log, open_log
from tests.support.events import child, make, root


async def test_positions_are_given_in_order_of_arrival_without_holes(log: Log) -> None:
    await asyncio.gather(*(log.writer.append([make((n, k)) for k in range(7)]) for n in range(30)))
    assert [event.seq for event in await log.events()] == list(range(1, 211))


async def test_an_id_appended_twice_is_stored_once(log: Log) -> None:
    first = await log.writer.append([make(1), make(2)])
    again = await log.writer.append([make(2), make(3), make(3), make(1)])
    assert (first.stored, first.duplicates) == (2, 0)
    assert (again.stored, again.duplicates) == (1, 3)
    assert [event.seq for event in await log.events()] == [1, 2, 3]


async def test_redelivery_changes_no_summary(log: Log) -> None:
    batch = [make(n, session_id="s", query="q", type="tool.call", input_tokens=5) for n in range(10)]
    await log.writer.append(batch)
    before = await log.reader.session("s")
    for _ in range(3):
        await log.writer.append(
            [make(n, session_id="s", query="q", type="tool.call", input_tokens=5) for n in range(10)]
        )
    after = await log.reader.session("s")
    assert before is not None
    assert after is not None
    assert before.summary == after.summary


async def test_an_event_the_database_cannot_hold_is_the_only_one_refused(log: Log) -> None:
    batch = [make(n, input_tokens=2**70 if n == 13 else 1, session_id="s") for n in range(50)]
    neighbour = log.writer.append([make("neighbour", session_id="s")])
    result, beside = await asyncio.gather(log.writer.append(batch), neighbour)
    assert result.stored == 49
    assert [index for index, _ in result.refused] == [13]
    assert beside.stored == 1
    assert len(await log.events()) == 50


async def test_a_full_queue_refuses_and_stores_nothing_of_the_request(sqlalchemy_url: str) -> None:
    log = await open_log(sqlalchemy_url, queue_bytes=200_000)
    big = [make(n, body=b'"' + b"x" * 1000 + b'"') for n in range(100)]
    results = await asyncio.gather(
        log.writer.append(big),
        log.writer.append([make(f"{n}b", body=b"x" * 1000) for n in range(100)]),
        return_exceptions=True,
    )
    assert isinstance(results[1], Overloaded)
    assert len(await log.events()) == 100
    assert (await log.writer.append([make("later")])).stored == 1
    await log.close()


async def test_a_request_larger_than_a_commit_is_stored_whole_and_in_order(sqlalchemy_url: str) -> None:
    log = await open_log(sqlalchemy_url, commit_max=10)
    result = await log.writer.append([make(n, body=b"%d" % n) for n in range(105)])
    assert result.stored == 105
    assert [event.body for event in await log.events()] == [b"%d" % n for n in range(105)]
    await log.close()


async def test_a_database_that_is_away_refuses_and_the_next_commit_starts_clean(log: Log) -> None:
    async with log.database.writer.begin() as connection:
        await connection.execute(text("ALTER TABLE events RENAME TO elsewhere"))
    # A missing table is nobody's bad event: whatever the database says about it, nothing is acknowledged.
    outcome = await asyncio.gather(log.writer.append([make(1, session_id="s")]), return_exceptions=True)
    stored = outcome[0].stored if not isinstance(outcome[0], BaseException) else 0
    assert stored == 0
    async with log.database.writer.begin() as connection:
        await connection.execute(text("ALTER TABLE elsewhere RENAME TO events"))
    assert (await log.writer.append([make(1, session_id="s")])).stored == 1
    assert [event.seq for event in await log.events()] == [1]


async def test_after_close_nothing_is_taken_and_what_was_queued_is_stored(sqlalchemy_url: str) -> None:
    log = await open_log(sqlalchemy_url)
    waiting = asyncio.gather(*(log.writer.append([make(n)]) for n in range(20)))
    await asyncio.sleep(0)
    await log.writer.close()
    assert sum(result.stored for result in await waiting) == 20
    with pytest.raises(Overloaded):
        await log.writer.append([make("late")])
    await log.close()


async def test_children_that_came_first_are_adopted_when_the_root_names_the_session(log: Log) -> None:
    await log.writer.append([child(1, 7), child(2, 7)])
    assert [event.session_id for event in await log.events()] == [None, None]
    await log.writer.append([root(3, 7, session_id="s", query="q")])
    found = await log.events()
    assert [event.session_id for event in found] == ["s", "s", "s"]
    assert [event.query for event in found] == ["q", "q", "q"]
    assert [event.correlated_by for event in found] == ["trace", "trace", "explicit"]
    assert [(event.seq, event.session_seq) for event in found] == [(1, 4), (2, 5), (3, 3)]
    row = await log.reader.session("s")
    assert row is not None
    assert row.summary.events == 3


async def test_chunks_that_came_first_are_adopted_when_their_query_gets_a_session(log: Log) -> None:
    await log.writer.append([make(n, kind="chunk", type="llm.chunk", query="q") for n in range(3)])
    await log.writer.append([root(9, 7, session_id="s", query="q", type="query.started")])
    session = await log.reader.page(Scope("session", "s"), 0, 10)
    query = await log.reader.page(Scope("query", "q"), 0, 10)
    assert [event.seq for event in session.events] == [4, 1, 2, 3]
    assert [event.seq for event in query.events] == [1, 2, 3, 4]
    assert {event.correlated_by for event in session.events} == {"explicit", "query"}


async def test_a_trace_whose_root_ended_unnamed_is_its_own_session_until_a_link_turns_up(log: Log) -> None:
    await log.writer.append([child(1, 7)])
    await log.writer.append([root(2, 7)])
    provisional = f"trace:{7:032x}"
    assert {event.session_id for event in await log.events()} == {provisional}
    assert {event.correlated_by for event in await log.events()} == {"trace-root"}
    await log.writer.append([child(3, 7, session_id="real", query="q")])
    *found, moved = await log.events()
    assert (moved.type, moved.session_id, moved.body) == ("session.moved", provisional, b'{"to":"real"}')
    assert {event.session_id for event in found} == {"real"}
    assert {event.query for event in found} == {"q"}
    assert await log.reader.session(provisional) is None
    row = await log.reader.session("real")
    assert row is not None
    assert row.summary.events == 3


async def test_a_quiet_trace_without_a_root_gets_its_own_session(log: Log) -> None:
    await log.writer.append([child(1, 7)])
    await log.writer.decide_quiet_traces(quiet_since=2**62)
    assert [event.session_id for event in await log.events()] == [f"trace:{7:032x}"]


async def test_two_named_sessions_in_one_trace_are_never_merged(log: Log) -> None:
    await log.writer.append([root(1, 7, session_id="a")])
    await log.writer.append([child(2, 7, session_id="b"), child(3, 7)])
    assert [event.session_id for event in await log.events()] == ["a", "b", "a"]


async def test_a_query_named_late_takes_over_what_its_trace_had_before(log: Log) -> None:
    await log.writer.append([child(1, 7, session_id="s")])
    await log.writer.append([root(2, 7, session_id="s", query="q", type="query.completed")])
    found = await log.events()
    assert [event.query for event in found] == ["q", "q"]
    assert [event.session_seq for event in found] == [1, 2], "the session's stream had them already"
    assert [event.query_seq for event in found] == [3, 2]
    async with log.reader.snapshot() as connection:
        summaries = await log.reader.queries_of("s", 10, connection)
    assert [(query.name, query.events, query.phase) for query in summaries] == [("q", 2, "done")]


async def test_a_deleted_session_is_gone_at_once_and_leaves_a_tombstone(log: Log) -> None:
    await log.writer.append([root(1, 7, session_id="s", query="q")])
    commit = await log.writer.delete_session("s")
    assert await log.reader.session("s") is None
    assert await log.reader.gone_at("s") == commit.head == 2
    last = (await log.reader.page(WHOLE_LOG, 1, 10)).events
    assert [event.type for event in last] == ["session.deleted"]
    with pytest.raises(NotFound):
        await log.writer.delete_session("s")


async def test_a_session_that_was_deleted_may_come_back_without_its_past(log: Log) -> None:
    await log.writer.append([root(1, 7, session_id="s", query="q")])
    await log.writer.delete_session("s")
    await log.writer.append([root(2, 8, session_id="s", query="q2")])
    row = await log.reader.session("s")
    assert row is not None
    assert row.summary.events == 1


async def test_unavailable_is_what_a_commit_to_a_closed_database_raises(own_postgres: object) -> None:
    from tests.support.postgres import PostgresServer, create_database

    assert isinstance(own_postgres, PostgresServer)
    url = create_database(own_postgres.url).replace("postgresql://", "postgresql+asyncpg://")
    log = await open_log(url)
    assert (await log.writer.append([make(1)])).stored == 1
    own_postgres.kill()
    with pytest.raises(LogUnavailable):
        await log.writer.append([make(2)])
    own_postgres.start()
    assert (await log.writer.append([make(2)])).stored == 1
    assert [event.seq for event in await log.events()] == [1, 2]
    await log.close()
