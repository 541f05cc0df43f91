"""Every query of the read side is served by an index: the planner of either database says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from sqlalchemy import event as sqlalchemy_event

from ark_broker.log import ark
from ark_broker.log.overview import Window, read_groups
from ark_broker.log.read import Reader, SessionFilter
from ark_broker.log.scope import SESSION_LIST, WHOLE_LOG, Scope
from ark_broker.log.tables import FEEDS
from tests.log.conftest import Log
from tests.support.events import NOON, child, make, root, trace

#: Tables that grow; `log_head` has one row.
GROWING = {"events", "sessions", "queries", "links", "packs", "ark_sessions", "rollups", "durations"}

Statement = tuple[str, Any]


async def fill(log: Log) -> None:
    """A few sessions, so that every read has something to find."""
    for number in range(1, 40):
        fields = {"session_id": f"s{number}", "query": f"q{number}", "namespace": "a", "agent": "coder"}
        await log.writer.append(
            [
                root(f"root {number}", number, query_uid=f"uid{number}", time=NOON + number, **fields),
                child(f"child {number}", number),
                make(f"chunk {number}", kind="chunk", query=f"q{number}", stream_id=f"q{number}"),
                make(f"early {number}", kind="chunk", query=f"unknown{number}"),
                make(f"message {number}", kind="message", query=f"q{number}", conversation_id=f"c{number}"),
                make(f"operation {number}", query_uid=f"uid{number}", **fields),
            ]
        )


async def read_everything(reader: Reader) -> None:
    """Call each read in each form that the API uses."""
    scopes = [WHOLE_LOG, Scope("session", "s1"), Scope("query", "q1")]
    for scope in scopes:
        await reader.page(scope, 3, 10)
        await reader.page(scope, 3, 10, types=["llm.chunk", "test"])
        await reader.page(scope, 3, 10, query="q1")
        await reader.page(scope, 3, 10, types=["test"], query="q1")
        await reader.last_position(scope)
    await reader.head()
    await reader.between(3, 20, 100)
    await reader.trace(trace(1), 100)
    await reader.last_chunk("q1")
    await reader.end_of_stream("q1")
    await reader.completed_since("q1", 3)
    await reader.session("s1")
    await reader.gone_at("s1")
    await reader.session_changes(3, 30, 10)
    async with reader.snapshot() as connection:
        await reader.queries_of("s1", 10, connection)
    for name in ("q1", "uid1"):
        await reader.find_queries(name, None, None)
        await reader.find_queries(name, "a", None)
        await reader.find_queries(name, None, "s1")
    await reader.has_waiting_query("unknown1")
    for conditions in (
        SessionFilter(),
        SessionFilter(status="active"),
        SessionFilter(namespace="a"),
        SessionFilter(status="active", namespace="a"),
        SessionFilter(since=NOON, until=NOON + 100),
        SessionFilter(text="s1"),
        SessionFilter(agent="coder"),
        SessionFilter(query="q1"),
        SessionFilter(query="q1", text="s", agent="coder", status="active"),
    ):
        for before in (None, (NOON + 20, "s20")):
            await reader.session_list(conditions, before, 5)
    assert SESSION_LIST.kind == "sessions"
    async with reader.snapshot() as connection:
        for width in (60, 3_600, 86_400):
            for names in ({}, {"namespace": "a", "agent": "coder", "model": "gpt-4o"}):
                await read_groups(connection, Window(0, 86_400, width, **names), "agent")
                await read_groups(connection, Window(0, 86_400, width, **names), "model")
    await read_for_ark(reader)


async def read_for_ark(reader: Reader) -> None:
    feeds = [
        *(Scope("log", "", feed) for feed in FEEDS),
        Scope("conversation", "c1", "messages"),
        Scope("query", "q1", "messages"),
        Scope("query", "q1", "chunks"),
        Scope("uid", "uid1", "operations"),
        Scope("session", "s1", "operations"),
        Scope("session", "s1", "spans"),
        Scope("trace", trace(1), "spans"),
    ]
    async with reader.snapshot() as connection:
        for scope in feeds:
            await reader.page(scope, 3, 10, connection=connection)
            await ark.count(connection, scope)
        await reader.page(Scope("conversation", "c1", "messages"), 3, 10, query="q1", connection=connection)
        await ark.conversation_ids(connection, "c1", 10)
        await ark.memory_status(connection)
        await ark.list_traces(connection, None, 5)
        await ark.list_traces(connection, 50, 5, "s1")
        await ark.spans_of_trace(connection, trace(1))
        await ark.whole_sessions(connection, ["s1", "s2"])
        for conditions in (
            ark.ArkFilter(),
            ark.ArkFilter(status="active"),
            ark.ArkFilter(since=NOON, until=NOON + 100, text="s1"),
        ):
            for sort in ("date", "name", "conversations"):
                for descending in (True, False):
                    await ark.list_sessions(connection, conditions, sort, descending=descending, offset=2, limit=5)
    await reader.session_changes(3, 30, 10, only="s1", whole=True)


@pytest.fixture
def statements(log: Log) -> Iterator[list[Statement]]:
    """What is asked of the database through the reader's pool from here on."""
    found: list[Statement] = []
    engine = log.reader._database.reader.sync_engine

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        found.append((statement, parameters))

    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    yield found
    sqlalchemy_event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("namespaces", [None, frozenset({"a", "b"})], ids=["all", "confined"])
async def test_every_read_is_served_by_an_index(
    log: Log, statements: list[Statement], namespaces: frozenset[str] | None
) -> None:
    await _keep_statistics(log)
    await fill(log)
    statements.clear()
    await read_everything(log.reader if namespaces is None else log.reader.confined(namespaces))
    # One of each form: the statements differ only in their parameters otherwise.
    asked = {statement: parameters for statement, parameters in statements if "SELECT" in statement}
    assert len(asked) > 25

    scans = {}
    async with log.database.reader.connect() as connection:
        postgres = connection.dialect.name == "postgresql"
        if postgres:
            await connection.exec_driver_sql("SET enable_seqscan = off")
        for statement, parameters in asked.items():
            explain = "EXPLAIN (FORMAT JSON) " if postgres else "EXPLAIN QUERY PLAN "
            rows = (await connection.exec_driver_sql(explain + statement, parameters)).all()
            found = (
                scanned_by_postgres(rows[0][0]) if postgres else scanned_by_sqlite(statement, [row[3] for row in rows])
            )
            if found:
                scans[statement] = found

    assert scans == {}


async def _keep_statistics(log: Log) -> None:
    """Plans are to be those for tables of unknown size, whether or not the server analyses these few rows meanwhile."""
    async with log.database.writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            for table in GROWING:
                await connection.exec_driver_sql(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")


def scanned_by_sqlite(statement: str, plan: list[str]) -> list[str]:
    """Steps that read a whole table. Walking it from one end, in the order of its key, to a limit is none."""
    if "WHERE" not in statement and "ORDER BY" in statement and "LIMIT" in statement:
        return []
    return [step for step in plan if step.startswith("SCAN ") and step.split()[1] in GROWING and " USING " not in step]


def scanned_by_postgres(plan: Any) -> list[str]:
    """Nodes that read a whole table, or a whole index without a limit above them."""
    plans = orjson.loads(plan) if isinstance(plan, str) else plan
    return list(_bad_nodes(plans[0]["Plan"], limited=False))


def _bad_nodes(node: dict[str, Any], *, limited: bool) -> Iterator[str]:
    kind = node["Node Type"]
    if node.get("Relation Name") in GROWING:
        if kind == "Seq Scan":
            yield f"Seq Scan on {node['Relation Name']}"
        elif kind in ("Index Scan", "Index Only Scan") and "Index Cond" not in node and not limited:
            yield f"{kind} without condition using {node['Index Name']}"
    # Whoever sorts, or hashes, takes everything first: the limit above does not help what is below.
    limited = (limited or kind == "Limit") and kind not in ("Sort", "Hash", "Aggregate")
    for below in node.get("Plans", ()):
        yield from _bad_nodes(below, limited=limited)
