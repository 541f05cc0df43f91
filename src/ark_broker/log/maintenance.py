"""Background work on the log: quiet traces, retention, rows of deleted sessions. Small steps, never one long lock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import Column, ColumnElement, Table, delete, exists, func, or_, select, tuple_, update

from ark_broker.log.database import Database
from ark_broker.log.packs import pack_finished
from ark_broker.log.removal import expire
from ark_broker.log.rollups import forget_old
from ark_broker.log.tables import contents, events, links, log_head, packs, sessions, waiting
from ark_broker.log.tokens import forget_tickets
from ark_broker.log.writer import Writer, quiet_traces
from ark_broker.model.vocabulary import TOMBSTONES

_log = structlog.get_logger(__name__)

#: Rows removed by one statement: short enough that nobody waits for its locks.
_STEP: Final = 2_000
_NANOSECONDS: Final = 1_000_000_000
#: Seconds between looks for figures that are too old.
_FIGURES_SECONDS: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class LinkBounds:
    """How many links and waiting events are kept, and how long (seconds)."""

    max_links: int
    link_seconds: float
    max_waiting: int
    waiting_seconds: float


@dataclass(slots=True)
class LinkStats:
    """For `/metrics`: how many there are, as counted last, and how many were forgotten since the start."""

    links: int = 0
    waiting: int = 0
    forgotten_links: int = 0
    forgotten_waiting: int = 0


class Maintenance:
    """Runs its jobs in turns, each every so many seconds, as long as the process lives."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        *,
        trace_quiet_seconds: float,
        pack_after_seconds: float,
        retention_seconds: Mapping[str, float],
        link_bounds: LinkBounds | None = None,
        deadlines: Callable[[], Awaitable[object]] | None = None,
        interval_seconds: float = 60,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._database = database
        self._writer = writer
        self._trace_quiet = trace_quiet_seconds
        self._pack_after = pack_after_seconds
        self._retention = retention_seconds
        self._link_bounds = link_bounds
        self._deadlines = deadlines
        self.link_stats = LinkStats()
        self._interval = interval_seconds
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self._swept_to: dict[str, int] = {}

    def start(self) -> None:
        """Start the jobs on the running loop."""
        quiet_interval = max(0.2, min(5.0, self._trace_quiet / 4))
        jobs: list[tuple[str, Callable[[], Awaitable[object]], float]] = [
            ("quiet-traces", self.decide_quiet_traces, quiet_interval),
            ("pack", self.pack, max(0.2, min(30.0, self._pack_after / 4))),
            ("expiry", self.expire, min(30.0, self._interval)),
            ("figures", self.forget_figures, _FIGURES_SECONDS),
            ("tickets", self.forget_tickets, self._interval),
        ]
        if self._deadlines is not None:
            jobs.append(("deadlines", self._deadlines, 1.0))
        if self._link_bounds is not None:
            jobs.append(("links", self.bound_links, self._interval))
        if self._retention:
            jobs.append(("retention", self.retain, self._interval))
        self._tasks = [
            asyncio.create_task(self._every(name, job, seconds), name=f"maintenance-{name}")
            for name, job, seconds in jobs
        ]
        self._tasks.append(asyncio.create_task(self._once("deleted-sessions", self.remove_deleted)))

    async def close(self) -> None:
        """Stop; what is unfinished is found again at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _every(self, name: str, job: Callable[[], Awaitable[object]], seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await job()
            except Exception as error:  # noqa: BLE001 - the next turn tries again
                _log.warning("maintenance failed; trying again later", job=name, error=str(error)[:300])

    async def _once(self, name: str, job: Callable[[], Awaitable[object]]) -> None:
        """Run a job until it has succeeded."""
        while True:
            try:
                await job()
            except Exception as error:  # noqa: BLE001 - the next try may find the database again
                _log.warning("maintenance failed; trying again later", job=name, error=str(error)[:300])
                await asyncio.sleep(self._interval)
            else:
                return

    async def decide_quiet_traces(self) -> bool:
        """Give traces that have been quiet for long, and named no session, one of their own."""
        quiet_since = self._clock() - int(self._trace_quiet * _NANOSECONDS)
        async with self._database.reader.connect() as connection:
            if (await connection.execute(quiet_traces(quiet_since, 1))).scalar_one_or_none() is None:
                return False
        await self._writer.decide_quiet_traces(quiet_since)
        return True

    async def forget_figures(self) -> int:
        """Remove figures over time that are older than their width is kept for; returns how many."""
        return await forget_old(self._database, self._clock())

    async def forget_tickets(self) -> int:
        """Remove tickets that have expired; returns how many."""
        return await forget_tickets(self._database, self._clock())

    async def remove_deleted(self) -> int:
        """Finish deletions that a stop interrupted: remove what is left of sessions that were deleted.

        A deletion removes its rows itself; so this looks once, at the start, and writes only where something is left.
        """
        removed, last = 0, ""
        while True:
            page = (
                select(sessions.c.id, sessions.c.gone_seq, _has_leftovers().label("leftovers"))
                .where(sessions.c.gone_seq > 0, sessions.c.id > last)
                .order_by(sessions.c.id)
                .limit(500)
            )
            async with self._database.reader.connect() as connection:
                gone = (await connection.execute(page)).all()
            for row in gone:
                if row.leftovers:
                    removed += await self.remove_session_rows(row.id, row.gone_seq)
            if len(gone) < 500:
                return removed
            last = gone[-1].id

    async def pack(self) -> int:
        """Pack the chunks of streams that are finished for a while."""
        return await pack_finished(self._database, self._clock() - int(self._pack_after * _NANOSECONDS))

    async def expire(self) -> int:
        """Remove events whose time to live is over."""
        now = self._clock()
        expired = select(events.c.seq).where(events.c.expires_at <= now).limit(1)
        async with self._database.reader.connect() as connection:
            if (await connection.execute(expired)).first() is None:
                return 0
        return await expire(self._writer.operate, now)

    async def bound_links(self) -> None:
        """Forget links, and events that wait for one, by age and number, the oldest first. Counts what is left."""
        bounds, stats = self._link_bounds, self.link_stats
        if bounds is None:
            return
        now = self._clock()
        oldest = await self._beyond(links.c.last_seen, bounds.max_links)
        until = max(oldest, now - int(bounds.link_seconds * _NANOSECONDS))
        stats.forgotten_links += await self._delete_up_to(links, links.c.last_seen, until)
        oldest = await self._beyond(waiting.c.seq, bounds.max_waiting)
        until = max(oldest, await self._position_at(now - int(bounds.waiting_seconds * _NANOSECONDS)))
        stats.forgotten_waiting += await self._delete_up_to(waiting, waiting.c.seq, until)
        async with self._database.reader.connect() as connection:
            stats.links = (await connection.execute(select(func.count()).select_from(links))).scalar_one()
            stats.waiting = (await connection.execute(select(func.count()).select_from(waiting))).scalar_one()

    async def _beyond(self, column: Column[Any], keep: int) -> int:
        """Value of the newest row that is one too many; -1 where none is."""
        statement = select(column).order_by(column.desc()).offset(keep).limit(1)
        async with self._database.reader.connect() as connection:
            found = (await connection.execute(statement)).scalar_one_or_none()
        return -1 if found is None else int(found)

    async def _delete_up_to(self, table: Table, column: Column[Any], until: int) -> int:
        keys = [table.c[key.name] for key in table.primary_key]
        doomed = select(*keys).where(column <= until).order_by(column).limit(_STEP)
        removed = 0
        while True:
            async with self._database.writer.begin() as connection:
                found = (await connection.execute(doomed)).all()
                if found:
                    chosen = tuple_(*keys).in_([tuple(row) for row in found])
                    await connection.execute(delete(table).where(chosen, column <= until))
            removed += len(found)
            if len(found) < _STEP:
                return removed

    async def remove_session_rows(self, session_id: str, gone_seq: int) -> int:
        """Remove the events that a deletion at position `gone_seq` took out of the views."""
        removed = 0
        doomed = (
            select(events.c.seq)
            .where(
                events.c.session_id == session_id,
                events.c.session_seq <= gone_seq,
                events.c.type.not_in(TOMBSTONES),
            )
            .limit(_STEP)
        )
        while True:
            async with self._database.writer.begin() as connection:
                result = await connection.execute(delete(events).where(events.c.seq.in_(doomed)))
            removed += result.rowcount
            if result.rowcount < _STEP:
                break
        async with self._database.writer.begin() as connection:
            await connection.execute(
                delete(packs).where(packs.c.session_id == session_id, packs.c.last_session_seq <= gone_seq)
            )
            await connection.execute(
                delete(contents).where(contents.c.session_id == session_id, contents.c.epoch < gone_seq)
            )
        return removed

    async def retain(self) -> int:
        """Remove events older than their kind is kept, oldest first, and raise the log's floor accordingly."""
        removed = 0
        for kind, seconds in self._retention.items():
            cut = await self._position_at(self._clock() - int(seconds * _NANOSECONDS))
            removed += await self._remove_until(kind, cut)
        return removed

    async def _position_at(self, recorded_before: int) -> int:
        """The highest position recorded before that time, by bisection: `seq` and `recorded_at` rise together."""
        async with self._database.reader.connect() as connection:
            low, high = (await connection.execute(select(func.min(events.c.seq), func.max(events.c.seq)))).one()
            if low is None:
                return 0
            low -= 1
            while low < high:
                middle = (low + high + 1) // 2
                row = (
                    await connection.execute(
                        select(events.c.seq, events.c.recorded_at)
                        .where(events.c.seq >= middle)
                        .order_by(events.c.seq)
                        .limit(1)
                    )
                ).one()
                if row.recorded_at < recorded_before:
                    low = max(middle, row.seq)
                else:
                    high = middle - 1
            return int(low)

    async def _remove_until(self, kind: str, cut: int) -> int:
        removed = 0
        start = self._swept_to.get(kind, 0)
        while start < cut:
            stop = min(cut, start + _STEP)
            async with self._database.writer.begin() as connection:
                result = await connection.execute(
                    delete(events).where(events.c.kind == kind, events.c.seq > start, events.c.seq <= stop)
                )
                whole = 0
                if kind == "chunk":
                    # A pack goes as a whole, once its last event is old enough.
                    in_step = (packs.c.last_seq > start, packs.c.last_seq <= stop)
                    whole = (await connection.execute(delete(packs).where(*in_step))).rowcount
                if result.rowcount or whole:
                    await connection.execute(update(log_head).where(log_head.c.floor < stop).values(floor=stop))
            removed += result.rowcount
            self._swept_to[kind] = start = stop
        return removed


def _has_leftovers() -> ColumnElement[bool]:
    """True for a deleted session of which rows, packs or pieces are still there."""
    return or_(
        exists().where(
            events.c.session_id == sessions.c.id,
            events.c.session_seq <= sessions.c.gone_seq,
            events.c.type.not_in(TOMBSTONES),
        ),
        exists().where(packs.c.session_id == sessions.c.id, packs.c.last_session_seq <= sessions.c.gone_seq),
        exists().where(contents.c.session_id == sessions.c.id, contents.c.epoch < sessions.c.gone_seq),
    )
