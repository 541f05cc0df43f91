"""One transaction of the writer: positions, correlation, rows, summaries. All of it commits, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ark_broker.log.apart import place_apart, stamp
from ark_broker.log.contents import MIN_BODY, compress, split
from ark_broker.log.database import Dialect, Upsert
from ark_broker.log.memory import Memory
from ark_broker.log.packs import packed_ids
from ark_broker.log.questions import load_questions, question_row
from ark_broker.log.rollups import booked_of_query, booked_of_session, rollup_upserts
from ark_broker.log.rows import to_rows
from ark_broker.log.tables import (
    GONE,
    ark_sessions,
    contents,
    events,
    links,
    log_head,
    queries,
    questions,
    sessions,
    waiting,
)
from ark_broker.model import Event, event_id
from ark_broker.model.vocabulary import EXPLICIT, is_provisional
from ark_broker.sessions.ark_view import list_row
from ark_broker.sessions.bookings import book_query, book_session
from ark_broker.sessions.correlate import NAMED, Correlator
from ark_broker.sessions.keys import Group, group, is_call, keys_of
from ark_broker.sessions.ledger import Ledger
from ark_broker.sessions.questions import Question, apply, sort_of
from ark_broker.sessions.summary import QuerySummary, SessionSummary, fold, settle


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
    #: Namespaces are kept apart: see `log.apart`.
    apart: bool = False
    prior: int = 0
    head: int = 0
    correlator: Correlator = field(init=False)
    #: Those that the transaction looked at, or changed, by id.
    questions: dict[str, Question] = field(default_factory=dict)
    #: What changes of the figures over time.
    ledger: Ledger = field(default_factory=Ledger)
    _changed_sessions: set[str] = field(default_factory=set)
    _changed_queries: set[tuple[str, str]] = field(default_factory=set)
    #: Sessions of which nothing is in the figures any more.
    _unbooked: set[str] = field(default_factory=set)

    async def begin(self) -> None:
        """Take the head row's lock, which is held until the commit.

        There is one such row for all replicas: so nobody else writes meanwhile, and commit order is position order.
        """
        # Through SQLAlchemy, not the driver: it is what begins the transaction, and notices a connection that is gone.
        statement = select(log_head.c.seq).with_for_update()
        self.prior = self.head = (await self.connection.execute(statement)).scalar_one()
        self.memory.start(self.prior)
        self.correlator = Correlator(self.memory.links)

    def take_positions(self, count: int) -> int:
        """Further positions at the end; returns the one before the first."""
        self.head += count
        return self.head - count

    async def append(self, batch: Sequence[Event], *, fresh: bool = False) -> list[Event]:
        """Place and insert the batch; returns those that were not in the log yet. `fresh`: none of them can be."""
        new = {event.id: event for event in reversed(batch)}
        for known in () if fresh else await self._known(new):
            del new[known]
        stored = list(reversed(new.values()))
        groups = group(stored, apart=self.apart)
        await self.load_links(groups)
        if self.apart:
            await place_apart(self, groups)
        else:
            self.correlator.place(groups)
        await stamp(self, groups)
        for seq, event in enumerate(stored, self.take_positions(len(stored)) + 1):
            event.seq = seq
            event.recorded_at = self.now
            event.time = event.time or self.now
            event.session_seq = seq if event.session_id is not None else None
            event.query_seq = seq if event.query is not None else None
        await self.insert(stored)
        await self._list_waiting(groups)
        await self.fold(stored)
        return stored

    async def load_links(self, groups: Sequence[Group]) -> None:
        """Have the links of the groups' keys in memory, and know which of their sessions are but guesses."""
        keys = keys_of(groups, calls_wait=await self.memory.somebody_waits_for_calls(self.connection))
        await self.memory.load_links(self.connection, keys)
        bare = [key for found in groups if found.session_id is None for key in found.keys if is_call(key)]
        await self.memory.load_calls(self.connection, bare)
        found = (self.memory.links.get(key) for key in keys)
        doubtful = {
            link.session_id
            for link in found
            if link is not None and link.session_id is not None
            if link.rule not in NAMED and not is_provisional(link.session_id)
        }
        if doubtful:
            await self.memory.load_sessions(self.connection, doubtful)
            self.correlator.guessed |= {name for name in doubtful if not self.memory.sessions[name].named}

    async def _list_waiting(self, groups: Sequence[Group]) -> None:
        """Note under which keys events without a session, or a query, are to be found, where no index says so."""
        rows = [
            (key, event.seq)
            for found in groups
            for key in found.listed_keys
            for event in found.events
            if event.session_id is None or event.query is None
            # A chunk is found by its query, which it always has; they are too many to list.
            if event.kind != "chunk" or event.query is None
        ]
        if rows:
            self.memory.calls_wait = self.memory.calls_wait or any(is_call(key) for key, _ in rows)
            await self.dialect.insert(self.connection, waiting, rows)

    async def _known(self, batch: Mapping[bytes, Event]) -> set[bytes]:
        """Ids of the batch that the log has already, in rows or in packs."""
        known = await self.dialect.known(self.connection, list(batch))
        chunked = {event.query for event in batch.values() if event.kind == "chunk" and event.query is not None}
        if chunked:
            known |= batch.keys() & await packed_ids(self.connection, chunked)
        return known

    async def insert(self, batch: Sequence[Event]) -> None:
        """Add rows whose ids are not in the log yet."""
        if batch:
            bodies = await self._store_contents(batch)
            await self.dialect.insert(self.connection, events, to_rows(batch, bodies))

    async def _store_contents(self, batch: Sequence[Event]) -> dict[bytes, bytes]:
        """Store the pieces of long bodies that are not stored yet; returns what those events' rows keep, by id."""
        long = [
            event
            for event in batch
            if len(event.body) >= MIN_BODY and event.session_id is not None and not is_provisional(event.session_id)
            # What may be removed by itself has to be gone then, and leave no piece behind.
            if event.kind not in ("message", "event")
        ]
        if not long:
            return {}
        await self.memory.load_sessions(self.connection, {event.session_id or "" for event in long})
        bodies: dict[bytes, bytes] = {}
        rows: dict[bytes, tuple[bytes, str, int, bytes]] = {}
        for event in long:
            session_id = event.session_id or ""
            epoch = self.memory.gone.get(session_id, 0)
            cut = split(event.body, f"{epoch}/{session_id}")
            if cut is not None:
                bodies[event.id] = cut.stored
                rows |= {key: (key, session_id, epoch, piece) for key, piece in cut.pieces.items()}
        missing = await self.memory.unknown_contents(self.connection, rows)
        new = [(key, session, epoch, compress(piece)) for key, session, epoch, piece in map(rows.__getitem__, missing)]
        if new:
            await self.dialect.insert(self.connection, contents, new)
        return bodies

    async def load_summaries(self, batch: Iterable[Event]) -> None:
        """Have the summaries of the events' sessions and queries in memory."""
        pairs = {(e.session_id, e.query) for e in batch if e.session_id is not None}
        await self.memory.load_sessions(self.connection, {session for session, _ in pairs})
        await self.memory.load_queries(
            self.connection, [(session, query) for session, query in pairs if query is not None]
        )

    async def fold(self, batch: Sequence[Event]) -> None:
        """Add events that joined a session to its summaries, and to the questions that they are about."""
        await self.load_summaries(batch)
        await self._fold_questions(
            [event for event in batch if event.question_id is not None and sort_of(event) is not None]
        )
        for event in batch:
            if event.session_id is None:
                continue
            known = self.memory.queries.setdefault(event.session_id, {})
            fold(self.memory.sessions[event.session_id], known, event)
            self.changed(event.session_id, event.query)

    async def question(self, question_id: str) -> Question | None:
        """The question as it is now, under the head's lock; None where there is none."""
        if question_id not in self.questions:
            self.questions |= await load_questions(self.connection, [question_id])
        return self.questions.get(question_id)

    async def is_stored(self, identity: bytes) -> bool:
        """True where an event with that id is in the log."""
        return identity in await self.dialect.known(self.connection, [identity])

    async def _fold_questions(self, batch: Sequence[Event]) -> None:
        if not batch:
            return
        missing = {event.question_id or "" for event in batch} - self.questions.keys()
        self.questions |= await load_questions(self.connection, sorted(missing))
        for event in batch:
            key = event.question_id or ""
            if (question := apply(self.questions.get(key), event)) is not None:
                self.questions[key] = question

    def changed(self, session_id: str, query: str | None) -> None:
        """Have the summaries written at the end of the transaction."""
        self._changed_sessions.add(session_id)
        if query is not None:
            self._changed_queries.add((session_id, query))

    async def drop_session(self, session_id: str) -> None:
        """Take the session's summaries away. A row stays, to tell readers of the list at position `head`."""
        owner = self.memory.drop_session(session_id)
        self._changed_sessions.discard(session_id)
        await self.connection.execute(delete(ark_sessions).where(ark_sessions.c.id == session_id))
        await self.connection.execute(delete(questions).where(questions.c.session_id == session_id))
        await self.drop_queries(session_id)
        self.memory.gone[session_id] = self.head
        row = (session_id, GONE, owner, 0, self.head, self.head, "", b"")
        await self.dialect.upsert(self.connection, [Upsert(sessions, ["id"], [row])])

    async def drop_queries(self, session_id: str) -> None:
        """Take the summaries of all the session's queries away: the session is no more, or is folded anew."""
        self._changed_queries = {key for key in self._changed_queries if key[0] != session_id}
        await self._unbook(session_id)
        await self.connection.execute(delete(queries).where(queries.c.session_id == session_id))

    async def _unbook(self, session_id: str) -> None:
        """Take what the session and its queries added out of the figures. What is still there of them adds it again."""
        if session_id not in self._unbooked:
            self._unbooked.add(session_id)
            for booked in await booked_of_session(self.connection, session_id):
                self.ledger.replace(booked, None)

    async def note(self, kind: str, session_id: str | None, content: Mapping[str, object]) -> Event:
        """Write an event of the broker's own, at the next position."""
        event = await self.tombstone(kind, session_id, content)
        await self.fold([event])
        return event

    async def tombstone(
        self, kind: str, session_id: str | None, content: Mapping[str, object], *, namespace: str | None = None
    ) -> Event:
        """Write an event of the broker's own, at the next position, that is no part of any view."""
        seq = self.take_positions(1) + 1
        event = Event(
            id=event_id(kind, session_id or "", seq),
            kind="event",
            type=kind,
            time=self.now,
            recorded_at=self.now,
            body=msgspec.json.encode(content),
            seq=seq,
            session_seq=None if session_id is None else seq,
            session_id=session_id,
            namespace=namespace,
            correlated_by=None if session_id is None else EXPLICIT,
        )
        await self.insert([event])
        return event

    async def forget_waiting(self, positions: Iterable[int]) -> None:
        """The events at these positions have a session and a query now."""
        every = list(positions)
        for start in range(0, len(every), 500):
            page = every[start : start + 500]
            await self.connection.execute(delete(waiting).where(waiting.c.seq.in_(page)))

    async def drop_query(self, session_id: str, name: str) -> None:
        """Take one query's summary away: its events belong to another query now."""
        self._changed_queries.discard((session_id, name))
        for booked in await booked_of_query(self.connection, session_id, name):
            self.ledger.replace(booked, None)
        await self.connection.execute(delete(queries).where(queries.c.session_id == session_id, queries.c.name == name))

    async def finish(self) -> None:
        """Write the head, links and summaries, and tell the other processes. The caller commits."""
        self._settle()
        changed = [self.memory.sessions[session_id] for session_id in sorted(self._changed_sessions)]
        listed = {session.id: list_row(session) for session in changed}
        news = {key: row for key, row in listed.items() if self.memory.is_row_news(key, row)}
        await self._unlist([key for key, row in news.items() if row is None])
        upserts = [
            Upsert(links, ["key"], self._link_rows()),
            Upsert(queries, ["session_id", "name"], self._query_rows()),
            Upsert(sessions, ["id"], self._session_rows(changed)),
            Upsert(questions, ["id"], [question_row(each, self.head) for each in self.questions.values()]),
            *rollup_upserts(self.ledger, self.now),
            Upsert(ark_sessions, ["id"], [msgspec.structs.astuple(row) for row in news.values() if row is not None]),
        ]
        if self.head > self.prior:
            await self.dialect.finish(self.connection, upserts, self.head)
        else:
            await self.dialect.upsert(self.connection, upserts)
        self.memory.at = self.head

    def _settle(self) -> None:
        """Have the changed sessions know what their queries used: once a commit, not with every event."""
        changed: dict[str, list[QuerySummary]] = {session_id: [] for session_id in self._changed_sessions}
        for session_id, name in sorted(self._changed_queries):
            changed[session_id].append(self.memory.queries[session_id][name])
        for session_id, queries_changed in changed.items():
            session = self.memory.sessions[session_id]
            settle(session, queries_changed)
            self._book(session, queries_changed)

    def _book(self, session: SessionSummary, queries_changed: Sequence[QuerySummary]) -> None:
        """Have the figures over time say what the session and its queries are by now."""
        for query in queries_changed:
            if (booked := book_query(query, session)) is not query.booked:
                self.ledger.replace(query.booked, booked)
                query.booked = booked
        if (booked := book_session(session)) is not session.booked:
            self.ledger.replace(session.booked, booked)
            session.booked = booked

    def _link_rows(self) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        for key in sorted(self.correlator.touched):
            link = self.memory.links[key]
            if self.memory.is_link_news(key, link, self.now):
                rows.append((key, link.session_id, link.query, link.trace_id, link.rule, self.now))
        return rows

    def _query_rows(self) -> list[tuple[object, ...]]:
        found = [self.memory.queries[session][name] for session, name in sorted(self._changed_queries)]
        return [
            (
                query.session_id,
                query.name,
                query.namespace,
                query.uid,
                query.phase,
                query.last_activity or 0,
                self.head,
                query.encode(),
            )
            for query in found
        ]

    def _session_rows(self, changed: Sequence[SessionSummary]) -> list[tuple[object, ...]]:
        return [
            (
                session.id,
                session.status,
                session.namespace,
                session.last_activity or 0,
                self.head,
                self.memory.gone.get(session.id, 0),
                session.search,
                session.encode(),
            )
            for session in changed
        ]

    async def _unlist(self, session_ids: Sequence[str]) -> None:
        for start in range(0, len(session_ids), 500):
            page = session_ids[start : start + 500]
            await self.connection.execute(delete(ark_sessions).where(ark_sessions.c.id.in_(page)))
