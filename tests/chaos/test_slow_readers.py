"""Readers that do not read: a cursor that is behind costs the others nothing, and loses nothing."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import psutil
import pytest

from tests.support.load import Load, load
from tests.support.process import StartBroker
from tests.support.stored import session_positions
from tests.support.streams import following

STALLED: Final = 30
KIB: Final = 2**10
MIB: Final = 2**20
_POSITION: Final = re.compile(rb"^id: (\d+)$", re.MULTILINE)


class RawReader:
    """A reader of a stream that reads only when told to."""

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        # HTTP/1.0: the body is not cut into chunks.
        self.socket.sendall(f"GET {path} HTTP/1.0\r\nHost: broker\r\n\r\n".encode())
        self.data = b""

    @property
    def positions(self) -> list[int]:
        """`id:` of every whole frame read so far."""
        return [int(found) for found in _POSITION.findall(self.data[: self.data.rfind(b"\n\n") + 2])]

    def read_until(self, position: int) -> None:
        """Read up to the frame with that position."""
        end = b"id: %d\n" % position
        found = bytearray(self.data)
        while (at := found.rfind(end, max(0, len(found) - MIB))) < 0 or found.find(b"\n\n", at) < 0:
            piece = self.socket.recv(65536)
            assert piece, "the stream ended"
            found += piece
        self.data = bytes(found)


@contextmanager
def raw_readers(count: int, port: int, path: str) -> Iterator[list[RawReader]]:
    """Open streams of which nothing is read."""
    with ExitStack() as stack:
        readers = [RawReader(port, path) for _ in range(count)]
        for reader in readers:
            stack.enter_context(reader.socket)
        yield readers


async def sip(readers: list[RawReader], load: Load) -> None:
    """A byte now and then, as long as the load runs."""
    while not load.finish:
        for reader in readers:
            reader.data += await asyncio.to_thread(reader.socket.recv, 1)
        await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_readers_that_do_not_read_cost_nothing_and_lose_nothing(
    start_broker: StartBroker, database_url: str
) -> None:
    broker = start_broker(database_url, ring_bytes="1MiB")
    path = "/v1/sessions/session-000/stream"
    process = psutil.Process(broker.pid)
    async with following(broker.url + path) as fast, load(broker.port, connections=1, sessions=1) as warm_up:
        await warm_up.until(1_000)
        warm_up.finish = True
        with raw_readers(STALLED, broker.port, path) as stalled, raw_readers(3, broker.port, path) as slow:
            async with load(broker.port, sessions=1) as sent:
                sipping = asyncio.create_task(sip(slow, sent))
                await sent.until(500)
                before = process.memory_info().rss
                await sent.until(4_500)
            grown = process.memory_info().rss - before
            expected = await session_positions(database_url, "session-000")
            await fast.until(lambda seen: len(seen.positions) >= len(expected))
            await sipping
            late = [*slow, *stalled[:3]]
            for reader in late:
                await asyncio.to_thread(reader.read_until, expected[-1])

    # Buffering for each of them would have taken far more.
    total = len(late[-1].data)
    assert grown < 40 * MIB < STALLED * total
    assert set(sent.statuses) == {200}
    assert fast.positions == expected
    for reader in late:
        assert reader.positions == expected
