"""Fan-out of small events to many readers, against a bare ASGI app that writes the same bytes joined."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request

from bench.broker import Broker, directory, free_port
from bench.report import Row, ratio_row

READERS = 1_000
BURST = 50
EVENT_BYTES = 300
GOAL = 0.3


async def _read(port: int, path: str, left: list[int], ready: asyncio.Event, done: list[int]) -> None:
    """Count frames by their blank lines until `done[0]` frames came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    left[0] -= 1
    if left[0] == 0:
        ready.set()
    count, tail = 0, b""
    while count < done[0]:
        data = await reader.read(2**18)
        if not data:
            raise ConnectionError(f"the stream ended after {count} frames")
        # A frame of an event has an id; the greeting has none.
        data = tail + data
        count += data.count(b"\nid: ") + data.startswith(b"id: ")
        tail = data[-4:] if not data.endswith(b"\n\n") else b"\n"
    writer.close()


async def _race(port: int, path: str, bursts: int, post: str, body: bytes) -> float:
    """Events a second, all readers together, while `bursts` bursts are posted."""
    left, ready, done = [READERS], asyncio.Event(), [bursts * BURST]
    readers = []
    for _ in range(READERS):
        readers.append(asyncio.create_task(_read(port, path, left, ready, done)))
        if len(readers) % 100 == 0:
            await asyncio.sleep(0.05)
    await asyncio.wait_for(ready.wait(), 60)
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(bursts):
        content = body.replace(b"@BURST@", b"%06d" % number)
        writer.write(
            f"POST {post} HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        await reader.readexactly(length)
    await asyncio.wait_for(asyncio.gather(*readers), 120)
    seconds = time.perf_counter() - started
    writer.close()
    return READERS * bursts * BURST / seconds


def _body() -> bytes:
    filler = "x" * EVENT_BYTES
    events = [
        {"type": "bench", "id": f"@BURST@-{n}", "sessionId": "bench", "text": filler[: EVENT_BYTES - 200]}
        for n in range(BURST)
    ]
    return json.dumps(events).encode()


def _bare(bursts: int) -> float:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "bench.bare:app",
        "--port",
        str(port),
        "--log-level",
        "error",
        "--loop",
        "uvloop",
        "--http",
        "httptools",
    ]
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2):
                    break
            except OSError:
                time.sleep(0.05)
        return asyncio.run(_race(port, "/stream", bursts, "/burst", _frames()))
    finally:
        process.kill()
        process.wait(10)


def _frames() -> bytes:
    """What the broker writes for one burst, as it writes it."""
    event = json.dumps({"seq": 1, "id": "0" * 32, "type": "bench", "sessionId": "bench", "body": "x" * 100})
    frame = f"id: 1000000\ndata: {event.ljust(EVENT_BYTES)}\n\n"
    return (frame * BURST).encode()


def fanout(bursts: int) -> list[Row]:
    """One session with a thousand readers, on SQLite."""
    before = _bare(bursts)
    with directory() as path, Broker(f"sqlite:///{path}/broker.db") as broker:
        asyncio.run(
            _race(
                broker.port,
                "/v1/sessions/bench/stream?from=now",
                2,
                "/v1/events",
                _body().replace(b"@BURST@", b"warm@BURST@"),
            )
        )
        rate = asyncio.run(_race(broker.port, "/v1/sessions/bench/stream?from=now", bursts, "/v1/events", _body()))
    after = _bare(bursts)
    limit = (before + after) / 2
    what = f"fan-out to {READERS} readers, bursts of {BURST} (against bare ASGI)"
    return [ratio_row(what, rate, limit, "events/s", GOAL)]
