"""HTTP/1.1 by hand over kept-alive connections: two cores are shared with the broker, so a client must cost little."""

from __future__ import annotations

import asyncio
from typing import cast

#: A request that nobody answers within this many seconds failed.
PATIENCE = 60.0


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("closed before the answer"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._received) < end + 4 + length:
            return
        body = self._received[end + 4 : end + 4 + length]
        self._received = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((int(head[9:12]), body))

    # -- for the benchmark

    @property
    def open(self) -> bool:
        """True where another request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def begin(self, data: bytes) -> None:
        """Send a request, or the first part of one whose rest `send` brings."""
        self._answer = asyncio.get_running_loop().create_future()
        self.send(data)

    def send(self, data: bytes) -> None:
        """More of the request that was begun. Raises ConnectionError where the server has gone away."""
        if self._transport is None:
            raise ConnectionError("closed before the request was sent")
        self._transport.write(data)

    async def answer(self) -> tuple[int, bytes]:
        """(status, body) of the request that was begun. Raises ConnectionError, TimeoutError."""
        assert self._answer is not None
        return await asyncio.wait_for(self._answer, PATIENCE)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class Pool:
    """Connections to one server that are used again, the most recent first."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def take(self) -> Connection:
        """One that is idle, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self._port)
        return connection

    def give_back(self, connection: Connection) -> None:
        """After its answer has come."""
        self._idle.append(connection)

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """(status, body) of the answer. Raises OSError where there is none."""
        connection = await self.take()
        connection.begin(post(path, body))
        try:
            found = await connection.answer()
        except OSError:
            connection.close()
            raise
        self.give_back(connection)
        return found

    def close(self) -> None:
        """Hang up on all that are idle."""
        for connection in self._idle:
            connection.close()


def post(path: str, body: bytes) -> bytes:
    """A whole JSON request."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def open_post(path: str) -> bytes:
    """The head of a request whose lines follow as they are made."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: b\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()


def part(data: bytes) -> bytes:
    """One piece of such a request."""
    return b"%x\r\n%s\r\n" % (len(data), data)


#: Its end.
END = b"0\r\n\r\n"
