"""Load for a broker: OTLP batches over several connections, each sent again until it is acknowledged."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.spans import Batches
from tests.support.waiting import until

#: Seconds between two tries of the same batch.
_RETRY_SECONDS = 0.02


def span_keys(body: bytes) -> list[bytes]:
    """Trace id and span id of every span in an `ExportTraceServiceRequest`."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        span.trace_id + span.span_id
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().rstrip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(first.split()[1]), headers, content)


class Connection:
    """One kept-alive HTTP connection that posts OTLP; opened when needed, and again after it broke."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, body: bytes) -> None:
        """Write the request and wait until all of it left this process. Raises OSError."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        _, writer = self._streams
        writer.write(
            b"POST /v1/traces HTTP/1.1\r\nHost: broker\r\nContent-Type: application/x-protobuf\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        writer.write(body)
        await writer.drain()

    async def post(self, body: bytes) -> Answer:
        """Send, and read the answer. Raises OSError or IncompleteReadError where the connection breaks."""
        await self.send(body)
        assert self._streams is not None
        answer = await _read_answer(self._streams[0])
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    def close(self) -> None:
        """Cut it; the next request opens a new one."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


@dataclass
class Load:
    """What was sent, and what became of it."""

    sent: set[bytes] = field(default_factory=set)
    acknowledged: set[bytes] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    refusals: list[Answer] = field(default_factory=list)
    broken: int = 0
    #: Set it, and every connection ends after its present batch was acknowledged.
    finish: bool = False

    async def until(self, count: int) -> None:
        """Wait until `count` spans were acknowledged."""

        async def enough() -> bool:
            return len(self.acknowledged) >= count

        await until(enough, timeout=60, what=f"{count} spans to be acknowledged")

    async def until_refused(self, count: int) -> None:
        """Wait until `count` requests were refused, since the beginning."""

        async def enough() -> bool:
            return len(self.refusals) >= count

        await until(enough, timeout=60, what=f"{count} requests to be refused")

    async def post_until_acknowledged(self, connection: Connection, body: bytes) -> None:
        """What every OTLP exporter does: send the same bytes again until they are taken."""
        keys = span_keys(body)
        self.sent.update(keys)
        while True:
            try:
                answer = await connection.post(body)
            except (OSError, asyncio.IncompleteReadError):
                self.broken += 1
                connection.close()
            else:
                self.statuses[answer.status] += 1
                if answer.status == 200:
                    self.acknowledged.update(keys)
                    return
                self.refusals.append(answer)
            await asyncio.sleep(_RETRY_SECONDS)

    async def run(self, port: int, seed: int, spans: int, sessions: int) -> None:
        """One connection's part, until `finish`."""
        connection = Connection(port)
        batches = Batches(spans, templates=sessions, sessions=sessions, seed=seed)
        try:
            while not self.finish:
                await self.post_until_acknowledged(connection, next(batches))
        finally:
            connection.close()


@asynccontextmanager
async def load(*ports: int, connections: int = 4, spans: int = 20, sessions: int = 4) -> AsyncIterator[Load]:
    """Runs load on the ports (in turns) inside the block; afterwards everything sent was acknowledged.

    The spans name the sessions `session-000`, `session-001`, … in turns.
    """
    running = Load()
    tasks = [
        asyncio.create_task(running.run(ports[number % len(ports)], seed=number, spans=spans, sessions=sessions))
        for number in range(connections)
    ]
    try:
        yield running
        running.finish = True
        await asyncio.wait_for(asyncio.gather(*tasks), 60)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Producer:
    """A chunk producer that keeps a single `POST /stream/{query}` open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def post(self, line: str) -> None:
        """One more line of NDJSON, sent now."""
        data = line.encode() + b"\n"
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()

    async def finish(self) -> Answer:
        """End the request and read the answer."""
        self._writer.write(b"0\r\n\r\n")
        return await asyncio.wait_for(_read_answer(self._reader), 30)


@asynccontextmanager
async def producing(port: int, query: str) -> AsyncIterator[Producer]:
    """A producer inside the block; leaving it without `finish` cuts the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST /stream/{query} HTTP/1.1\r\nHost: broker\r\nContent-Type: application/x-ndjson\r\n"
        "Transfer-Encoding: chunked\r\n\r\n".encode()
    )
    try:
        yield Producer(reader, writer)
    finally:
        writer.transport.abort()
