"""One transaction of the writer: positions, correlation, rows, summaries. All of it commits, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ark_broker.log.database import Dialect, do_update
from ark_broker.log.memory import Memory
from ark_broker.log.rows import to_columns
from ark_broker.log.tables import GONE, events, links, log_head, queries, sessions
from ark_broker.model import Event
from ark_broker.model.vocabulary import Phase
from ark_broker.sessions.correlate import Correlator, keys_of
from ark_broker.sessions.summary import fold

_UPSERT_LINK = do_update(links, ["key"])
_UPSERT_SESSION = do_update(sessions, ["id"])
_UPSERT_QUERY = do_update(queries, ["session_id", "name"])


@dataclass(slots=True)
class Commit:
    """What one transaction added to the log: for the tail, and for whoever waits for an answer."""

    #: Positions in (prior, head] belong to this commit.
    prior: int
    head: int
    #: The events that were new, in order of `seq`. An event that was there already is not among them.
    stored: list[Event] = field(default_factory=list)
    #: Events stored earlier that joined a session or a query now, in order of their new position.
    adopted: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class Transaction:
    """The steps of one commit on an open connection. `memory` is wrong after a failure: forget it then."""

    connection: AsyncConnection
    dialect: Dialect
    memory: Memory
    now: int
    prior: int = 0
    head: int = 0
    correlator: Correlator = field(init=False)
    _changed_sessions: set[str] = field(default_factory=set)
    _changed_queries: set[tuple[str, str]] = field(default_factory=set)

    async def begin(self, positions: int) -> None:
        """Take the head row's lock, and `positions` positions after it.

        The lock is held until the commit, on every replica: so commit order is position order.
        """
        self.prior = await self._advance(positions) - positions
        self.memory.start(self.prior)
        self.correlator = Correlator(self.memory.links)

    async def _advance(self, positions: int) -> int:
        statement = update(log_head).values(seq=log_head.c.seq + positions).returning(log_head.c.seq)
        self.head = (await self.connection.execute(statement)).scalar_one()
        return self.head

    async def take_positions(self, count: int) -> int:
        """Further positions at the end; returns the one before the first."""
        return await self._advance(count) - count

    async def append(self, batch: Sequence[Event]) -> list[Event]:
        """Place and insert the batch; returns those that were not in the log yet."""
        await self.memory.load_links(self.connection, keys_of(batch))
        self.correlator.place(batch)
        for seq, event in enumerate(batch, self.prior + 1):
            event.seq = seq
            event.recorded_at = self.now
            event.time = event.time or self.now
            event.session_seq = seq if event.session_id is not None else None
            event.query_seq = seq if event.query is not None else None
        await self.insert(batch)
        stored = await self._inserted(batch)
        await self.fold(stored)
        return stored

    async def insert(self, batch: Sequence[Event]) -> None:
        """Add rows; an id that is there already stays as it is."""
        await self.dialect.insert(self.connection, events, to_columns(batch), on_conflict="(id) DO NOTHING")

    async def _inserted(self, batch: Sequence[Event]) -> list[Event]:
        rows = await self.connection.execute(
            select(events.c.seq).where(events.c.seq > self.prior, events.c.seq <= self.prior + len(batch))
        )
        inserted = set(rows.scalars())
        return list(batch) if len(inserted) == len(batch) else [e for e in batch if e.seq in inserted]

    async def load_summaries(self, batch: Iterable[Event]) -> None:
        """Have the summaries of the events' sessions and queries in memory."""
        pairs = {(e.session_id, e.query) for e in batch if e.session_id is not None}
        await self.memory.load_sessions(self.connection, {session for session, _ in pairs})
        await self.memory.load_queries(
            self.connection, [(session, query) for session, query in pairs if query is not None]
        )

    async def fold(self, batch: Sequence[Event]) -> None:
        """Add events that joined a session to its summaries."""
        await self.load_summaries(batch)
        for event in batch:
            if event.session_id is None:
                continue
            known = self.memory.queries.setdefault(event.session_id, {})
            fold(self.memory.sessions[event.session_id], known, event)
            self.changed(event.session_id, event.query)

    def changed(self, session_id: str, query: str | None) -> None:
        """Have the summaries written at the end of the transaction."""
        self._changed_sessions.add(session_id)
        if query is not None:
            self._changed_queries.add((session_id, query))

    async def drop_session(self, session_id: str) -> None:
        """Take the session's summaries away. A row stays, to tell readers of the list at position `head`."""
        self.memory.drop_session(session_id)
        self._changed_sessions.discard(session_id)
        self._changed_queries = {key for key in self._changed_queries if key[0] != session_id}
        self.memory.gone[session_id] = self.head
        await self.connection.execute(delete(queries).where(queries.c.session_id == session_id))
        await self._upsert_sessions([(session_id, GONE, None, 0, self.head, self.head, "", b"")])

    async def drop_query(self, session_id: str, name: str) -> None:
        """Take one query's summary away: its events belong to another query now."""
        self._changed_queries.discard((session_id, name))
        await self.connection.execute(
            delete(queries).where(queries.c.session_id == session_id, queries.c.name == name)
        )

    async def finish(self) -> None:
        """Write links and summaries, and tell the other processes. The caller commits."""
        await self._write_links()
        await self._write_queries()
        await self._write_sessions()
        await self.dialect.notify(self.connection, self.head)
        self.memory.at = self.head

    async def _write_links(self) -> None:
        keys = sorted(self.correlator.touched)
        if keys:
            found = [self.memory.links[key] for key in keys]
            columns = [
                keys,
                [link.session_id for link in found],
                [link.query for link in found],
                [self.now] * len(keys),
            ]
            await self.dialect.insert(self.connection, links, columns, on_conflict=_UPSERT_LINK)

    async def _write_queries(self) -> None:
        keys = sorted(self._changed_queries)
        if not keys:
            return
        found = [self.memory.queries[session][name] for session, name in keys]
        phases: list[Phase] = [query.phase for query in found]
        columns = [
            [session for session, _ in keys],
            [name for _, name in keys],
            [query.namespace for query in found],
            [query.uid for query in found],
            phases,
            [query.last_activity or 0 for query in found],
            [self.head] * len(keys),
            [query.encode() for query in found],
        ]
        await self.dialect.insert(self.connection, queries, columns, on_conflict=_UPSERT_QUERY)

    async def _write_sessions(self) -> None:
        rows = []
        for session_id in sorted(self._changed_sessions):
            summary = self.memory.sessions[session_id]
            rows.append(
                (
                    session_id,
                    summary.status,
                    summary.namespace,
                    summary.last_activity or 0,
                    self.head,
                    self.memory.gone.get(session_id, 0),
                    summary.search,
                    summary.encode(),
                )
            )
        if rows:
            await self._upsert_sessions(rows)

    async def _upsert_sessions(self, rows: Sequence[tuple[object, ...]]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        await self.dialect.insert(self.connection, sessions, columns, on_conflict=_UPSERT_SESSION)
