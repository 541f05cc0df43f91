"""Packing: finished streams take less room, and no reader can tell."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import func, select

from ark_broker.log.packs import pack_finished, packed_ids
from ark_broker.log.scope import WHOLE_LOG, Scope
from ark_broker.log.tables import events, packs
from ark_broker.model import Event
from tests.log.conftest import Log
from tests.support.events import make, root

FAR_FUTURE = 2**62


def chunk(query: str, number: int) -> Event:
    body = b'{"choices":[{"delta":{"content":"%d"}}],"n":1.50}' % number
    return make((query, number), kind="chunk", type="llm.chunk", query=query, stream_id=query, body=body)


def marker(query: str) -> Event:
    return make((query, "end"), kind="chunk", type="stream.completed", query=query, stream_id=query, body=b'"[DONE]"')


async def a_log_with_streams(log: Log) -> None:
    """Two sessions, three streams among other events; the last stream is not finished."""
    await log.writer.append([root("r1", 1, session_id="s", query="q1", type="query.started")])
    await log.writer.append([root("r2", 2, session_id="s", query="q2", type="query.started")])
    await log.writer.append([root("r3", 3, session_id="other", query="q3", type="query.started")])
    for number in range(0, 40, 5):
        batch = []
        for n in range(number, number + 5):
            batch += [chunk("q1", n), make(("between", n), session_id="s"), chunk("q2", n), chunk("q3", n)]
        await log.writer.append(batch)
    await log.writer.append([marker("q1")])
    await log.writer.append([make("after", session_id="s"), marker("q2")])


async def everything(log: Log, scope: Scope, limit: int) -> list[tuple[int | None, bytes, bytes]]:
    """All events of a stream, read in pages of `limit`."""
    found, after, more = [], 0, True
    while more:
        page = await log.reader.page(scope, after, limit)
        found += page.events
        after, more = page.next, page.more
    return [(scope.position(event), event.id, event.body) for event in found]


@pytest.mark.parametrize("limit", [1, 7, 50, 1000])
async def test_every_stream_reads_the_same_before_and_after(log: Log, limit: int) -> None:
    await a_log_with_streams(log)
    scopes = [
        WHOLE_LOG,
        Scope("session", "s"),
        Scope("session", "other"),
        *(Scope("query", f"q{n}") for n in (1, 2, 3)),
    ]
    before = [await everything(log, scope, limit) for scope in scopes]
    assert await pack_finished(log.database, FAR_FUTURE) == 82
    assert [await everything(log, scope, limit) for scope in scopes] == before
    async with log.database.reader.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(packs))).scalar_one() == 2
        left = await connection.execute(select(events.c.query).where(events.c.kind == "chunk").distinct())
        assert list(left.scalars()) == ["q3"]


async def test_any_cursor_gives_the_same_page(log: Log) -> None:
    await a_log_with_streams(log)
    chance = random.Random(3)
    cursors = [(chance.randrange(0, 180), chance.randrange(1, 60)) for _ in range(40)]
    scope = Scope("session", "s")
    before = [[e.seq for e in (await log.reader.page(scope, after, limit)).events] for after, limit in cursors]
    await pack_finished(log.database, FAR_FUTURE)
    assert [[e.seq for e in (await log.reader.page(scope, a, n)).events] for a, n in cursors] == before


async def test_filters_see_packed_events(log: Log) -> None:
    await a_log_with_streams(log)
    await pack_finished(log.database, FAR_FUTURE)
    page = await log.reader.page(Scope("session", "s"), 0, 1000, types=["llm.chunk"], query="q2")
    assert [event.id for event in page.events] == [chunk("q2", n).id for n in range(40)]
    assert not page.more


async def test_a_packed_chunk_sent_again_is_stored_once(log: Log) -> None:
    await a_log_with_streams(log)
    await pack_finished(log.database, FAR_FUTURE)
    again = await log.writer.append([chunk("q1", 7), chunk("q1", 8), chunk("q1", 99)])
    assert (again.stored, again.duplicates) == (1, 2)


async def test_a_stream_that_goes_on_after_its_marker_is_packed_up_to_it(log: Log) -> None:
    await a_log_with_streams(log)
    await log.writer.append([chunk("q1", 100)])
    await pack_finished(log.database, FAR_FUTURE)
    last = await log.reader.last_chunk("q1")
    assert last is not None
    assert last.id == chunk("q1", 100).id
    assert await log.reader.last_position(Scope("query", "q1")) == last.query_seq


async def test_what_is_young_or_has_no_named_session_is_left_alone(log: Log) -> None:
    await a_log_with_streams(log)
    assert await pack_finished(log.database, 0) == 0
    await log.writer.append([chunk("alone", 1), marker("alone")])
    await pack_finished(log.database, FAR_FUTURE)
    async with log.database.reader.connect() as connection:
        assert await packed_ids(connection, ["alone"]) == set()


async def test_the_last_chunk_of_a_packed_stream_is_its_marker(log: Log) -> None:
    await a_log_with_streams(log)
    await pack_finished(log.database, FAR_FUTURE)
    last = await log.reader.last_chunk("q1")
    assert last is not None
    assert last.type == "stream.completed"
