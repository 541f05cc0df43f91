"""Start, idle memory, and memory under a million events and a reader that never reads."""

from __future__ import annotations

import asyncio
import socket
import time

from bench.broker import Broker, directory, postgres
from bench.load import generate
from bench.report import Row

MIB = 2**20


def start_and_idle() -> list[Row]:
    """`serve` on a SQLite file that exists already."""
    with directory() as path:
        url = f"sqlite:///{path}/broker.db"
        Broker(url).close()
        seconds, rss = [], []
        for _ in range(3):
            with Broker(url) as broker:
                time.sleep(0.5)
                seconds.append(broker.start_seconds)
                rss.append(broker.rss)
    best, idle = min(seconds), max(rss) / MIB
    return [
        Row("start to /readyz, SQLite", f"{best:.2f} s", "", "", "≤ 1.5 s", best <= 1.5),
        Row("idle RSS", f"{idle:.0f} MiB", "", "", "≤ 100 MB", idle * MIB <= 100e6),
    ]


def memory(events: int) -> list[Row]:
    """RSS after a tenth of the events, and after all of them; then with one stalled reader beside fast ones."""
    with postgres() as url, Broker(url) as broker:
        asyncio.run(_store(broker.port, events // 10))
        early = broker.rss
        asyncio.run(_store(broker.port, events - events // 10))
        late = broker.rss
        growth = late / early
        rows = [
            Row(
                f"RSS from {events // 10:,} to {events:,} events",
                f"{late / MIB:.0f} MiB",
                f"{early / MIB:.0f} MiB",
                f"{growth:.2f}",
                "± 10 %",
                growth <= 1.10,
            )
        ]
        rows.append(asyncio.run(_stalled(broker)))
    return rows


async def _store(port: int, events: int) -> None:
    stored = 0
    while stored < events:
        outcome = await generate(f"http://127.0.0.1:{port}/v1/traces", seconds=2, connections=8, seed=stored + 1)
        stored += outcome.accepted


async def _stalled(broker: Broker) -> Row:
    fast = [asyncio.create_task(_drain(broker.port)) for _ in range(100)]
    await asyncio.sleep(0.5)
    # Enough to fill the ring of the stream that is read: what it holds is not the stalled reader's doing.
    await _store(broker.port, 200_000)
    without = broker.rss
    stalled = socket.create_connection(("127.0.0.1", broker.port))
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.sendall(b"GET /v1/events/stream?from=start HTTP/1.1\r\nHost: b\r\n\r\n")
    await _store(broker.port, 60_000)
    with_stalled = broker.rss
    stalled.close()
    for task in fast:
        task.cancel()
    await asyncio.gather(*fast, return_exceptions=True)
    share = with_stalled / without
    return Row(
        "RSS with a stalled reader beside 100 fast ones",
        f"{with_stalled / MIB:.0f} MiB",
        f"{without / MIB:.0f} MiB",
        f"{share:.2f}",
        "± 10 %",
        share <= 1.10,
    )


async def _drain(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/sessions/session-001/stream?from=now HTTP/1.1\r\nHost: b\r\n\r\n")
    while await reader.read(2**18):
        pass
    writer.close()
