"""The emitter process: `concurrency` queries at a time, each as a controller and an executor send it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import Any

import orjson
import uvloop

from bench.ark.http import END, Connection, Pool, open_post, part
from bench.ark.plan import EVENTS, Plan, Query

#: Events that wait for their answer at once, in one process. A controller drops what comes on top; here it waits.
IN_FLIGHT = 64
#: Seconds after which a controller gives an event up.
EVENT_TIMEOUT = 5.0
#: Seconds between a completion and the last bytes of a stream that straggles.
_LATE = 0.05


@dataclass
class Emitted:
    """What was sent, and what the broker answered. Names are those of the routes."""

    sent: Counter[str] = field(default_factory=Counter)
    #: Events, messages, lines and completions that were acknowledged with a 2xx.
    accepted: Counter[str] = field(default_factory=Counter)
    #: "route status" of every other answer; status 0 where none came.
    refused: Counter[str] = field(default_factory=Counter)
    #: Seconds until each event was answered.
    latencies: list[float] = field(default_factory=list)
    #: Events that found `IN_FLIGHT` others outstanding: a controller would have dropped these.
    waited: int = 0
    #: Completions that were answered before the stream's own POST was.
    early_completions: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Emitter:
    """Sends the plan's queries and keeps count."""

    def __init__(self, plan: Plan, port: int) -> None:
        self._plan = plan
        self._pool = Pool(port)
        self._gate = asyncio.Semaphore(IN_FLIGHT)
        self.counts = Emitted()
        self.finished = 0

    async def run(self) -> Emitted:
        """All queries. They begin spread over one query's life, and then as others end."""
        started = time.perf_counter()
        numbers = iter(range(self._plan.queries))

        async def worker(place: int) -> None:
            await asyncio.sleep(self._plan.life * place / self._plan.concurrency)
            for number in numbers:
                await self._query(Query(self._plan, number))
                self.finished += 1

        await asyncio.gather(*(worker(place) for place in range(self._plan.concurrency)))
        self._pool.close()
        self.counts.seconds = time.perf_counter() - started
        self.counts.cpu_seconds = time.process_time()
        return self.counts

    async def _query(self, query: Query) -> None:
        background: list[asyncio.Task[None]] = []
        started = time.perf_counter()
        lines = self._plan.lines
        during = {lines * share // 30: place for share, place in ((9, 3), (10, 4), (15, 5), (16, 6))}
        await self._event(query, 0, background)
        await self._messages(query, first=True)
        for place in (1, 2):
            await self._event(query, place, background)
        stream = await self._open(query)
        for number in range(lines - 1):
            self._line(stream, query, number)
            if number in during:
                await self._event(query, during[number], background)
            due = started + self._plan.life * (number + 1) / lines
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        for place in (7, 8, 9):
            await self._event(query, place, background)
        await self._messages(query, first=False)
        await self._event(query, 10, background)
        # The body ends, and the completion goes out at once: its answer may come before the stream's own.
        rest = self._last_line(stream, query)
        answered = asyncio.create_task(self._end(stream, rest))
        await self._complete(query)
        self.counts.early_completions += not answered.done()
        await self._event(query, len(EVENTS) - 1, background)
        await asyncio.gather(answered, *background)

    # -- events: nobody waits for their answers

    async def _event(self, query: Query, place: int, background: list[asyncio.Task[None]]) -> None:
        if self._gate.locked():
            self.counts.waited += 1
        await self._gate.acquire()
        background.append(asyncio.create_task(self._post_event(query.event(place))))

    async def _post_event(self, body: bytes) -> None:
        sent = time.perf_counter()
        try:
            await self._post("events", "/events", body, 1)
        finally:
            self._gate.release()
        self.counts.latencies.append(time.perf_counter() - sent)

    # -- messages and completions

    async def _messages(self, query: Query, *, first: bool) -> None:
        await self._post("messages", "/messages", query.messages(first), 1 if first else 3)

    async def _complete(self, query: Query) -> None:
        await self._post("completions", f"/stream/{query.name}/complete", b"{}", 1)

    async def _post(self, route: str, path: str, body: bytes, worth: int) -> None:
        self.counts.sent[route] += worth
        status, _ = await self._answered(self._pool.post(path, body))
        self._note(route, status, worth)

    # -- the stream

    async def _open(self, query: Query) -> Connection:
        stream = await self._pool.take()
        stream.begin(open_post(f"/stream/{query.name}"))
        return stream

    def _line(self, stream: Connection, query: Query, number: int) -> None:
        self.counts.sent["lines"] += 1
        self._send(stream, query.line(number))

    def _send(self, stream: Connection, data: bytes) -> None:
        try:
            stream.send(part(data))
        except ConnectionError:
            self.counts.refused["lines 0"] += 1

    def _last_line(self, stream: Connection, query: Query) -> bytes:
        """Send the last line. Of a straggling one half of it is left, and returned."""
        self.counts.sent["lines"] += 1
        line = query.line(self._plan.lines - 1)
        kept = len(line) // 2 if self._plan.straggles(query.number) else 0
        self._send(stream, line[: len(line) - kept])
        return line[len(line) - kept :]

    async def _end(self, stream: Connection, rest: bytes) -> None:
        if rest:
            await asyncio.sleep(_LATE)
            self._send(stream, rest)
        status, body = await self._answered(self._finish(stream))
        worth = orjson.loads(body)["chunks_received"] if status == 200 else 0
        self._note("lines", status, worth)
        if stream.open:
            self._pool.give_back(stream)

    @staticmethod
    async def _finish(stream: Connection) -> tuple[int, bytes]:
        stream.send(END)
        return await stream.answer()

    # -- counting

    @staticmethod
    async def _answered(request: Coroutine[Any, Any, tuple[int, bytes]]) -> tuple[int, bytes]:
        try:
            return await request
        except (OSError, TimeoutError):
            return 0, b""

    def _note(self, route: str, status: int, worth: int) -> None:
        if 200 <= status < 300:
            self.counts.accepted[route] += worth
        else:
            self.counts.refused[f"{route} {status}"] += 1


async def _emit(plan: Plan, port: int, pipe: Pipe) -> None:
    emitter = Emitter(plan, port)
    run = asyncio.create_task(emitter.run())
    while not run.done():
        await asyncio.wait([run], timeout=5)
        pipe.send(emitter.finished)
    pipe.send(run.result())


def emit(plan: Plan, port: int, pipe: Pipe) -> None:
    """Body of the process: sends the number of finished queries every five seconds, `Emitted` at the end."""
    uvloop.run(_emit(plan, port, pipe))
