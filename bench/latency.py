"""One chunk posted → the same chunk at every reader: 100 readers, 500 chunks a second, on PostgreSQL."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import cast

import uvloop

from bench.broker import Broker, postgres
from bench.raw import bare_commit_seconds
from bench.report import Row

READERS = 100
RATE = 500


class _Reader(asyncio.Protocol):
    """Notes when each chunk came. A protocol, not a stream: it costs little more than the kernel does."""

    def __init__(self, query: str, found: list[float], connected: Callable[[], None]) -> None:
        self._query = query
        self._found = found
        self._connected = connected
        self._rest = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(f"GET /stream/{self._query} HTTP/1.1\r\nHost: b\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        data = self._rest + data
        if b": connected" in data:
            self._connected()
        parts = data.split(b'"sent":')
        for part in parts[1:-1]:
            self._found.append(now - float(part[: part.index(b"}")]))
        last = parts[-1]
        if len(parts) > 1 and (end := last.find(b"}")) >= 0:
            self._found.append(now - float(last[:end]))
            self._rest = b""
        else:
            self._rest = b'"sent":' + last if len(parts) > 1 else last[-7:]
        if b"[DONE]" in data and not self.done.done():
            self.done.set_result(None)


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

    def connected() -> None:
        left[0] -= 1
        if left[0] == 0:
            ready.set()

    loop = asyncio.get_running_loop()
    readers = []
    for _ in range(READERS):
        _, reader = await loop.create_connection(lambda: _Reader("latency", found, connected), "127.0.0.1", port)
        readers.append(reader)
    await asyncio.wait_for(ready.wait(), 30)
    await _post(port, "latency", seconds)
    await asyncio.wait_for(asyncio.gather(*(reader.done for reader in readers)), 60)
    return found


def latency(seconds: float) -> list[Row]:
    """p50 and p99 over all readers, beside a bare commit of the same server."""
    with postgres() as url, Broker(url) as broker:
        uvloop.run(_run(broker.port, min(2.0, seconds)))
        found = sorted(uvloop.run(_run(broker.port, seconds)))
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
