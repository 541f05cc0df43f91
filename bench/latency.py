"""One chunk posted → the same chunk at every reader: 100 readers, 500 chunks a second, on PostgreSQL."""

from __future__ import annotations

import asyncio
import statistics
import time

from bench.broker import Broker, postgres
from bench.raw import bare_commit_seconds
from bench.report import Row

READERS = 100
RATE = 500


async def _reader(port: int, query: str, found: list[float], ready: asyncio.Event, left: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(f"GET /stream/{query} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
    await reader.readuntil(b": connected\n\n")
    left[0] -= 1
    if left[0] == 0:
        ready.set()
    marker = b'"sent":'
    while True:
        data = await reader.readuntil(b"\n\n")
        now = time.perf_counter()
        if b"[DONE]" in data:
            break
        at = data.find(marker)
        if at >= 0:
            found.append(now - float(data[at + len(marker) : data.index(b"}", at)]))
    writer.close()


async def _post(port: int, query: str, seconds: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST /stream/{query} HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: application/x-ndjson\r\n\r\n".encode()
    )
    start = time.perf_counter()
    for number in range(int(seconds * RATE)):
        due = start + number / RATE
        delay = due - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        line = (
            b'{"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"token"}}],'
            b'"sent":%.9f}\n' % time.perf_counter()
        )
        writer.write(b"%x\r\n%s\r\n" % (len(line), line))
    writer.write(b"0\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.write(f"POST /stream/{query}/complete HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n".encode())
    await reader.readuntil(b'"completed"')
    writer.close()


async def _run(port: int, seconds: float) -> list[float]:
    found: list[float] = []
    ready, left = asyncio.Event(), [READERS]
    readers = [asyncio.create_task(_reader(port, "latency", found, ready, left)) for _ in range(READERS)]
    await ready.wait()
    await _post(port, "latency", seconds)
    await asyncio.wait_for(asyncio.gather(*readers), 60)
    return found


def latency(seconds: float) -> list[Row]:
    """p50 and p99 over all readers, beside a bare commit of the same server."""
    with postgres() as url, Broker(url) as broker:
        asyncio.run(_run(broker.port, min(2.0, seconds)))
        found = sorted(asyncio.run(_run(broker.port, seconds)))
        commits = sorted(asyncio.run(bare_commit_seconds(url)))
    expected = READERS * int(seconds * RATE)
    complete = len(found) == expected
    p50, p99 = statistics.median(found) * 1000, found[int(len(found) * 0.99)] * 1000
    bare50, bare99 = statistics.median(commits) * 1000, commits[int(len(commits) * 0.99)] * 1000
    note = "" if complete else f" ({len(found)} of {expected} seen)"
    return [
        Row(
            f"chunk → {READERS} readers, p50{note}",
            f"{p50:.1f} ms",
            f"bare commit {bare50:.2f} ms",
            f"{p50 / bare50:.1f}×",
            "≤ 10 ms",
            p50 <= 10 and complete,
        ),
        Row(
            f"chunk → {READERS} readers, p99{note}",
            f"{p99:.1f} ms",
            f"bare commit {bare99:.2f} ms",
            f"{p99 / bare99:.1f}×",
            "≤ 40 ms",
            p99 <= 40 and complete,
        ),
    ]
