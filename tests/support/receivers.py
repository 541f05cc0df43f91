"""Receivers of what the broker sends: real servers, to be stopped, slowed, and told what to answer."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.waiting import until


@dataclass(frozen=True)
class Received:
    """One request; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def traces(self) -> ExportTraceServiceRequest:
        zipped = self.headers.get("content-encoding") == "gzip"
        return ExportTraceServiceRequest.FromString(gzip.decompress(self.body) if zipped else self.body)

    @property
    def spans(self) -> list[Any]:
        """The spans in it, as protobuf."""
        return [span for group in self.traces.resource_spans for part in group.scope_spans for span in part.spans]


Answer = Callable[[Received], Response | Awaitable[Response]]


def fine(_received: Received) -> Response:
    return Response(status_code=200)


@dataclass
class Receiver:
    """What came, and what of it was taken (answered with 2xx)."""

    address: tuple[str, int]
    answer: Answer = fine
    received: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    @property
    def names(self) -> Counter[str]:
        """How often each span was taken, by its name."""
        return Counter(span.name for received in self.taken for span in received.spans)

    async def until_named(self, *names: str, timeout: float = 20) -> None:  # noqa: ASYNC109 - handed on to `until`
        """Wait until these spans were taken, each at least once."""

        async def there() -> bool:
            return set(names) <= self.names.keys()

        await until(there, timeout=timeout, what=f"spans {names}, not only {self.names}")

    async def until_taken(self, count: int) -> None:
        """Wait until so many requests were taken."""

        async def enough() -> bool:
            return len(self.taken) >= count

        await until(enough, what=f"{count} requests to be taken")

    async def until_received(self, count: int) -> None:
        """Wait until so many requests came."""

        async def enough() -> bool:
            return len(self.received) >= count

        await until(enough, what=f"{count} requests to come")

    async def handle(self, request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.url.path, headers, await request.body())
        self.received.append(received)
        found = self.answer(received)
        response = found if isinstance(found, Response) else await found
        if 200 <= response.status_code < 300:
            self.taken.append(received)
        return response


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[Receiver]:
    """The receiver answers inside the block; outside of it connections are refused."""
    app = Starlette(routes=[Route("/{rest:path}", receiver.handle, methods=["POST"])])
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    server = _Server(config)
    listener = socket.create_server(receiver.address, reuse_port=True)
    running = asyncio.create_task(server.serve(sockets=[listener]))

    async def started() -> bool:
        assert not running.done(), "it ended while it started"
        return server.started

    await until(started)
    try:
        yield receiver
    finally:
        server.should_exit = True
        await running
        listener.close()


@contextlib.contextmanager
def a_receiver() -> Iterator[Receiver]:
    """A receiver with a port of its own, at which nobody answers yet."""
    with socket.socket() as holder:
        # Bound and not listening: the port is taken, and connections to it are refused.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield Receiver(holder.getsockname())
