"""The reader process: watchers of the four lists, and readers of single queries."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import Any

import orjson
import uvloop

from bench.ark.frames import frames
from bench.ark.plan import Plan, Query, chunk_key, event_key, message_key

#: Seconds without anything new after which what is missing will not come.
_SILENCE = 30.0


@dataclass
class Seen:
    """What one watcher got."""

    what: str
    frames: int = 0
    distinct: int = 0
    error: str = ""


@dataclass
class Watched:
    """What all readers got."""

    watchers: list[Seen] = field(default_factory=list)
    #: Readers of single queries: all of them, and those that got every chunk once, in order, and the end.
    readers: int = 0
    complete: int = 0
    #: What was wrong with the others, and how often.
    faults: Counter[str] = field(default_factory=Counter)
    cpu_seconds: float = 0.0


@dataclass
class _Expected:
    """Distinct things each watcher is to see, by its name; and how many readers are to finish."""

    distinct: dict[str, int]
    readers: int


class Watcher:
    """One watcher of one list: counts frames, and what is different in them."""

    def __init__(self, what: str, path: str, key: Callable[[Any], str]) -> None:
        self.seen = Seen(what)
        self._path = path
        self._key = key
        self._keys: set[str] = set()
        #: Called with each item, before it is counted.
        self.listener: Callable[[Any], None] | None = None

    @property
    def distinct(self) -> int:
        """How many different things came."""
        return len(self._keys)

    async def run(self, port: int, connected: Callable[[], None]) -> None:
        """Until it is cancelled or the stream ends."""
        async for batch in frames(port, self._path, connected):
            for data in batch:
                self.take(orjson.loads(data))

    def take(self, item: Any) -> None:
        """One frame."""
        if self.listener is not None:
            self.listener(item)
        self.seen.frames += 1
        key = self._key(item)
        if key != "[DONE]":
            self._keys.add(key)


class SessionWatcher(Watcher):
    """A watcher of sessions: what counts is the last state of each, in queries that are done."""

    def __init__(self) -> None:
        super().__init__("sessions", "/sessions?watch=true", str)
        self._done: dict[str, int] = {}

    @property
    def distinct(self) -> int:
        return sum(self._done.values())

    def take(self, item: Any) -> None:
        self.seen.frames += 1
        self._done[item["sessionId"]] = sum(query["phase"] == "done" for query in item["session"]["queries"].values())


class Readers:
    """Readers of single queries. Half of them come while the query runs, half before it has begun."""

    def __init__(self, plan: Plan, port: int, watched: Watched) -> None:
        self._plan = plan
        self._port = port
        self._watched = watched
        self._opened: set[int] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self.finished = 0

    def started(self, event: Any) -> None:
        """An event was seen. The start of a query opens its reader, or that of one that begins soon."""
        if event["reason"] == "QueryExecutionStart":
            number = int(event["data"]["queryName"].rpartition("-")[2])
            # Even ones among the sampled come early; what is beyond the concurrency has not begun yet.
            for candidate in (number, number + self._plan.concurrency):
                early = candidate != number
                if candidate % self._plan.sample == 0 and (candidate // self._plan.sample) % 2 == (0 if early else 1):
                    self._open(candidate)

    def open_first(self) -> None:
        """Those that come early for the queries with which the run begins."""
        for number in self._plan.sampled[::2]:
            if number < self._plan.concurrency:
                self._open(number)

    def _open(self, number: int) -> None:
        if number < self._plan.queries and number not in self._opened:
            self._opened.add(number)
            self._tasks.append(asyncio.create_task(self._read(Query(self._plan, number))))

    async def _read(self, query: Query) -> None:
        fault = ""
        try:
            found = [
                data
                async for batch in frames(self._port, f"/stream/{query.name}?from-beginning=true")
                for data in batch
            ]
            fault = self._fault(query, found)
        except (OSError, asyncio.IncompleteReadError) as error:
            fault = f"no answer: {error}"
        except asyncio.CancelledError:
            fault = "never ended"
        self.finished += 1
        self._watched.complete += not fault
        if fault:
            self._watched.faults[fault] += 1

    def _fault(self, query: Query, found: list[bytes]) -> str:
        if not found or found[-1] != b"[DONE]":
            return "ended without [DONE]"
        expected = [chunk_key(orjson.loads(query.line(number))) for number in range(self._plan.lines)]
        keys = [chunk_key(orjson.loads(data)) for data in found[:-1]]
        if keys == expected:
            return ""
        if len(set(keys)) < len(keys):
            return "the same chunk twice"
        if set(keys) == set(expected):
            return "chunks out of order"
        return f"{len(expected) - len(keys)} of {len(expected)} chunks missing"

    async def close(self) -> None:
        """End those that still wait; they are at fault."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks)
        self._watched.readers = len(self._opened)


async def _watch(plan: Plan, port: int, pipe: Pipe) -> None:
    watched = Watched()
    watchers = [watcher for _ in range(plan.watchers) for watcher in _one_of_each()]
    readers = Readers(plan, port, watched)
    watchers[0].listener = readers.started
    tasks = await _connect(watchers, port)
    readers.open_first()
    pipe.send("ready")
    expected = await asyncio.to_thread(pipe.recv)
    await _until_seen(watchers, readers, expected)
    # What comes twice may come a little later.
    await asyncio.sleep(1)
    await readers.close()
    for watcher, task in zip(watchers, tasks, strict=True):
        watcher.seen.distinct = watcher.distinct
        watcher.seen.error = repr(task.exception()) if task.done() and task.exception() else ""
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    watched.watchers = [watcher.seen for watcher in watchers]
    watched.cpu_seconds = time.process_time()
    pipe.send(watched)


def _one_of_each() -> list[Watcher]:
    return [
        Watcher("events", "/events?watch=true", event_key),
        Watcher("messages", "/messages?watch=true", message_key),
        Watcher("lines", "/stream?watch=true", chunk_key),
        SessionWatcher(),
    ]


async def _connect(watchers: list[Watcher], port: int) -> list[asyncio.Task[None]]:
    ready = [asyncio.Event() for _ in watchers]
    tasks = [asyncio.create_task(watcher.run(port, event.set)) for watcher, event in zip(watchers, ready, strict=True)]
    deadline = time.monotonic() + 30
    while not all(event.is_set() for event in ready):
        await asyncio.wait(tasks, timeout=0.05)
        if time.monotonic() < deadline and not any(task.done() for task in tasks):
            continue
        failures = [repr(task.exception()) for task in tasks if task.done()]
        raise ConnectionError(f"watchers could not connect: {'; '.join(failures) or 'no first byte'}")
    return tasks


async def _until_seen(watchers: list[Watcher], readers: Readers, expected: _Expected) -> None:
    """Wait until everything is there, or nothing new came for long."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < _SILENCE:
        missing = any(watcher.distinct < expected.distinct[watcher.seen.what] for watcher in watchers)
        if not missing and readers.finished >= expected.readers:
            return
        count = sum(watcher.distinct for watcher in watchers) + readers.finished
        if count != last:
            last, since = count, time.monotonic()
        await asyncio.sleep(0.1)


def expected(accepted: Counter[str], plan: Plan) -> _Expected:
    """What readers are to see of what was accepted."""
    distinct = {"sessions": plan.queries, **{name: accepted[name] for name in ("events", "messages", "lines")}}
    return _Expected(distinct, len(plan.sampled))


def watch(plan: Plan, port: int, pipe: Pipe) -> None:
    """Body of the process: sends "ready", takes what to expect when the emitter is done, sends `Watched`."""
    uvloop.run(_watch(plan, port, pipe))
