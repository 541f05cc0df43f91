"""Reads of the log and its summaries. Every one of them is served by an index; none scans the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ark_broker.log.confine import as_seen, in_order, is_confined, namespaces_of, unqualified
from ark_broker.log.contents import fetch_events
from ark_broker.log.database import Database
from ark_broker.log.memory import decode_query, decode_session, fetch_links, link_of_call, select_links
from ark_broker.log.packs import Packed, packed_between, unpack
from ark_broker.log.scope import Scope
from ark_broker.log.tables import GONE, events, links, log_head, packs, queries, sessions
from ark_broker.model import Event
from ark_broker.model.names import shown
from ark_broker.model.vocabulary import STREAM_COMPLETED, TOMBSTONES
from ark_broker.sessions.correlate import Link
from ark_broker.sessions.keys import OF_NAMESPACE, is_call, query_key
from ark_broker.sessions.summary import AGENT_MARK, QuerySummary, SessionSummary

#: Rows looked at for one filtered page. A rarer match is found on a later page: the cursor moves on.
SCAN_LIMIT: Final = 10_000
#: What an event takes beside its body, roughly.
_EVENT_BYTES: Final = 400
#: Sessions whose queries are read at once.
_IDS: Final = 500
#: Events read at once by who wants all of a stream's.
_EACH_PAGE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Head:
    """Which log this is, how far it goes, and below which position retention removed something."""

    log_id: str
    seq: int
    floor: int


@dataclass(frozen=True, slots=True)
class Page:
    """Events after a cursor. `next` is the cursor for what follows; `more` that something may follow."""

    events: list[Event]
    next: int
    more: bool


class Stride:
    """How many events to read next, so that what is held at once stays near `size` bytes, however long events are.

    It begins with few, for nothing is known yet, and grows while they turn out to be short.
    """

    def __init__(self, size: int, most: int = 500) -> None:
        self._size = size
        self._most = most
        self.rows = 2

    def took(self, batch: Sequence[Event]) -> None:
        """Learn from what was read."""
        if batch:
            each = sum(len(event.body) for event in batch) // len(batch) + _EVENT_BYTES
            self.rows = max(1, min(self._most, self.rows * 4, self._size // each))


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The last of a query's chunks: its positions, and whether it is a completion marker."""

    seq: int
    query_seq: int
    completed: bool


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session's summary, and the position of its last change."""

    summary: SessionSummary
    seq: int


@dataclass(frozen=True, slots=True)
class SessionChange:
    """A step in the list of sessions: `summary` is None for a session that is no more."""

    id: str
    seq: int
    summary: SessionSummary | None
    #: Its queries, where they were asked for.
    queries: tuple[QuerySummary, ...] = ()
    namespace: str | None = None

    def unqualified(self) -> SessionChange:
        """The same, with names as who is limited to namespaces sees them."""
        summary = None if self.summary is None else unqualified(self.summary)
        return replace(self, id=shown(self.id), summary=summary, queries=tuple(map(unqualified, self.queries)))


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Conditions on sessions; None or empty means any. Times are nanoseconds of last activity."""

    status: str | None = None
    namespace: str | None = None
    agent: str | None = None
    query: str | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None


class Reader:
    """Reads on the reader pool. Methods that take a connection can share one snapshot."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def snapshot(self) -> Any:
        """`async with reader.snapshot() as connection`: every read on it sees one state of the log."""
        return self._database.snapshot

    def confined(self, namespaces: frozenset[str]) -> Reader:
        """A reader of these namespaces only: for it, nothing else is there."""
        return Reader(self._database.confined(namespaces))

    async def stored_session_id(self, session_id: str) -> str | None:
        """What the session is called in the log (`model.names`); None where there is none."""
        known = select(sessions.c.id).where(sessions.c.id == session_id, sessions.c.status != GONE)
        async with self._database.reader.connect() as connection:
            return (await connection.execute(known)).scalar_one_or_none()

    async def head(self, connection: AsyncConnection | None = None) -> Head:
        """Identity, end and floor of the log."""
        if connection is None:
            async with self._database.reader.connect() as own:
                return await self.head(own)
        row = (await connection.execute(select(log_head.c.log_id, log_head.c.seq, log_head.c.floor))).one()
        return Head(row.log_id, row.seq, row.floor)

    # -- events ------------------------------------------------------------------------------------

    async def page(
        self,
        scope: Scope,
        after: int,
        limit: int,
        *,
        types: Sequence[str] = (),
        query: str | None = None,
        connection: AsyncConnection | None = None,
    ) -> Page:
        """Events of the stream after position `after`, in order.

        With a filter at most `SCAN_LIMIT` rows are looked at: a page may then be short, even empty, while `more` is
        true; go on from `next`.
        """
        if connection is None:
            async with self._database.reader.connect() as own:
                return await self.page(scope, after, limit, types=types, query=query, connection=own)
        position = scope.column
        window = select(events).where(*scope.where, position > after).order_by(position)
        until: int | None = None
        if scope.expires:
            window = window.where(_unexpired())
        if types or query is not None or not scope.is_indexed:
            until = await self._scan_end_of(connection, scope, after)
            window = window.where(*([events.c.type.in_(types)] if types else []))
            window = window.where(*([events.c.query == query] if query is not None else []))
            window = window.where(*([position <= until] if until is not None else []))
        found = await fetch_events(connection, window.limit(limit))
        if len(found) == limit:
            until = scope.position(found[-1])
        # Rows first, packs second: what is packed in between is then seen twice rather than never.
        packed = Packed([], until)
        if scope.packed_columns is not None:
            packed = await packed_between(connection, *scope.packed_columns, scope.position, after, until, limit)
        merged = {event.seq: event for event in packed.events if _matches(event, types, query)}
        merged |= {event.seq: event for event in found if _is_within(scope.position(event), packed.until)}
        ordered = sorted(merged.values(), key=lambda event: scope.position(event) or 0)
        if len(ordered) > limit:
            return Page(ordered[:limit], scope.position(ordered[limit - 1]) or after, True)
        if packed.until is not None:
            return Page(ordered, max(after, packed.until), True)
        return Page(ordered, (scope.position(ordered[-1]) or after) if ordered else after, False)

    async def each(
        self,
        scope: Scope,
        after: int,
        most: int,
        take: Callable[[Event], None],
        *,
        query: str | None = None,
        connection: AsyncConnection,
    ) -> int | None:
        """Hand the stream's visible events to `take`, in order. Where there are more than about `most`, the rest is
        left out, and the position is returned up to which they were read."""
        count, more = 0, True
        while more and count < most:
            page = await self.page(scope, after, _EACH_PAGE, query=query, connection=connection)
            for event in visible(page.events):
                take(event)
            after, more, count = page.next, page.more, count + len(page.events)
        return after if more else None

    @staticmethod
    async def _scan_end_of(connection: AsyncConnection, scope: Scope, after: int) -> int | None:
        """The position that a filtered page looks at last; None where that is the end of the stream."""
        position = scope.column
        # Of a stream without an index of its own, rows of the one that it is a part of are counted.
        whole = scope if scope.is_indexed else Scope(scope.kind, scope.name)
        rows = select(position).where(*whole.where, position > after).order_by(position)
        return (await connection.execute(rows.offset(SCAN_LIMIT - 1).limit(1))).scalar_one_or_none()

    async def between(self, after: int, until: int, limit: int) -> list[tuple[int, Event]]:
        """What commits in (after, until] delivered: new events, and adopted ones, by position."""
        moved = [
            and_(column != events.c.seq, column > after, column <= until)
            for column in (events.c.session_seq, events.c.query_seq)
        ]
        async with self._database.snapshot() as connection:
            new = select(events).where(events.c.seq > after, events.c.seq <= until).order_by(events.c.seq)
            found = {event.seq: event for event in await fetch_events(connection, new.limit(limit))}
            for condition in moved:
                for event in await fetch_events(connection, select(events).where(condition).limit(limit)):
                    found.setdefault(event.seq, event)
        deliveries = []
        for event in found.values():
            positions = {event.seq, event.session_seq, event.query_seq}
            deliveries += [(p, event) for p in positions if p is not None and after < p <= until]
        return sorted(deliveries, key=lambda delivery: delivery[0])

    async def trace(self, trace_id: str, limit: int) -> list[Event]:
        """Events of the trace, in the order they were received."""
        statement = (
            select(events).where(events.c.trace_id == bytes.fromhex(trace_id)).order_by(events.c.seq).limit(limit)
        )
        async with self._database.reader.connect() as connection:
            return await fetch_events(connection, statement)

    async def last_position(self, scope: Scope) -> int:
        """Position of the newest event of the stream; 0 where there is none."""
        in_rows = select(scope.column).where(*scope.where).order_by(scope.column.desc()).limit(1)
        statements: list[Select[Any]] = [in_rows]
        if scope.packed_columns is not None:
            where, _, last = scope.packed_columns
            statements.append(select(last).where(*where).order_by(last.desc()).limit(1))
        async with self._database.reader.connect() as connection:
            found = [(await connection.execute(query)).scalar_one_or_none() for query in statements]
        return max(position or 0 for position in found)

    async def last_chunk(self, query: str) -> Event | None:
        """The newest chunk, or completion marker, of the query's stream."""
        in_rows = (
            select(events)
            .where(events.c.query == query, events.c.kind == "chunk")
            .order_by(events.c.query_seq.desc())
            .limit(1)
        )
        in_packs = select(packs.c.data).where(packs.c.query == query).order_by(packs.c.last_query_seq.desc()).limit(1)
        async with self._database.reader.connect() as connection:
            found = await fetch_events(connection, in_rows)
            data = (await connection.execute(in_packs)).scalar_one_or_none()
            if data is not None:
                found += [as_seen(connection, event) for event in unpack(data)]
        return max(found, key=lambda event: event.query_seq or 0, default=None)

    async def end_of_stream(self, query: str) -> StreamEnd | None:
        """Where the query's chunks end, without reading any; None where there is none."""
        in_rows = (
            select(events.c.seq, events.c.query_seq, events.c.type)
            .where(events.c.query == query, events.c.kind == "chunk")
            .order_by(events.c.query_seq.desc())
            .limit(1)
        )
        in_packs = (
            select(packs.c.last_seq, packs.c.last_query_seq)
            .where(packs.c.query == query)
            .order_by(packs.c.last_query_seq.desc())
            .limit(1)
        )
        async with self._database.reader.connect() as connection:
            row = (await connection.execute(in_rows)).one_or_none()
            pack = (await connection.execute(in_packs)).one_or_none()
        if row is not None and (pack is None or row.query_seq > pack.last_query_seq):
            return StreamEnd(row.seq, row.query_seq, row.type == STREAM_COMPLETED)
        # A stream is packed up to its marker, once it is finished.
        return None if pack is None else StreamEnd(pack.last_seq, pack.last_query_seq, completed=True)

    async def completed_since(self, query: str, after: int) -> bool:
        """True where the query's stream was marked complete behind position `after`."""
        marker = (
            select(events.c.seq)
            .where(events.c.query == query, events.c.query_seq > after, events.c.type == STREAM_COMPLETED)
            .limit(1)
        )
        async with self._database.reader.connect() as connection:
            return (await connection.execute(marker)).first() is not None

    # -- sessions and queries ----------------------------------------------------------------------

    async def session(self, session_id: str, connection: AsyncConnection | None = None) -> SessionRow | None:
        """The session's summary; None where there is none, or it was deleted."""
        if connection is None:
            async with self._database.reader.connect() as own:
                return await self.session(session_id, own)
        row = (
            await connection.execute(
                select(sessions.c.state, sessions.c.seq).where(sessions.c.id == session_id, sessions.c.status != GONE)
            )
        ).one_or_none()
        return None if row is None else SessionRow(as_seen(connection, decode_session(row.state)), row.seq)

    async def gone_at(self, session_id: str) -> int:
        """Position at which the session was last deleted; 0 if never."""
        async with self._database.reader.connect() as connection:
            found = await connection.execute(select(sessions.c.gone_seq).where(sessions.c.id == session_id))
            return found.scalar_one_or_none() or 0

    async def session_list(
        self, conditions: SessionFilter, before: tuple[int, str] | None, limit: int
    ) -> tuple[list[SessionRow], tuple[int, str] | None]:
        """Sessions by last activity, newest first, from `before` on; and the cursor for what follows.

        Free text and agent look at `SCAN_LIMIT` sessions at most, so a page may be short while a cursor
        says that there may be more.
        """
        async with self._database.reader.connect() as connection:
            if conditions.query is not None:
                rows = await self._sessions_with_query(connection, conditions, before, limit)
            else:
                rows = await self._sessions_by_activity(connection, conditions, before, limit)
            found = [SessionRow(as_seen(connection, decode_session(row.state)), row.seq) for row in rows[:limit]]
            if len(rows) > limit:
                last = rows[limit - 1]
                return found, (last.last_activity, found[-1].summary.id)
            if conditions.text or conditions.agent:
                return found, await self._scan_end(connection, conditions, before)
            return found, None

    @staticmethod
    async def _sessions_by_activity(
        connection: AsyncConnection, conditions: SessionFilter, before: tuple[int, str] | None, limit: int
    ) -> Sequence[Row[Any]]:
        window = _by_activity(connection, conditions, before)
        if conditions.text or conditions.agent:
            inner = window.limit(SCAN_LIMIT).subquery()
            window = select(inner).where(*_text_conditions(conditions, inner.c.search))
            window = window.order_by(inner.c.last_activity.desc(), in_order(connection, inner).desc())
        found: Sequence[Row[Any]] = (await connection.execute(window.limit(limit + 1))).all()
        return found

    @staticmethod
    async def _sessions_with_query(
        connection: AsyncConnection, conditions: SessionFilter, before: tuple[int, str] | None, limit: int
    ) -> Sequence[Row[Any]]:
        named = select(queries.c.session_id).where(queries.c.name == conditions.query)
        window = _by_activity(connection, conditions, before).where(
            sessions.c.id.in_(named), *_text_conditions(conditions, sessions.c.search)
        )
        found: Sequence[Row[Any]] = (await connection.execute(window.limit(limit + 1))).all()
        return found

    @staticmethod
    async def _scan_end(
        connection: AsyncConnection, conditions: SessionFilter, before: tuple[int, str] | None
    ) -> tuple[int, str] | None:
        rows = _by_activity(connection, conditions, before).offset(SCAN_LIMIT - 1).limit(1)
        row = (await connection.execute(rows)).one_or_none()
        if row is None:
            return None
        return row.last_activity, shown(row.id) if is_confined(connection) else row.id

    async def session_changes(
        self, after: int, until: int, limit: int, *, only: str = "", whole: bool = False
    ) -> list[SessionChange]:
        """Sessions that changed in positions (after, until], each once, by the position of its last change.

        `only`: the session of that id. `whole`: with their queries.
        """
        statement = (
            select(sessions.c.id, sessions.c.seq, sessions.c.status, sessions.c.namespace, sessions.c.state)
            .where(*([sessions.c.id == only] if only else []), sessions.c.seq > after, sessions.c.seq <= until)
            .order_by(sessions.c.seq, sessions.c.id)
            .limit(limit)
        )
        async with self._database.reader.connect() as connection:
            rows = (await connection.execute(statement)).all()
            seen = is_confined(connection)
        changes = [
            SessionChange(
                row.id,
                row.seq,
                None if row.status == GONE else decode_session(row.state),
                namespace=row.namespace,
            )
            for row in rows
        ]
        if len(changes) == limit and changes[0].seq != changes[-1].seq:
            # One commit changes many sessions at one position: never stop in the middle of them.
            changes = [change for change in changes if change.seq != changes[-1].seq]
        changes = await self.with_queries(changes) if whole else changes
        # Of those at one position, too, the order is that of the names that are seen.
        changes.sort(key=lambda change: (change.seq, shown(change.id)))
        return [change.unqualified() for change in changes] if seen else changes

    async def with_queries(self, changes: Sequence[SessionChange]) -> list[SessionChange]:
        """The same changes, with the queries that each session has by now."""
        ids = [change.id for change in changes if change.summary is not None]
        async with self._database.reader.connect() as connection:
            found = await fetch_queries(connection, ids)
        return [replace(change, queries=tuple(found.get(change.id, ()))) for change in changes]

    async def queries_of(self, session_id: str, limit: int, connection: AsyncConnection) -> list[QuerySummary]:
        """Summaries of the session's queries, by name."""
        rows = await connection.execute(
            select(queries.c.state).where(queries.c.session_id == session_id).order_by(queries.c.name).limit(limit)
        )
        return [as_seen(connection, decode_query(state)) for state in rows.scalars()]

    async def find_queries(
        self, name_or_uid: str, namespace: str | None, session_id: str | None, limit: int = 20
    ) -> list[tuple[QuerySummary, int]]:
        """Queries by name, or by uid, and the position of each one's last change."""
        conditions = [or_(queries.c.name == name_or_uid, queries.c.uid == name_or_uid)]
        if namespace is not None:
            conditions.append(queries.c.namespace == namespace)
        if session_id is not None:
            conditions.append(queries.c.session_id == session_id)
        statement = select(queries.c.state, queries.c.seq).where(*conditions).order_by(queries.c.seq).limit(limit)
        async with self._database.reader.connect() as connection:
            rows = (await connection.execute(statement)).all()
            return [(as_seen(connection, decode_query(row.state)), row.seq) for row in rows]

    async def links(self, keys: Sequence[str]) -> dict[str, Link]:
        """Links by key, of those that exist: one look-up in the index. A tool call's may be in the log itself."""
        async with self._database.reader.connect() as connection:
            found = await fetch_links(connection, select_links().where(links.c.key.in_(keys)))
            for key in keys:
                if key not in found and is_call(key) and (link := await link_of_call(connection, key)) is not None:
                    found[key] = link
            return {key: as_seen(connection, link) for key, link in found.items()}

    async def links_of(self, session_id: str, after: str, limit: int) -> dict[str, Link]:
        """Links to the session by key, in the order of the keys, from `after` on."""
        statement = (
            select_links()
            .where(links.c.session_id == session_id, links.c.key > after)
            .order_by(links.c.key)
            .limit(limit)
        )
        async with self._database.reader.connect() as connection:
            if (namespaces := namespaces_of(connection)) is not None:
                statement = statement.where(~_has_own_form(namespaces))
            found = await fetch_links(connection, statement)
            return {key: as_seen(connection, link) for key, link in found.items()}

    async def has_waiting_query(self, name: str) -> bool:
        """True where events name the query, and no session of it is known yet."""
        async with self._database.reader.connect() as connection:
            found = await connection.execute(select(links.c.key).where(links.c.key == query_key(name)))
            return found.scalar_one_or_none() is not None


def _has_own_form(namespaces: Sequence[str]) -> ColumnElement[bool]:
    """True of a key that stands beside one of the namespace's own: only whoever came first has it in both forms."""
    own = links.alias("own")
    forms = [links.c.key + f"{OF_NAMESPACE}{namespace}" for namespace in namespaces]
    return select(own.c.key).where(own.c.key.in_(forms)).exists()


async def fetch_queries(connection: AsyncConnection, session_ids: Sequence[str]) -> dict[str, list[QuerySummary]]:
    """Summaries of all queries of these sessions, which go by their stored ids, by session."""
    found: dict[str, list[QuerySummary]] = {}
    for start in range(0, len(session_ids), _IDS):
        page = session_ids[start : start + _IDS]
        rows = await connection.execute(select(queries.c.state).where(queries.c.session_id.in_(page)))
        for state in rows.scalars():
            query = decode_query(state)
            found.setdefault(query.session_id, []).append(as_seen(connection, query))
    return found


def _unexpired() -> ColumnElement[bool]:
    return or_(events.c.expires_at.is_(None), events.c.expires_at > time.time_ns())


def _matches(event: Event, types: Sequence[str], query: str | None) -> bool:
    return (not types or event.type in types) and (query is None or event.query == query)


def _is_within(position: int | None, until: int | None) -> bool:
    return until is None or (position is not None and position <= until)


def visible(batch: Iterable[Event]) -> list[Event]:
    """The events that a view shows: all but the broker's own tombstones."""
    return [event for event in batch if event.type not in TOMBSTONES]


def _by_activity(connection: AsyncConnection, conditions: SessionFilter, before: tuple[int, str] | None) -> Select[Any]:
    name = in_order(connection, sessions)
    statement = select(
        sessions.c.id,
        sessions.c.namespace,
        sessions.c.last_activity,
        sessions.c.seq,
        sessions.c.search,
        sessions.c.state,
    ).order_by(sessions.c.last_activity.desc(), name.desc())
    if conditions.status is not None:
        statement = statement.where(sessions.c.status == conditions.status)
    else:
        statement = statement.where(sessions.c.status != GONE)
    if conditions.namespace is not None:
        statement = statement.where(sessions.c.namespace == conditions.namespace)
    if conditions.since is not None:
        statement = statement.where(sessions.c.last_activity >= conditions.since)
    if conditions.until is not None:
        statement = statement.where(sessions.c.last_activity < conditions.until)
    if before is not None:
        activity, session_id = before
        statement = statement.where(
            or_(
                sessions.c.last_activity < activity,
                and_(sessions.c.last_activity == activity, name < session_id),
            )
        )
    return statement


def _text_conditions(conditions: SessionFilter, search: ColumnElement[str]) -> list[ColumnElement[bool]]:
    found = []
    if conditions.text:
        found.append(search.contains(conditions.text.lower(), autoescape=True))
    if conditions.agent:
        found.append(search.contains(f"\n{AGENT_MARK}{conditions.agent.lower()}\n", autoescape=True))
    return found
