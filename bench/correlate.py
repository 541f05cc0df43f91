"""`GET /v1/correlate` with a million links, against `GET /health`, which asks nobody."""

from __future__ import annotations

import asyncio
import http.client
import random
import statistics
import time
from typing import Final

import asyncpg

from bench.broker import Broker, postgres
from bench.report import Row

LINKS: Final = 1_000_000
_GOAL_MS: Final = 5.0


def correlate(requests: int) -> list[Row]:
    """p50 and p99 of single requests on one connection, of both in turns."""
    with postgres() as url, Broker(url) as broker:
        asyncio.run(_fill(url))
        chance = random.Random(5)
        connection = http.client.HTTPConnection("127.0.0.1", broker.port)
        answers: list[float] = []
        bare: list[float] = []
        for number in range(requests + 200):
            asked = _ask(connection, f"/v1/correlate?mcpSessionId=m{chance.randrange(LINKS)}")
            idle = _ask(connection, "/health")
            if number >= 200:
                answers.append(asked)
                bare.append(idle)
        connection.close()
    own, least = statistics.quantiles(answers, n=100), statistics.quantiles(bare, n=100)
    return [
        Row(
            "GET /v1/correlate, 1 M links, p50 / p99",
            f"{own[49]:.2f} / {own[98]:.2f} ms",
            f"{least[49]:.2f} / {least[98]:.2f} ms",
            f"{own[49] / least[49]:.1f}× / {own[98] / least[98]:.1f}×",
            f"≤ {_GOAL_MS:g} ms",
            own[98] <= _GOAL_MS,
        )
    ]


def _ask(connection: http.client.HTTPConnection, path: str) -> float:
    started = time.perf_counter()
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status}")
    return (time.perf_counter() - started) * 1_000


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        now = time.time_ns()
        rows = ((f"mcp:m{n}", f"s{n % 50_000}", f"q{n}", f"{n:032x}", "explicit", now) for n in range(LINKS))
        await connection.copy_records_to_table(
            "links", records=rows, columns=["key", "session_id", "query", "trace_id", "rule", "last_seen"]
        )
        await connection.execute("ANALYZE links")
    finally:
        await connection.close()
