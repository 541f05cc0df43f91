"""Reads for the surface that Ark's programs use: its list of sessions, traces by their first span, stored messages.

Each is bounded: what a count or a filter looks at is never the whole history.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ark_broker.log.confine import as_seen, in_order
from ark_broker.log.contents import fetch_events
from ark_broker.log.memory import decode_session
from ark_broker.log.read import SCAN_LIMIT, fetch_queries
from ark_broker.log.scope import Scope
from ark_broker.log.tables import FEEDS, GONE, ark_sessions, events, packs, sessions
from ark_broker.model import Event
from ark_broker.sessions.summary import QuerySummary, SessionSummary

#: What is counted exactly. Beyond it a count says only that there are more.
COUNT_LIMIT: Final = 10_000
#: Spans in one page of traces, at most; and of one trace in it.
MAX_PAGE_SPANS: Final = 20_000
#: Messages that `memory_status` looks at, the newest.
MAX_STATUS_MESSAGES: Final = 100_000

Sort = Literal["date", "name", "conversations"]
_STATUSES: Final = ("active", "idle", "error")


@dataclass(frozen=True, slots=True)
class ArkFilter:
    """Conditions on sessions; None means any. Times are nanoseconds of last activity, both included."""

    status: str | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None

    @property
    def where(self) -> list[ColumnElement[bool]]:
        """As conditions on `ark_sessions`."""
        found: list[ColumnElement[bool]] = []
        if self.status is not None:
            found.append(ark_sessions.c.status == self.status)
        if self.since is not None:
            found.append(ark_sessions.c.activity >= self.since)
        if self.until is not None:
            found.append(ark_sessions.c.activity <= self.until)
        return found


@dataclass(frozen=True, slots=True)
class WholeSession:
    """A session's summary and those of its queries."""

    summary: SessionSummary
    queries: list[QuerySummary]


@dataclass(frozen=True, slots=True)
class SessionPage:
    """A page of the list. `counts` is by status, of all that match, each counted up to `COUNT_LIMIT`."""

    items: list[WholeSession]
    more: bool
    counts: dict[str, int]


@dataclass(slots=True)
class TracePage:
    """Traces, newest first: spans by trace id, each trace's in the order in which they came.

    `next` is the cursor for what follows; None at the end.
    """

    traces: dict[str, list[Event]] = field(default_factory=dict)
    next: int | None = None


async def list_sessions(
    connection: AsyncConnection, conditions: ArkFilter, sort: Sort, *, descending: bool, offset: int, limit: int
) -> SessionPage:
    """Sessions from `offset` on. With free text, of the `SCAN_LIMIT` that were active last."""
    matching = select(ark_sessions.c.id, ark_sessions.c.namespace, *_columns(sort)).where(*conditions.where)
    if conditions.text:
        matching = _searched(matching, conditions.text)
    rows = matching.subquery()
    order = [*(rows.c[column.name] for column in _columns(sort)), in_order(connection, rows)]
    page = select(rows.c.id).order_by(*(column.desc() if descending else column for column in order))
    ids = list((await connection.execute(page.offset(offset).limit(limit + 1))).scalars())
    return SessionPage(
        await whole_sessions(connection, ids[:limit]), len(ids) > limit, await _counts(connection, conditions)
    )


def _columns(sort: Sort) -> list[Any]:
    match sort:
        case "date":
            return [ark_sessions.c.activity]
        case "name":
            return [ark_sessions.c.name]
    return [ark_sessions.c.conversations, ark_sessions.c.activity]


def _searched(matching: Select[Any], text: str) -> Select[Any]:
    newest = select(ark_sessions.c.id).order_by(ark_sessions.c.activity.desc(), ark_sessions.c.id.desc())
    contains = ark_sessions.c.search.contains(text.lower(), autoescape=True)
    return matching.where(ark_sessions.c.id.in_(newest.limit(SCAN_LIMIT)), contains)


async def _counts(connection: AsyncConnection, conditions: ArkFilter) -> dict[str, int]:
    found = dict.fromkeys(_STATUSES, 0)
    for status in _STATUSES if conditions.status is None else (conditions.status,):
        each = select(ark_sessions.c.id).where(ark_sessions.c.status == status, *conditions.where)
        if conditions.text:
            each = _searched(each, conditions.text)
        bounded = each.limit(COUNT_LIMIT).subquery()
        found[status] = (await connection.execute(select(func.count()).select_from(bounded))).scalar_one()
    return found


async def whole_session(connection: AsyncConnection, session_id: str) -> WholeSession | None:
    """The session of Ark's list with that id; None where there is none."""
    found = await connection.execute(select(ark_sessions.c.id).where(ark_sessions.c.id == session_id))
    return next(iter(await whole_sessions(connection, list(found.scalars()))), None)


async def whole_sessions(connection: AsyncConnection, ids: Sequence[str]) -> list[WholeSession]:
    """The sessions of Ark's list with these stored ids, in their order; those that are not in it are left out."""
    rows = await connection.execute(
        select(sessions.c.id, sessions.c.state)
        .join(ark_sessions, ark_sessions.c.id == sessions.c.id)
        .where(sessions.c.id.in_(ids), sessions.c.status != GONE)
    )
    summaries = {row.id: as_seen(connection, decode_session(row.state)) for row in rows}
    queries = await fetch_queries(connection, list(summaries))
    return [WholeSession(summaries[key], queries.get(key, [])) for key in ids if key in summaries]


async def count(connection: AsyncConnection, scope: Scope, *, query: str | None = None) -> int | None:
    """How many events the stream has; None where there are more than `COUNT_LIMIT`."""
    conditions = [*scope.where, *([events.c.query == query] if query is not None else [])]
    if scope.expires:
        conditions.append(unexpired())
    bounded = select(events.c.seq).where(*conditions).limit(COUNT_LIMIT + 1).subquery()
    found = (await connection.execute(select(func.count()).select_from(bounded))).scalar_one()
    if scope.packed_columns is not None and found <= COUNT_LIMIT:
        where, _, last = scope.packed_columns
        in_packs = select(packs.c.events).where(*where).order_by(last).limit(COUNT_LIMIT).subquery()
        found += (await connection.execute(select(func.coalesce(func.sum(in_packs.c.events), 0)))).scalar_one()
    return int(found) if found <= COUNT_LIMIT else None


def unexpired() -> ColumnElement[bool]:
    """True of what has no time to live, or has not lived it out."""
    return or_(events.c.expires_at.is_(None), events.c.expires_at > time.time_ns())


# -- messages ------------------------------------------------------------------------------------------------------


async def conversation_ids(connection: AsyncConnection, after: str, limit: int) -> list[str]:
    """Conversations that have messages, by id, from `after` on. One step in the index for each, however long it is."""
    column = events.c.conversation_id
    first = select(func.min(column).label("id")).where(FEEDS["messages"], column > after, unexpired())
    known = first.cte("known", recursive=True)
    following = select(func.min(column)).where(FEEDS["messages"], column > known.c.id, unexpired())
    known = known.union_all(select(following.scalar_subquery()).where(known.c.id.is_not(None)))
    found = await connection.execute(select(known.c.id).where(known.c.id.is_not(None)).limit(limit))
    return [str(each) for each in found.scalars()]


async def memory_status(connection: AsyncConnection) -> list[tuple[str, int, int]]:
    """(conversation, messages, queries) of the newest `MAX_STATUS_MESSAGES` messages."""
    newest = (
        select(events.c.conversation_id, events.c.query)
        .where(FEEDS["messages"], unexpired())
        .order_by(events.c.seq.desc())
        .limit(MAX_STATUS_MESSAGES)
        .subquery()
    )
    rows = await connection.execute(
        select(newest.c.conversation_id, func.count(), func.count(func.distinct(newest.c.query))).group_by(
            newest.c.conversation_id
        )
    )
    return [(conversation or "", messages, queries) for conversation, messages, queries in rows]


# -- traces --------------------------------------------------------------------------------------------------------


async def list_traces(
    connection: AsyncConnection, before: int | None, limit: int, session_id: str | None = None
) -> TracePage:
    """Traces whose first span stands before position `before`, newest first; of a session, only its own spans.

    Of the log (or session), `SCAN_LIMIT` spans are looked at, at most: a page may be short, even empty, while there is
    a cursor for the next one.
    """
    scope = Scope("log", "", "spans") if session_id is None else Scope("session", session_id, "spans")
    firsts, end = await _first_spans(connection, scope, before, limit)
    page = TracePage(next=end)
    left = MAX_PAGE_SPANS
    for number, (trace_id, position) in enumerate(firsts):
        conditions = [*scope.where[1:], FEEDS["spans"], events.c.trace_id == trace_id]
        statement = select(events).where(*conditions).order_by(scope.column).limit(min(left, MAX_PAGE_SPANS // 2))
        spans = await fetch_events(connection, statement)
        page.traces[trace_id.hex()] = spans
        left -= len(spans)
        if left <= 0 and number + 1 < len(firsts):
            page.next = position
            break
    return page


async def _first_spans(
    connection: AsyncConnection, scope: Scope, before: int | None, limit: int
) -> tuple[list[tuple[bytes, int]], int | None]:
    """(trace id, position) of the spans that are the first of their trace; and the cursor for what follows."""
    position = scope.column
    window = select(position.label("position"), events.c.trace_id).where(*scope.where, events.c.trace_id.is_not(None))
    window = window.where(*([position < before] if before is not None else [])).order_by(position.desc())
    scanned = window.limit(SCAN_LIMIT).subquery()
    earlier = events.alias("earlier")
    own = [earlier.c.trace_id == scanned.c.trace_id, earlier.c.kind == "span"]
    if scope.kind == "session":
        own += [earlier.c.session_id == scope.name, earlier.c.session_seq < scanned.c.position]
    else:
        own.append(earlier.c.seq < scanned.c.position)
    has_earlier = select(earlier.c.seq).where(and_(*own)).exists()
    firsts = select(scanned.c.trace_id, scanned.c.position).where(~has_earlier)
    rows = (await connection.execute(firsts.order_by(scanned.c.position.desc()).limit(limit + 1))).all()
    found = [(row.trace_id, row.position) for row in rows]
    if len(found) > limit:
        return found[:limit], found[limit - 1][1]
    last = (await connection.execute(window.offset(SCAN_LIMIT - 1).limit(1))).first()
    return found, None if last is None else last.position


async def spans_of_trace(connection: AsyncConnection, trace_id: str) -> list[Event]:
    """The trace's spans in the order in which they came, `MAX_PAGE_SPANS` at most."""
    scope = Scope("trace", trace_id, "spans")
    return await fetch_events(
        connection, select(events).where(*scope.where).order_by(scope.column).limit(MAX_PAGE_SPANS)
    )
