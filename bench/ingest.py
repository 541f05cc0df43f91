"""OTLP/protobuf to committed, against what the database driver does alone with the same rows."""

from __future__ import annotations

import asyncio
import statistics

from bench.broker import Broker, directory, postgres
from bench.load import Outcome, generate
from bench.raw import postgres_rate, sample_rows, sqlite_rate
from bench.report import Row, ratio_row

CONNECTIONS = 8
GOAL = 0.3


def _measure(url: str, seconds: float) -> Outcome:
    with Broker(url) as broker:
        target = f"{broker.url}/v1/traces"
        asyncio.run(generate(target, seconds=min(2.0, seconds), connections=CONNECTIONS, seed=99))
        outcome = asyncio.run(generate(target, seconds=seconds, connections=CONNECTIONS))
    print(f"    {outcome}")
    return outcome


def ingest(seconds: float) -> list[Row]:
    """Rows for PostgreSQL and SQLite. The limit is measured before and after, and the mean of both is taken."""
    rows = []
    batches = sample_rows(20)
    with postgres() as url, postgres() as raw_url:
        before = max(asyncio.run(postgres_rate(raw_url, batches)))
        outcome = _measure(url, seconds)
        after = max(asyncio.run(postgres_rate(raw_url, batches)))
        limit = statistics.mean((before, after))
        rows.append(ratio_row("OTLP → committed, PostgreSQL (against raw COPY)", outcome.rate, limit, "spans/s", GOAL))
    with directory() as path:
        before = sqlite_rate(path / "before.db", batches)
        outcome = _measure(f"sqlite:///{path}/broker.db", seconds)
        after = sqlite_rate(path / "after.db", batches)
        limit = statistics.mean((before, after))
        rows.append(ratio_row("OTLP → committed, SQLite (against executemany)", outcome.rate, limit, "spans/s", GOAL))
    return rows
