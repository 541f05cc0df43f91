"""The one task of a process that writes: it commits whatever is waiting, together (group commit).

    append() ──► queue, bounded in bytes ──► writer task ──► transaction ──► answers + tail

A request is answered after the transaction with its events has committed. Where the database cannot serve,
every request of the batch is refused, to be retried; where one event cannot be stored, the batch is split
until that event is alone, and it is the only one refused.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Select, delete, select

from ark_broker.log.adopt import adopt
from ark_broker.log.database import Database, is_unavailable
from ark_broker.log.memory import Memory
from ark_broker.log.tables import GONE, links, sessions
from ark_broker.log.transaction import Commit, Transaction
from ark_broker.model import Event
from ark_broker.model.errors import LogUnavailable, NotFound, Overloaded
from ark_broker.model.vocabulary import LINK_CREATED, LINK_DELETED, SESSION_DELETED, TRACE_PREFIX

_log = structlog.get_logger(__name__)
_Result = TypeVar("_Result")

#: Memory that an Event takes beside its body, roughly.
EVENT_OVERHEAD: Final = 700


#: Seconds to wait before trying again, by how long the database has been away.
_RETRY_AFTER_FIRST: Final = 1
_RETRY_AFTER_LONGEST: Final = 4


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of one request's events. `stored + duplicates + len(refused)` is how many it had."""

    stored: int
    duplicates: int = 0
    #: Index in the request, and why the database would not take that event.
    refused: tuple[tuple[int, str], ...] = ()


@dataclass(slots=True)
class WriterStats:
    """Counters for `/metrics`."""

    commits: int = 0
    stored: int = 0
    duplicates: int = 0
    refused: int = 0
    failures: int = 0
    observe_commit: Callable[[float], None] = lambda _seconds: None
    observe_failure: Callable[[], None] = lambda: None


@dataclass(slots=True, eq=False)
class _Request:
    events: Sequence[Event]
    size: int
    answer: asyncio.Future[Appended]
    fresh: bool = False
    stored: int = 0
    duplicates: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)

    def finish(self) -> None:
        if not self.answer.done():
            self.answer.set_result(Appended(self.stored, self.duplicates, tuple(self.refused)))

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


#: An event's place: its request, and its index there. Made for every event, so it is no more than a tuple.
_Item = tuple[_Request, int]


@dataclass(slots=True, eq=False)
class _Operation:
    """Something else than an append that needs the head's lock: a deletion, a sweep."""

    run: Callable[[Transaction], Awaitable[list[Event]]]
    answer: asyncio.Future[Commit]


class Writer:
    """Appends to the log. One a process; any number of processes on one database."""

    def __init__(
        self,
        database: Database,
        publish: Callable[[Commit], None],
        *,
        queue_bytes: int,
        commit_max_events: int = 2_000,
        apart: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._database = database
        self._publish = publish
        self._queue_bytes = queue_bytes
        self._commit_max = commit_max_events
        self._apart = apart
        self._clock = clock
        self._queue: deque[_Request | _Operation] = deque()
        self._memory = Memory()
        self._work = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._failing_since: float | None = None
        self.queued_bytes = 0
        self.stats = WriterStats()

    # -- for the rest of the process ---------------------------------------------------------------

    def start(self) -> None:
        """Start the writer task on the running loop."""
        self._task = asyncio.create_task(self._run(), name="log-writer")

    @property
    def alive(self) -> bool:
        """True while the task runs."""
        return self._task is not None and not self._task.done()

    async def close(self) -> None:
        """Commit what is queued, then stop."""
        self._closing = True
        self._work.set()
        if self._task is not None:
            await self._task

    async def append(self, events: Sequence[Event], *, fresh: bool = False) -> Appended:
        """Commit `events`, in their order. Returns once they are durable.

        `fresh`: their ids were made just now, by chance; nobody else can have stored them.

        Raises Overloaded where the queue has no room, LogUnavailable where the database did not commit. A
        request larger than one commit is stored in several; after an error some of it may be there, and
        a retry stores the rest, for an id is stored once.
        """
        if not events:
            return Appended(0)
        if self._closing:
            raise Overloaded("the broker is shutting down")
        size = sum(len(event.body) for event in events) + EVENT_OVERHEAD * len(events)
        if self.queued_bytes and self.queued_bytes + size > self._queue_bytes:
            raise Overloaded("the queue of events waiting to be stored is full")
        loop = asyncio.get_running_loop()
        parts = []
        for start in range(0, len(events), self._commit_max):
            part = events[start : start + self._commit_max]
            parts.append(_Request(part, size * len(part) // len(events), loop.create_future(), fresh))
        for request in parts:
            self.queued_bytes += request.size
            self._queue.append(request)
        self._work.set()
        if len(parts) == 1:
            return await parts[0].answer
        results = await asyncio.gather(*(request.answer for request in parts), return_exceptions=True)
        return _joined(results, self._commit_max)

    async def delete_session(self, session_id: str) -> Commit:
        """Take the session out of every view, and leave a `session.deleted` event at that position.

        The rows of its events are removed afterwards, outside this transaction (`maintenance`). Raises NotFound.
        """
        return await self.operate(lambda transaction: _delete_session(transaction, session_id))

    async def create_links(self, keys: Sequence[str], session_id: str, query: str | None) -> Commit:
        """Say where the keys belong: from here on, and for events that are under them by a guess, or wait there.

        Leaves a `link.created` event. Raises Conflict where a session is too large to be taken apart.
        """
        return await self.operate(lambda transaction: _create_links(transaction, keys, session_id, query))

    async def delete_link(self, key: str) -> Commit:
        """Forget where the key belongs: what comes is not placed by it; what was placed stays.

        Leaves a `link.deleted` event. Raises NotFound.
        """
        return await self.operate(lambda transaction: _delete_link(transaction, key))

    async def decide_quiet_traces(self, quiet_since: int, limit: int = 500) -> Commit:
        """Give traces that named no session, and are quiet since `quiet_since` (ns), a session of their own."""

        async def decide(transaction: Transaction) -> list[Event]:
            rows = await transaction.connection.execute(quiet_traces(quiet_since, limit))
            keys = list(rows.scalars())
            await transaction.memory.load_links(transaction.connection, keys)
            for key in keys:
                transaction.correlator.decide_trace(key.removeprefix(TRACE_PREFIX))
            return []

        return await self.operate(decide)

    async def operate(self, run: Callable[[Transaction], Awaitable[list[Event]]]) -> Commit:
        """Run `run` in a transaction of its own, in turn with the appends; what it returns are the events it added.

        Raises Overloaded while shutting down, LogUnavailable, and what `run` raises.
        """
        if self._closing:
            raise Overloaded("the broker is shutting down")
        operation = _Operation(run, asyncio.get_running_loop().create_future())
        self._queue.append(operation)
        self._work.set()
        return await operation.answer

    # -- the task ----------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._queue:
                first = self._queue[0]
                if isinstance(first, _Operation):
                    self._queue.popleft()
                    await self._run_operation(first)
                else:
                    await self._run_batch(self._take())
            if self._closing:
                return

    def _take(self) -> list[_Request]:
        """The requests that go into the next commit."""
        taken: list[_Request] = []
        count = 0
        while self._queue:
            request = self._queue[0]
            if isinstance(request, _Operation) or (taken and count + len(request.events) > self._commit_max):
                break
            self._queue.popleft()
            taken.append(request)
            count += len(request.events)
        return taken

    async def _run_batch(self, requests: list[_Request]) -> None:
        items = [(request, index) for request in requests for index in range(len(request.events))]
        try:
            await self._store(items)
        except Exception as error:  # noqa: BLE001 - whatever it was, the requests are told and the task goes on
            self.stats.failures += 1
            self.stats.observe_failure()
            if not is_unavailable(error):
                _log.exception("commit failed", events=len(items))
            else:
                _log.warning("database unavailable", error=_first_line(error), events=len(items))
            refusal = LogUnavailable(
                "the database did not commit; nothing was lost that was acknowledged", self._retry_after()
            )
            for request in requests:
                request.fail(refusal)
        finally:
            for request in requests:
                self.queued_bytes -= request.size
                request.finish()

    def _retry_after(self) -> int:
        """Seconds until the next try is worth it.

        OpenTelemetry's SDKs try a batch six times within ten seconds, and then drop it. So a longer outage asks for
        longer pauses, lest they spend their tries too soon, yet never for one that their ten seconds cannot hold twice.
        """
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        away = now - self._failing_since
        if away < 1:
            return _RETRY_AFTER_FIRST
        return min(_RETRY_AFTER_LONGEST, max(2, math.ceil(away / 2)))

    async def _store(self, items: Sequence[_Item]) -> None:
        """Commit the items; where one of them cannot be stored, all but that one."""
        batch = [request.events[index] for request, index in items]
        said = [(event.session_id, event.query, event.correlated_by, event.time) for event in batch]
        try:
            fresh = all(request.fresh for request, _ in items)
            commit = await self._transact(lambda transaction: transaction.append(batch, fresh=fresh))
        except Exception as error:
            if is_unavailable(error):
                raise
            if len(items) == 1:
                self._refuse(items[0], error)
                return
            # What the failed transaction's correlation wrote on the events is undone.
            for event, (session_id, query, rule, time_) in zip(batch, said, strict=True):
                event.session_id, event.query, event.correlated_by, event.time = session_id, query, rule, time_
            middle = len(items) // 2
            for half in (items[:middle], items[middle:]):
                await self._store(half)
            return
        self._count(items, commit)

    def _refuse(self, item: _Item, error: Exception) -> None:
        self.stats.refused += 1
        _log.warning("event refused by the database", error=_first_line(error))
        request, index = item
        request.refused.append((index, "the database cannot hold this event"))

    def _count(self, items: Sequence[_Item], commit: Commit) -> None:
        duplicates = len(items) - len(commit.stored)
        self.stats.stored += len(commit.stored)
        self.stats.duplicates += duplicates
        if duplicates == 0:
            for request, _ in items:
                request.stored += 1
            return
        new = {id(event) for event in commit.stored}
        for request, index in items:
            if id(request.events[index]) in new:
                request.stored += 1
            else:
                request.duplicates += 1

    async def _run_operation(self, operation: _Operation) -> None:
        try:
            commit = await self._transact(operation.run)
        except Exception as error:  # noqa: BLE001 - handed to whoever asked for the operation
            failure = LogUnavailable("the database did not commit") if is_unavailable(error) else error
            if not operation.answer.done():
                operation.answer.set_exception(failure)
        else:
            if not operation.answer.done():
                operation.answer.set_result(commit)

    async def _transact(self, work: Callable[[Transaction], Awaitable[list[Event]]]) -> Commit:
        started = time.perf_counter()
        try:
            async with self._database.writer.begin() as connection:
                transaction = Transaction(
                    connection, self._database.dialect, self._memory, self._clock(), apart=self._apart
                )
                await transaction.begin()
                stored = await work(transaction)
                adopted = await adopt(transaction)
                await transaction.finish()
        except BaseException:
            self._memory.forget()
            raise
        self._failing_since = None
        commit = Commit(transaction.prior, transaction.head, stored, adopted)
        self.stats.commits += 1
        self.stats.observe_commit(time.perf_counter() - started)
        self._publish(commit)
        return commit


async def _delete_session(transaction: Transaction, session_id: str) -> list[Event]:
    found = await transaction.connection.execute(
        select(sessions.c.id).where(sessions.c.id == session_id, sessions.c.status != GONE)
    )
    if found.scalar_one_or_none() is None:
        raise NotFound(f"no session {session_id!r}")
    await transaction.connection.execute(delete(links).where(links.c.session_id == session_id))
    transaction.memory.forget_links()
    await transaction.memory.load_sessions(transaction.connection, [session_id])
    owner = transaction.memory.owner_of(session_id)
    tombstone = await transaction.tombstone(SESSION_DELETED, session_id, {}, namespace=owner)
    await transaction.drop_session(session_id)
    return [tombstone]


async def _create_links(
    transaction: Transaction, keys: Sequence[str], session_id: str, query: str | None
) -> list[Event]:
    await transaction.memory.load_links(transaction.connection, keys)
    for key in keys:
        transaction.correlator.decree(key, session_id, query)
    content = {"keys": list(keys), "session": session_id, "query": query}
    return [await transaction.note(LINK_CREATED, session_id, content)]


async def _delete_link(transaction: Transaction, key: str) -> list[Event]:
    await transaction.memory.load_links(transaction.connection, [key])
    link = transaction.memory.links.pop(key, None)
    if link is None or link.session_id is None:
        # Events may wait under one that names no session yet.
        raise NotFound(f"no link to a session under {key!r}")
    transaction.memory.forget_link(key)
    await transaction.connection.execute(delete(links).where(links.c.key == key))
    content = {"keys": [key], "session": link.session_id, "query": link.query}
    return [await transaction.note(LINK_DELETED, link.session_id, content)]


def quiet_traces(since: int, limit: int) -> Select[Any]:
    """Keys of traces that named no session and are quiet since `since` (ns), the quietest first."""
    return (
        select(links.c.key)
        .where(links.c.session_id.is_(None), links.c.last_seen < since)
        .where(links.c.key.startswith(TRACE_PREFIX, autoescape=True))
        .order_by(links.c.last_seen)
        .limit(limit)
    )


def _joined(results: Sequence[Appended | BaseException], part_size: int) -> Appended:
    for result in results:
        if isinstance(result, BaseException):
            raise result
    parts = [result for result in results if isinstance(result, Appended)]
    refused = [
        (number * part_size + index, reason) for number, part in enumerate(parts) for index, reason in part.refused
    ]
    return Appended(sum(part.stored for part in parts), sum(part.duplicates for part in parts), tuple(refused))


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300]
