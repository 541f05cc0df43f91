"""The import itself: records of the sources, in their order, through a sink that stores Events in batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from ark_broker.api.services import Services
from ark_broker.cli.imports.source import Skipped, Source, SourceBroken
from ark_broker.cli.imports.tally import StoreTally, Tally
from ark_broker.log.writer import Appended
from ark_broker.model import Event
from ark_broker.model.errors import BadInput, Overloaded
from ark_broker.receive.legacy import Record, event_of, in_session
from ark_broker.receive.prices import needs_price
from ark_broker.sessions.ark import phase_of

#: A batch is full with so many events, or bytes of their bodies.
BATCH_EVENTS: Final = 1_000
BATCH_BYTES: Final = 4 * 2**20
#: How long a database may be away before the import gives up.
_PATIENCE_SECONDS: Final = 60

#: Stores events; told whether those without a cost are to get the one that the price table says.
Sink = Callable[[Sequence[Event], bool], Awaitable[Appended]]


async def count_only(events: Sequence[Event], _are_priced: bool) -> Appended:
    """The sink of a dry run."""
    await asyncio.sleep(0)
    return Appended(stored=len(events))


def log_of(services: Services) -> Sink:
    """The sink that stores. It waits while the log has no room, or the database is away for a moment."""

    async def append(events: Sequence[Event], are_priced: bool) -> Appended:
        services.redact(events)
        if are_priced:
            services.prices.price([event for event in events if needs_price(event)])
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return await services.writer.append(events)
            except Overloaded as error:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(min(error.retry_after, 1))

    return append


async def run(sources: Sequence[Source], sink: Sink, tally: Tally, progressed: Callable[[Source], None]) -> None:
    """Import the sources one after the other; what came of it is in `tally`, also where it is cut short.

    A source that breaks does not stop the next one. Raises what the sink raises.
    """
    told = _Told()
    for source in sources:
        batch = _Batch(source, sink, tally.of(source.store), told)
        try:
            await batch.take_all(progressed)
        except (SourceBroken, OSError) as error:
            tally.failures.append(f"{source.label}: {error}")
        await batch.flush()
        progressed(source)


@dataclass
class _Told:
    """What the events and sessions read so far tell of queries, by session and name."""

    began: set[tuple[str, str]] = field(default_factory=set)
    ended: set[tuple[str, str]] = field(default_factory=set)
    #: The session of a query's name; None for a name that several sessions have.
    sessions: dict[str, str | None] = field(default_factory=dict)

    def hear(self, record: Record) -> None:
        """Remember what an operation event, or a session's report, tells."""
        is_operation = record.store == "events"
        data: dict[str, Any] = record.data["data"] if is_operation else record.data
        if (key := _key(data)) is None:
            return
        session, query = key
        self.sessions[query] = session if self.sessions.get(query, session) == session else None
        if is_operation:
            self.began.add(key)
            if _ends(record.data.get("reason"), data):
                self.ended.add(key)

    def covers(self, record: Record) -> bool:
        """True where a session's report on its query says no more than the events did."""
        key = _key(record.data)
        return key in (self.ended if _ends(record.data.get("_reason"), record.data) else self.began)


def _key(data: dict[str, Any]) -> tuple[str, str] | None:
    session, query = data.get("sessionId"), data.get("queryName")
    return (session, query) if isinstance(session, str) and isinstance(query, str) and session and query else None


def _ends(reason: object, data: dict[str, Any]) -> bool:
    return phase_of(reason if isinstance(reason, str) else "", data.get("error")) != "running"


@dataclass
class _Batch:
    """Events of one source on their way into the log."""

    source: Source
    sink: Sink
    tally: StoreTally
    told: _Told
    _events: list[Event] = field(default_factory=list)
    _positions: list[int] = field(default_factory=list)
    _bytes: int = 0

    async def take_all(self, progressed: Callable[[Source], None]) -> None:
        """Read the source to its end."""
        async with aclosing(self.source.items()) as items:
            async for item in items:
                self.tally.read += 1
                if isinstance(item, Skipped):
                    self.tally.skip(item)
                elif isinstance(item, Event):
                    self._take_event(item)
                else:
                    self._take(item)
                if len(self._events) >= BATCH_EVENTS or self._bytes >= BATCH_BYTES:
                    await self.flush()
                    progressed(self.source)

    def _take(self, record: Record) -> None:
        if record.expires_at is not None and record.expires_at <= time.time_ns():
            self.tally.skip(Skipped(record.position, "expired", ""))
            return
        try:
            event = event_of(record)
        except BadInput as error:
            self.tally.skip(Skipped(_place_of(record), "invalid", str(error)))
            return
        if event is None:
            self.tally.skip(Skipped(_place_of(record), "invalid", "it says nothing"))
            return
        if record.store in ("events", "sessions"):
            self.told.hear(record)
        if record.store == "sessions" and self.told.covers(record):
            self.tally.known += 1
            return
        if record.store == "messages" and (session := self.told.sessions.get(event.query or "")):
            in_session(event, session)
        self._append(event, record.position)

    def _take_event(self, event: Event) -> None:
        if event.expires_at is not None and event.expires_at <= time.time_ns():
            self.tally.skip(Skipped(self.tally.read, "expired", ""))
            return
        self._append(event, self.tally.read)

    def _append(self, event: Event, position: int) -> None:
        self._events.append(event)
        self._positions.append(position)
        self._bytes += len(event.body)

    async def flush(self) -> None:
        """Have the events stored, and count what became of them."""
        events, positions = self._events, self._positions
        self._events, self._positions, self._bytes = [], [], 0
        if not events:
            return
        # What another broker exported was priced there, or has no price.
        appended = await self.sink(events, self.source.store != "session")
        self.tally.imported += appended.stored
        self.tally.known += appended.duplicates
        for index, reason in appended.refused:
            self.tally.skip(Skipped(f"number {positions[index]}", "invalid", reason))


def _place_of(record: Record) -> str:
    if record.store == "sessions":
        return f"{record.data.get('sessionId')}/{record.data.get('queryName')}"
    return f"number {record.position}"
