"""Removes what somebody asked to be forgotten: in steps, each under the head's lock, with an event that says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, delete, select, update

from ark_broker.log.read import fetch_queries
from ark_broker.log.tables import FEEDS, GONE, events, log_head, packs, queries, sessions
from ark_broker.log.transaction import Commit, Transaction
from ark_broker.model import Event
from ark_broker.model.vocabulary import LOG_PURGED, QUERY_DELETED
from ark_broker.sessions.ark import recounted
from ark_broker.sessions.summary import QuerySummary, SessionSummary

#: Rows that one transaction removes: short enough that nobody waits for it.
_STEP: Final = 2_000
#: Sessions that one transaction takes a query out of, or out of the list.
_SESSIONS: Final = 200

Operate = Callable[[Callable[[Transaction], Awaitable[list[Event]]]], Awaitable[Commit]]


async def remove(
    operate: Operate, where: Sequence[ColumnElement[bool]], kind: str, content: Mapping[str, object]
) -> int:
    """Remove the events for which `where` holds by now; returns how many.

    Leaves an event of type `kind`, unless there was nothing to remove.
    """
    removed, until = 0, -1

    async def step(transaction: Transaction) -> list[Event]:
        nonlocal removed, until
        until = transaction.prior if until < 0 else until
        found = await _delete(transaction, [*where, events.c.seq <= until])
        news = [await transaction.tombstone(kind, None, content)] if found and not removed else []
        removed += found
        return news

    before = -1
    while removed - before >= _STEP or before < 0:
        before = removed
        await operate(step)
    return removed


async def purge(operate: Operate, feed: str, content: Mapping[str, object]) -> int:
    """Remove every event of that feed (`log.scope`) that is in the log by now; returns how many.

    The audit event comes first, and the log's floor is raised: who comes back with an older cursor is told.
    """
    until = 0

    async def announce(transaction: Transaction) -> list[Event]:
        nonlocal until
        until = transaction.prior
        audit = await transaction.tombstone(LOG_PURGED, None, content)
        await transaction.connection.execute(update(log_head).where(log_head.c.floor < until).values(floor=until))
        return [audit]

    await operate(announce)
    removed, found = 0, _STEP

    async def step(transaction: Transaction) -> list[Event]:
        nonlocal found
        found = await _delete(transaction, [FEEDS[feed], events.c.seq <= until])
        return []

    while found >= _STEP:
        await operate(step)
        removed += found
    if feed == "chunks":
        removed += await _purge_packs(operate, until)
    return removed


async def _purge_packs(operate: Operate, until: int) -> int:
    removed = 0
    found = _SESSIONS

    async def step(transaction: Transaction) -> list[Event]:
        nonlocal found, removed
        await transaction.dialect.lock_packing(transaction.connection)
        doomed = select(packs.c.first_seq, packs.c.events).where(packs.c.last_seq <= until).limit(_SESSIONS)
        rows = (await transaction.connection.execute(doomed)).all()
        await transaction.connection.execute(delete(packs).where(packs.c.first_seq.in_([row[0] for row in rows])))
        found, removed = len(rows), removed + sum(row[1] for row in rows)
        return []

    while found >= _SESSIONS:
        await operate(step)
    return removed


async def _delete(transaction: Transaction, where: Sequence[ColumnElement[bool]]) -> int:
    doomed = select(events.c.seq).where(*where).limit(_STEP)
    result = await transaction.connection.execute(delete(events).where(events.c.seq.in_(doomed)))
    return int(result.rowcount)


async def unlist_query(operate: Operate, name: str) -> int:
    """Take the query of that name out of every session that Ark's clients see; returns how many had it."""
    removed, found, last = 0, _SESSIONS, ""

    async def step(transaction: Transaction) -> list[Event]:
        nonlocal removed, found, last
        page = (
            select(queries.c.session_id)
            .where(queries.c.name == name, queries.c.session_id > last)
            .order_by(queries.c.session_id)
            .limit(_SESSIONS)
        )
        ids = list((await transaction.connection.execute(page)).scalars())
        found, last = len(ids), ids[-1] if ids else last
        changed = await _unlist(transaction, ids, lambda query: query.name == name)
        removed += len(changed)
        return [await transaction.tombstone(QUERY_DELETED, each, {"query": name}) for each in changed]

    while found >= _SESSIONS:
        await operate(step)
    return removed


async def unlist_sessions(operate: Operate, content: Mapping[str, object]) -> int:
    """Take every session out of the list that Ark's clients see; returns how many. What happened stays in the log."""
    removed, found, last = 0, _SESSIONS, ""

    async def step(transaction: Transaction) -> list[Event]:
        nonlocal removed, found, last
        news = [] if last else [await transaction.tombstone(LOG_PURGED, None, content)]
        page = select(sessions.c.id).where(sessions.c.status != GONE, sessions.c.id > last).order_by(sessions.c.id)
        ids = list((await transaction.connection.execute(page.limit(_SESSIONS))).scalars())
        found, last = len(ids), ids[-1] if ids else last
        removed += len(await _unlist(transaction, ids, lambda _query: True))
        return news

    while found >= _SESSIONS:
        await operate(step)
    return removed


async def _unlist(transaction: Transaction, ids: Sequence[str], chosen: Callable[[QuerySummary], bool]) -> list[str]:
    """Take the chosen queries out of these sessions' lists; returns the sessions that had one of them."""
    await transaction.memory.load_sessions(transaction.connection, ids)
    every = await fetch_queries(transaction.connection, ids)
    await transaction.memory.load_queries(
        transaction.connection, [(each, query.name) for each in ids for query in every.get(each, ()) if chosen(query)]
    )
    changed = []
    for each in ids:
        session = transaction.memory.sessions[each]
        known = {query.name: query for query in every.get(each, ())} | transaction.memory.queries.get(each, {})
        listed = [query for query in known.values() if chosen(query) and _is_listed(session, query)]
        for query in listed:
            query.ark, query.unlisted = None, True
            transaction.changed(each, query.name)
        if listed:
            _recount(session, known)
            transaction.changed(each, None)
            changed.append(each)
    return changed


def _is_listed(session: SessionSummary, query: QuerySummary) -> bool:
    if session.ark is not None:
        return query.ark is not None and query.ark.first > 0
    return not query.unlisted and not session.unlisted


def _recount(session: SessionSummary, known: Mapping[str, QuerySummary]) -> None:
    if session.ark is not None:
        told = {name: query.ark for name, query in known.items() if query.ark is not None}
        session.ark = recounted(told, session.ark)
        # What other telemetry tells of it does not bring it back.
        session.unlisted = session.ark is None
    else:
        session.unlisted = all(query.unlisted for query in known.values())


async def expire(operate: Operate, now: int) -> int:
    """Remove events whose time to live is over at `now` (ns); returns how many."""
    removed, found = 0, _STEP

    async def step(transaction: Transaction) -> list[Event]:
        nonlocal found
        found = await _delete(transaction, [events.c.expires_at <= now])
        return []

    while found >= _STEP:
        await operate(step)
        removed += found
    return removed
