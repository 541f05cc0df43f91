"""The loop of one named cursor: read the log behind its position, hand what matches to a sink, note how far it got.

    stand by ──lease──► read a page ──► send ──► note the position ──► …  ──► wait for the log to grow
        ▲                                 │
        └──────── lease lost ◄────────────┴── pause, with back-off, while the receiver is away

Only the process with the lease sends, and it stops before the lease runs out. The position is noted after each batch,
so a crash repeats one batch at most. While a receiver is away the cursor stays: the log is the spool.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from ark_broker.deliver import progress
from ark_broker.deliver.otlp_answer import MAX_RETRY_AFTER
from ark_broker.deliver.otlp_send import Outcome, next_pause
from ark_broker.deliver.progress import Counts
from ark_broker.deliver.sinks import Sink, send
from ark_broker.log.cursors import Cursors, CursorState, LeaseLost
from ark_broker.log.database import is_unavailable
from ark_broker.log.read import Head, Reader, Stride
from ark_broker.model import Event

_log = structlog.get_logger(__name__)

#: Bytes of one page, roughly, and events in it, at most.
_PAGE_BYTES: Final = 4 * 2**20
_PAGE_EVENTS: Final = 512
#: Seconds between tries while the database is away.
_DATABASE_AWAY: Final = 0.5
#: Dead letters kept for one cursor, and how many more there may be before the oldest are removed.
_KEPT_DEAD: Final = 10_000
_SPARE_DEAD: Final = 500
#: Seconds that an end leaves to a write, and then to giving the lease back.
_WRITE_SECONDS: Final = 0.5
_RELEASE_SECONDS: Final = 1.0
_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    #: How long a process may be silent before another takes over, and how often it says that it is there.
    lease: float = 30.0
    renew: float = 10.0
    #: How often to look whether somebody else's lease is free.
    stand_by: float = 3.0
    #: Longest wait for the log to grow.
    idle: float = 30.0


class Cursor:
    """One cursor, in one process. `run` it; `wake` it when the log has grown; `stop` it."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        store: Cursors,
        reader: Reader,
        owner: str,
        *,
        timing: Timing,
        clock: Callable[[], int] = time.time_ns,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.sink = sink
        self._store = store
        self._reader = reader
        self._owner = owner
        self._timing = timing
        self._clock = clock
        self._jitter = jitter
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._writing = asyncio.Lock()
        #: Until when the lease holds, by the clock of the loop.
        self._lease_until = 0.0
        self._stride = Stride(_PAGE_BYTES, _PAGE_EVENTS)
        #: Events that were read and are to be sent; once they are, the position is `_read_to`.
        self._pending: list[Event] = []
        self._read_to = 0
        self._surplus = 0
        #: True while this process has the lease.
        self.holding = False
        self.position = 0
        self.state = CursorState()
        self.counts = Counts()

    def wake(self) -> None:
        """The log has grown."""
        self._woken.set()

    def stop(self) -> None:
        """Finish the batch that is being sent, give the lease back, and end."""
        self._stopping.set()
        self._woken.set()

    async def run(self) -> None:
        """Deliver whenever this process has the lease, until told to stop."""
        while not self._stopping.is_set():
            try:
                if await self._take():
                    await self._deliver()
                else:
                    await self._sleep(self._timing.stand_by)
            except LeaseLost as error:
                _log.warning("delivery goes on elsewhere", cursor=self.name, reason=str(error))
            except Exception as error:  # noqa: BLE001 - whatever it was, the log and the cursor are still there
                self._complain(error, "a cursor failed; trying again")
                await self._sleep(_DATABASE_AWAY)

    # -- the lease ---------------------------------------------------------------------------------

    async def _take(self) -> bool:
        row = (await self._store.rows([self.name])).get(self.name)
        if row is None or not row.free:
            return False
        started = asyncio.get_running_loop().time()
        taken = await self._store.take(self.name, self._owner, self._timing.lease)
        if taken is None:
            return False
        self._lease_until = started + self._timing.lease
        self.position, self.state = taken.position, taken.state
        self._pending, self._read_to = [], taken.position
        return True

    async def _deliver(self) -> None:
        """Work and renew the lease until one of them ends. Raises LeaseLost."""
        self.holding = True
        tasks = [asyncio.create_task(work, name=f"deliver-{self.name}") for work in (self._work(), self._renew())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.holding = False
            ends = await self._end(tasks)
            lost = any(isinstance(end, LeaseLost) for end in ends)
            if not lost:
                await self._release()
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> list[BaseException | None]:
        """Cancel the tasks, but in the middle of a write only if it takes long.

        That would cost the connection, which on SQLite is the one of the log's writer.
        """
        locked = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WRITE_SECONDS):
                locked = await self._writing.acquire()
        try:
            for task in tasks:
                task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            if locked:
                self._writing.release()

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._store.release(self.name, self._owner, self.position, self.state)
        except Exception as error:  # noqa: BLE001 - it runs out by itself
            _log.info("a lease was not given back", cursor=self.name, error=_line(error))

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._timing.renew)
            try:
                async with asyncio.timeout_at(self._lease_until):
                    await self._write()
            except TimeoutError:
                if loop.time() >= self._lease_until:
                    raise LeaseLost("the lease could not be renewed in time") from None

    async def _write(
        self,
        position: int | None = None,
        state: CursorState | None = None,
        dead: Sequence[tuple[Event, str]] = (),
    ) -> None:
        """Note position, state and dead letters, and renew the lease; as often as it takes. Raises LeaseLost."""
        while True:
            try:
                # One at a time: an older position must not come after a newer one.
                async with self._writing:
                    started = asyncio.get_running_loop().time()
                    await self._store.advance(
                        self.name,
                        self._owner,
                        self._timing.lease,
                        self.position if position is None else position,
                        self.state if state is None else state,
                        dead,
                    )
                    self._lease_until = started + self._timing.lease
                    # What was not given may have moved on meanwhile.
                    self.position = self.position if position is None else position
                    self.state = self.state if state is None else state
                    return
            except Exception as error:
                if not is_unavailable(error):
                    raise
                await asyncio.sleep(_DATABASE_AWAY)

    # -- the work ----------------------------------------------------------------------------------

    async def _work(self) -> None:
        # A receiver that said when to come back said so to all processes, and to those that start anew.
        await self._sleep(min(self._seconds_until(self.state.paused_until or 0), MAX_RETRY_AFTER))
        while not self._stopping.is_set():
            try:
                await self._top_up()
                if self._pending:
                    await self._send_next()
                elif not await self._read():
                    await _wait(self._woken, self._timing.idle)
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001 - one bad turn must not end the loop
                self._complain(error, "a delivery failed; trying again")
                if is_unavailable(error):
                    await self._sleep(_DATABASE_AWAY)
                else:
                    await self._pause(self._failed(self.state, f"the broker failed: {type(error).__name__}", 0.0))

    async def _top_up(self) -> None:
        """Read on behind what the receiver does not take: what follows may tell a bad event from a bad receiver."""
        if self.state.failures and 0 < len(self._pending) < self.sink.batch:
            await self._read()

    async def _read(self) -> bool:
        """Read the next page; False where the cursor has caught up, and nothing of what it read is for the sink."""
        self._woken.clear()
        async with self._reader.snapshot() as connection:
            head = await self._reader.head(connection)
            if self._pending and head.floor > self._read_to:
                # Retention removed all of it, and more that was not looked at.
                self._pending, self._read_to = [], self.position
            page = await self._reader.page(
                self.sink.scope, self._read_to, self._stride.rows, types=self.sink.types, connection=connection
            )
        self._stride.took(page.events)
        if not self._pending:
            self._note_gap(head)
        self._pending += [event for event in page.events if self.sink.takes(event)]
        # What was read in one snapshot goes to its head, where it is not cut off before.
        self._read_to = page.next if page.more else max(page.next, head.seq)
        if not self._pending:
            # Noted with the next renewal: to read it once more costs less than to write it each time.
            self.position = self._read_to
        return bool(self._pending) or page.more

    def _note_gap(self, head: Head) -> None:
        """Retention may have removed something that the cursor had before it: say so."""
        since = max(self.position, self.state.noted_floor)
        if head.floor > since:
            _log.warning("retention was faster than a delivery", cursor=self.name, position=since, floor=head.floor)
            self.state = progress.missed(self.state, since, head.floor)

    async def _send_next(self) -> None:
        now = self._clock()
        batch = []
        for event in self._pending[: self.sink.batch]:
            if self.sink.due(event) > now:
                break
            batch.append(event)
        if not batch:
            await self._sleep(self._seconds_until(self.sink.due(self._pending[0])))
            return
        await self._settle(batch, await send(self.sink, batch))

    async def _settle(self, batch: Sequence[Event], outcome: Outcome) -> None:
        """Note what came of a batch; pause where the receiver is away."""
        pending = [*outcome.remaining, *self._pending[len(batch) :]]
        position = pending[0].seq - 1 if pending else self._read_to
        dead = [(event, progress.clean(reason)) for event, reason in outcome.dead]
        self.counts.add(outcome)
        state = progress.counted(self.state, outcome)
        if outcome.retry_after is None or outcome.delivered:
            state = self._succeeded(state, outcome.message)
        if outcome.retry_after is not None:
            state = self._failed(state, outcome.message, outcome.retry_after)
        await self._write(position, state, dead)
        self._pending = pending
        if dead:
            _log.warning("events became dead letters", cursor=self.name, events=len(dead), reason=dead[-1][1])
            await self._bound_dead(len(dead))
        if outcome.retry_after is not None:
            await self._pause(state)

    def _succeeded(self, state: CursorState, message: str) -> CursorState:
        if state.failures:
            _log.info("delivery works again", cursor=self.name, failures=state.failures)
        return progress.succeeded(state, message, self._clock())

    def _failed(self, state: CursorState, message: str, retry_after: float) -> CursorState:
        self.counts.failures += 1
        pause = next_pause(state.failures + 1, retry_after, self._jitter())
        state = progress.failed(state, message, self._clock(), pause)
        if state.failures == 1:
            _log.warning(
                "delivery fails; trying again", cursor=self.name, error=state.last_error, pause=round(pause, 1)
            )
        return state

    async def _pause(self, state: CursorState) -> None:
        self.state = state
        await self._sleep(self._seconds_until(state.paused_until or 0))

    async def _bound_dead(self, added: int) -> None:
        self._surplus += added
        if self._surplus > _SPARE_DEAD:
            removed = await self._store.bound_dead(self.name, _KEPT_DEAD)
            self._surplus = 0
            if removed:
                _log.warning("the oldest dead letters were removed", cursor=self.name, events=removed)

    # -- small things ------------------------------------------------------------------------------

    def _seconds_until(self, at: int) -> float:
        """From now, by the clock, until `at` (ns); negative for what is past."""
        return (at - self._clock()) / _NANOSECONDS

    async def _sleep(self, seconds: float) -> None:
        """Sleep; not longer than until it is told to stop."""
        if seconds > 0:
            await _wait(self._stopping, seconds)

    def _complain(self, error: Exception, what: str) -> None:
        if is_unavailable(error):
            _log.warning(what, cursor=self.name, error=_line(error))
        else:
            _log.error(what, cursor=self.name, exc_info=error)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300]
