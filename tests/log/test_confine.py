"""Reads of some namespaces only: the condition is in every SELECT, and a table that nobody thought of shows nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import exists, func, insert, select
from sqlalchemy.sql import Select

from ark_broker.log.confine import narrowed
from ark_broker.log.scope import WHOLE_LOG, Scope
from ark_broker.log.tables import events, links, log_head, metadata, questions, sessions, tokens, waiting
from tests.log.conftest import Log
from tests.support.events import make

A = frozenset({"a"})


async def fill(log: Log) -> None:
    for name in ("a", "b"):
        await log.writer.append(
            [
                make(
                    f"{name} {number}", session_id=f"s-{name}", query=f"q-{name}", namespace=name, query_uid=f"u-{name}"
                )
                for number in range(3)
            ]
        )
    await log.writer.append([make("bare", session_id="s-bare", query="q-bare")])


async def count(log: Log, statement: Select[Any]) -> int:
    async with log.database.confined(A).reader.connect() as connection:
        return len((await connection.execute(statement)).all())


async def test_rows_of_other_namespaces_are_not_there(log: Log) -> None:
    await fill(log)
    assert await count(log, select(events.c.seq)) == 3
    assert await count(log, select(sessions.c.id)) == 1
    assert await count(log, select(links.c.key)) == await count(
        log, select(links.c.key).where(links.c.session_id == "s-a")
    )
    async with log.database.reader.connect() as connection:
        assert len((await connection.execute(select(events.c.seq))).all()) == 7


@pytest.mark.parametrize(
    "statement",
    [
        select(events.c.seq).where(events.c.session_id.in_(select(sessions.c.id))),
        select(select(events.c.seq).subquery().c.seq),
        select(events.alias("other").c.seq),
        select(events.c.seq).join(sessions, sessions.c.id == events.c.session_id),
        select(events.c.seq).where(exists(select(sessions.c.id).where(sessions.c.id == events.c.session_id))),
        select(select(events.c.seq).cte("found").c.seq),
    ],
    ids=["subquery", "from", "alias", "join", "exists", "cte"],
)
async def test_the_condition_is_wherever_rows_come_from(log: Log, statement: Select[Any]) -> None:
    await fill(log)
    assert await count(log, statement) == 3


async def test_what_is_counted_is_ones_own(log: Log) -> None:
    await fill(log)
    async with log.database.confined(A).reader.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(events))).scalar_one() == 3


def test_every_table_is_narrowed_closed_or_read_by_keys_alone() -> None:
    by_key = {"contents", "log_head"}
    for table in metadata.tables.values():
        text = str(narrowed(select(table), ("a",)))
        assert ("WHERE" in text) is (table.name not in by_key), table.name
    assert "false" in str(narrowed(select(tokens), ("a",)))
    assert "namespace" in str(narrowed(select(waiting), ("a",)))
    assert "namespace" in str(narrowed(select(questions), ("a",)))
    assert "WHERE" not in str(narrowed(select(log_head), ("a",)))


def test_a_statement_is_not_changed_for_others() -> None:
    statement = select(events.c.seq)
    before = str(statement)
    narrowed(statement, ("a",))
    assert str(statement) == before


def test_nothing_is_written() -> None:
    with pytest.raises(TypeError, match="only reads"):
        narrowed(insert(events), ("a",))


async def test_readers_see_no_session_of_another_namespace(log: Log) -> None:
    await fill(log)
    reader = log.reader.confined(A)
    assert (await reader.session("s-a")) is not None
    assert (await reader.session("s-b")) is None
    assert [event.namespace for event in (await reader.page(WHOLE_LOG, 0, 100)).events] == ["a"] * 3
    assert (await reader.page(Scope("session", "s-b"), 0, 100)).events == []
    assert (await reader.find_queries("q-b", None, None)) == []
    assert await reader.links(["query:q-b", "uid:u-b"]) == {}
