"""The PostgreSQL tables of Ark's own broker, read through server-side cursors, a page at a time.

messages         sequence_number, conversation_id, query_id, message, created_at, expires_at
events           sequence_number, query_id, session_id, reason, event, created_at, expires_at
sessions         session_id, …, expires_at
session_queries  session_id, query_id, namespace, conversation_id, agent, …, phase, error, created_at, completed_at
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import msgspec
import orjson

from ark_broker.cli.imports.source import Skipped, SourceBroken
from ark_broker.model.errors import BadInput
from ark_broker.receive.legacy import Record, Store, instant_of, record_of, session_records

#: Rows of a page: few at first, then as many as come to about this many bytes.
_FIRST_PAGE: Final = 50
_LARGEST_PAGE: Final = 1_000
_PAGE_BYTES: Final = 4 * 2**20

#: A table, and columns that tell it from another one of that name: this broker has an `events` table too.
_TABLES: Final[dict[Store, tuple[str, frozenset[str]]]] = {
    "events": ("events", frozenset({"sequence_number", "event", "created_at", "expires_at"})),
    "sessions": ("session_queries", frozenset({"session_id", "query_id", "phase", "created_at"})),
    "messages": ("messages", frozenset({"sequence_number", "conversation_id", "query_id", "message", "created_at"})),
}
_QUERIES: Final[dict[Store, str]] = {
    "events": "SELECT sequence_number, event, created_at, expires_at FROM {schema}.events ORDER BY sequence_number",
    "messages": "SELECT sequence_number, conversation_id, query_id, message, created_at, expires_at "
    "FROM {schema}.messages ORDER BY sequence_number",
    "sessions": "SELECT q.*, s.expires_at FROM {schema}.session_queries q "
    "JOIN {schema}.sessions s USING (session_id) ORDER BY session_id, q.created_at, q.query_id",
}
#: A query as the files have it → its column.
_QUERY_COLUMNS: Final = {
    "namespace": "namespace",
    "conversationId": "conversation_id",
    "agent": "agent",
    "team": "team",
    "tool": "tool",
    "targetType": "target_type",
    "phase": "phase",
    "error": "error",
    "createdAt": "created_at",
    "completedAt": "completed_at",
    "lastActivity": "last_activity",
}


def label_of(url: str) -> str:
    """The database without who may use it: `host/name`."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'local socket'}{parts.path}"


async def connect(url: str) -> asyncpg.Connection[asyncpg.Record]:
    """A connection to the old database. Raises what asyncpg raises, ValueError for what is no URL."""
    # Prepared statements have no names that a pooler in between could lose.
    return await asyncpg.connect(url, timeout=15, statement_cache_size=0)


async def find_tables(connection: asyncpg.Connection[asyncpg.Record], schema: str) -> list[TableSource]:
    """The old broker's tables that are there."""
    rows = await connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = $1", schema
    )
    columns: dict[str, set[str]] = {}
    for row in rows:
        columns.setdefault(row["table_name"], set()).add(row["column_name"])
    found = []
    for store, (table, needed) in _TABLES.items():
        if needed <= columns.get(table, set()):
            quoted = '"' + schema.replace('"', '""') + '"'
            count = await connection.fetchval(f"SELECT count(*) FROM {quoted}.{table}")  # noqa: S608 - quoted
            found.append(
                TableSource(connection, store, f"{schema}.{table}", _QUERIES[store].format(schema=quoted), count)
            )
    return found


@dataclass
class TableSource:
    """One table of one store."""

    connection: asyncpg.Connection[asyncpg.Record]
    store: Store
    label: str
    query: str
    size: int
    done: int = 0

    async def items(self) -> AsyncGenerator[Record | Skipped, None]:
        try:
            # What is left early, by Ctrl-C, ends its transaction before the connection is closed.
            async with aclosing(self._rows()) as rows:
                if self.store != "sessions":
                    async for row in rows:
                        yield _record(self.store, row)
                    return
                async with aclosing(_sessions(rows)) as items:
                    async for item in items:
                        yield item
        except (asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise SourceBroken(f"broken after row {self.done:,}: {error}") from None

    async def _rows(self) -> AsyncGenerator[asyncpg.Record, None]:
        async with self.connection.transaction(isolation="repeatable_read", readonly=True):
            cursor = await self.connection.cursor(self.query)
            page = _FIRST_PAGE
            while rows := await cursor.fetch(page):
                for row in rows:
                    self.done += 1
                    yield row
                size = sum(len(value) for row in rows for value in row.values() if isinstance(value, str))
                page = max(1, min(_LARGEST_PAGE, _PAGE_BYTES * len(rows) // (size + 1)))


async def _sessions(rows: AsyncGenerator[asyncpg.Record, None]) -> AsyncGenerator[Record | Skipped, None]:
    """The reports of each session; the rows of its queries come together."""
    session_id, queries, expires_at = "", dict[str, Any](), None
    async for row in rows:
        if row["session_id"] != session_id:
            for item in _reports(session_id, queries, expires_at):
                yield item
            session_id, queries, expires_at = row["session_id"], {}, row["expires_at"]
        queries[row["query_id"]] = {
            key: row[column] for key, column in _QUERY_COLUMNS.items() if row.get(column) is not None
        }
    for item in _reports(session_id, queries, expires_at):
        yield item


def _record(store: Store, row: asyncpg.Record) -> Record | Skipped:
    number = row["sequence_number"]
    try:
        return record_of(
            store,
            {
                "sequenceNumber": number,
                "timestamp": row["created_at"],
                "expiresAt": row["expires_at"],
                "data": _data(store, row),
            },
            number,
        )
    except (BadInput, orjson.JSONDecodeError) as error:
        return Skipped(f"row {number}", "invalid", str(error))


def _data(store: Store, row: asyncpg.Record) -> object:
    if store == "events":
        return orjson.loads(row["event"])
    message = orjson.loads(row["message"])
    return {"conversationId": row["conversation_id"], "queryId": row["query_id"], "message": message}


def _reports(session_id: str, queries: Mapping[str, Any], expires_at: object) -> list[Record | Skipped]:
    rejected: list[Record | Skipped] = []

    def reject(name: str, error: BadInput) -> None:
        rejected.append(Skipped(f"{session_id}/{name}", "invalid", str(error)))

    expiry = instant_of(expires_at, "expires_at")
    found = [
        msgspec.structs.replace(record, expires_at=expiry) for record in session_records(session_id, queries, reject)
    ]
    return [*found, *rejected]
