"""Carry out adoptions: events stored earlier join the session, or the query, that they turned out to belong to.

An adopted event gets a new position in the stream it joins, so that a reader of that stream sees it once,
now, however far it had read; its `seq` stays, so that a reader of the whole log does not see it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, bindparam, select, update

from ark_broker.log.contents import fetch_events
from ark_broker.log.tables import events, links
from ark_broker.log.transaction import Transaction
from ark_broker.model import Event
from ark_broker.model.vocabulary import is_provisional, provisional
from ark_broker.sessions.correlate import (
    BY_QUERY,
    BY_TRACE,
    BY_TRACE_ROOT,
    Adoption,
    AdoptWaiting,
    MoveSession,
    NameQuery,
    keys_of,
    query_of_key,
)
from ark_broker.sessions.summary import move_query_events

#: Rows taken into memory at once.
_PAGE: Final = 2_000

_ASSIGN: Final = (
    update(events)
    .where(events.c.seq == bindparam("at"))
    .values(
        session_id=bindparam("to_session"),
        session_seq=bindparam("to_session_seq"),
        query=bindparam("to_query"),
        query_seq=bindparam("to_query_seq"),
        correlated_by=bindparam("rule"),
    )
)


async def adopt(transaction: Transaction) -> list[Event]:
    """Carry out what the correlator found, until nothing new turns up; returns the adopted events."""
    adopted: list[Event] = []
    queue = transaction.correlator.adoptions
    while queue:
        adoption = queue.pop(0)
        adopted += await _carry_out(transaction, adoption)
    # An event adopted twice in one transaction (waiting → provisional → real) is delivered once, where it ended.
    latest = {event.seq: event for event in adopted}
    return sorted(latest.values(), key=lambda event: max(event.session_seq or 0, event.query_seq or 0))


async def _carry_out(transaction: Transaction, adoption: Adoption) -> list[Event]:
    match adoption:
        case AdoptWaiting(key):
            return await _adopt_waiting(transaction, key)
        case MoveSession(old, new):
            return await _move_session(transaction, old, new)
        case NameQuery(session_id, trace_id):
            return await _name_query(transaction, session_id, trace_id)


async def _adopt_waiting(transaction: Transaction, key: str) -> list[Event]:
    query = query_of_key(key)
    under_key = events.c.query == query if query is not None else _of_trace(key)
    where = and_(under_key, events.c.session_id.is_(None), events.c.seq <= transaction.prior)
    rule = BY_TRACE if query is None else BY_QUERY
    adopted: list[Event] = []
    while page := await _page(transaction, where):
        # Through these events, further keys belong to the session as well.
        await transaction.memory.load_links(transaction.connection, keys_of(page))
        session_id = transaction.memory.links[key].session_id or ""
        for event in page:
            transaction.correlator.learn(event, session_id)
        await _join(transaction, page, session_id, rule)
        adopted += page
    return adopted


async def _move_session(transaction: Transaction, old: str, new: str) -> list[Event]:
    await transaction.connection.execute(update(links).where(links.c.session_id == old).values(session_id=new))
    where = and_(events.c.session_id == old, events.c.seq <= transaction.prior)
    adopted: list[Event] = []
    while page := await _page(transaction, where):
        for event in page:
            if is_provisional(event.query):
                event.query = None
        await _join(transaction, page, new, BY_TRACE)
        adopted += page
    await transaction.drop_session(old)
    return adopted


async def _name_query(transaction: Transaction, session_id: str, trace_id: str) -> list[Event]:
    old, new = provisional(trace_id), transaction.correlator.query_for(trace_id, session_id)
    if new == old:
        return []
    where = and_(events.c.query == old, events.c.session_id == session_id, events.c.seq <= transaction.prior)
    memory = transaction.memory
    await memory.load_sessions(transaction.connection, [session_id])
    await memory.load_queries(transaction.connection, [(session_id, old), (session_id, new)])
    adopted: list[Event] = []
    while page := await _page(transaction, where):
        position = transaction.take_positions(len(page))
        for event in page:
            position += 1
            event.query, event.query_seq = new, position
        await _assign(transaction, page)
        adopted += page
    if adopted:
        move_query_events(memory.sessions[session_id], memory.queries[session_id], old, adopted)
        await transaction.drop_query(session_id, old)
        transaction.changed(session_id, new)
    return adopted


async def _join(transaction: Transaction, page: Sequence[Event], session_id: str, rule: str) -> None:
    """Put the events into the session, each at a new position."""
    position = transaction.take_positions(len(page))
    for event in page:
        position += 1
        event.session_id, event.session_seq = session_id, position
        event.correlated_by = BY_TRACE_ROOT if is_provisional(session_id) else rule
        if event.query is None and event.trace_id is not None:
            event.query = transaction.correlator.query_for(event.trace_id, session_id)
            event.query_seq = position
    await _assign(transaction, page)
    await transaction.fold(page)


async def _assign(transaction: Transaction, page: Sequence[Event]) -> None:
    await transaction.connection.execute(
        _ASSIGN,
        [
            {
                "at": event.seq,
                "to_session": event.session_id,
                "to_session_seq": event.session_seq,
                "to_query": event.query,
                "to_query_seq": event.query_seq,
                "rule": event.correlated_by,
            }
            for event in page
        ],
    )


def _of_trace(key: str) -> ColumnElement[bool]:
    return events.c.trace_id == bytes.fromhex(key.removeprefix("trace:"))


async def _page(transaction: Transaction, where: ColumnElement[bool]) -> list[Event]:
    """The next events to adopt. Each page leaves the condition, so the next one starts anew."""
    statement: Select[tuple[object, ...]] = select(events).where(where).order_by(events.c.seq).limit(_PAGE)
    return await fetch_events(transaction.connection, statement)
