"""What the database really holds, read without the broker."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

import asyncpg


async def query(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    """Rows of a SELECT on either kind of database."""
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as connection:
            return connection.execute(statement).fetchall()
    remote = await asyncpg.connect(database_url)
    try:
        return [tuple(row) for row in await remote.fetch(statement)]
    finally:
        await remote.close()


async def stored_spans(database_url: str) -> Counter[bytes]:
    """How often each span, by trace id and span id, is in the log."""
    rows = await query(database_url, "SELECT trace_id, span_id FROM events WHERE kind = 'span'")
    return Counter(bytes(trace_id) + bytes(span_id) for trace_id, span_id in rows)


async def session_positions(database_url: str, session: str) -> list[int]:
    """Where the session's events are in its stream: the `id:` of every frame that a reader of it gets."""
    rows = await query(
        database_url, f"SELECT session_seq FROM events WHERE session_id = '{session}' ORDER BY session_seq"
    )
    return [row[0] for row in rows]


async def assert_intact(database_url: str) -> None:
    """Positions have no holes and no doubles, and the head is the last of them."""
    [(count, lowest, highest)] = await query(database_url, "SELECT count(*), min(seq), max(seq) FROM events")
    [(head,)] = await query(database_url, "SELECT seq FROM log_head")
    moved = await query(
        database_url,
        "SELECT session_seq FROM events WHERE session_seq <> seq UNION SELECT query_seq FROM events "
        "WHERE query_seq <> seq",
    )
    assert (lowest, count + len(moved), max([highest or 0, *(row[0] for row in moved)])) == (1, head, head)
    if database_url.startswith("sqlite"):
        assert await query(database_url, "PRAGMA integrity_check") == [("ok",)]
