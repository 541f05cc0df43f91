"""The limits: what the drivers do alone, with the same table and indexes and nothing else around them."""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from ark_broker.log.rows import COLUMNS, to_rows
from ark_broker.log.tables import events
from ark_broker.receive.otlp import decode_traces
from bench.spans import batch

ROWS = 1_000
Row = tuple[Any, ...]


def sample_rows(batches: int) -> list[list[Row]]:
    """Rows as the broker would write them, in batches of 1,000, every id its own."""
    chance = random.Random(7)
    found = []
    seq = 0
    for _ in range(batches):
        decoded = decode_traces(batch(chance, ROWS, f"session-{seq % 64:03d}"), "protobuf").events
        for event in decoded:
            seq += 1
            event.seq = event.session_seq = event.query_seq = seq
            event.recorded_at = event.time
            event.query = event.query or f"trace:{event.trace_id}"
            event.correlated_by = "explicit"
        found.append(to_rows(decoded, {}))
    return found


async def postgres_rate(url: str, batches: list[list[Row]]) -> tuple[float, float]:
    """(COPY, unnest) in rows a second, one transaction a batch."""
    connection = await asyncpg.connect(url)
    try:
        rates = []
        for insert in (_copy, _unnest):
            await connection.execute("DROP TABLE IF EXISTS events")
            await connection.execute(str(CreateTable(events).compile(dialect=postgresql.dialect())))
            for index in events.indexes:
                await connection.execute(str(CreateIndex(index).compile(dialect=postgresql.dialect())))
            started = time.perf_counter()
            for rows in batches:
                async with connection.transaction():
                    await insert(connection, rows)
            rates.append(len(batches) * ROWS / (time.perf_counter() - started))
        return rates[0], rates[1]
    finally:
        await connection.close()


async def _copy(connection: asyncpg.Connection[Any], rows: list[Row]) -> None:
    await connection.copy_records_to_table("events", records=rows, columns=list(COLUMNS))


async def _unnest(connection: asyncpg.Connection[Any], rows: list[Row]) -> None:
    types = {"BIGINT": "bigint", "BYTEA": "bytea", "FLOAT": "float8", "TEXT": "text"}
    arrays = ", ".join(
        f"${number}::{types[column.type.compile(postgresql.dialect())]}[]"
        for number, column in enumerate(events.columns, 1)
    )
    await connection.execute(
        f"INSERT INTO events ({', '.join(COLUMNS)}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING",
        *(list(column) for column in zip(*rows, strict=True)),
    )


def sqlite_rate(path: Path, batches: list[list[Row]]) -> float:
    """Rows a second of `executemany`, one transaction a batch, durable as the broker is."""
    engine = create_engine(f"sqlite:///{path}")
    events.create(engine)
    engine.dispose()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    marks = ", ".join("?" * len(COLUMNS))
    started = time.perf_counter()
    for rows in batches:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({marks})", rows)
        connection.execute("COMMIT")
    rate = len(batches) * ROWS / (time.perf_counter() - started)
    connection.close()
    return rate


async def bare_commit_seconds(url: str, count: int = 300) -> list[float]:
    """How long one-row commits take, on an idle server."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS bare (n bigint)")
        found = []
        for number in range(count):
            started = time.perf_counter()
            await connection.execute("INSERT INTO bare VALUES ($1)", number)
            found.append(time.perf_counter() - started)
        return found
    finally:
        await connection.close()
