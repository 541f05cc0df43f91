"""Carry out adoptions: events stored earlier join the session, or the query, that they turned out to belong to.

An adopted event gets a new position in the stream it joins, so that a reader of that stream sees it once,
now, however far it had read; its `seq` stays, so that a reader of the whole log does not see it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select, update

from ark_broker.log.apart import stamp
from ark_broker.log.contents import fetch_events
from ark_broker.log.packs import unpack_session
from ark_broker.log.tables import contents, events, links, waiting
from ark_broker.log.transaction import Transaction
from ark_broker.model import Event
from ark_broker.model.errors import TooLarge
from ark_broker.model.vocabulary import OPERATOR, SESSION_MOVED, TOMBSTONES, is_provisional
from ark_broker.sessions.correlate import NAMED, Adoption, AdoptWaiting, MoveSession, NameQuery, Rehome
from ark_broker.sessions.keys import BY_TRACE, BY_TRACE_ROOT, Group, group, keys_of, kind_of, query_of_key, rule_of
from ark_broker.sessions.summary import SessionSummary, fold, move_query_events

_log = structlog.get_logger(__name__)

#: Rows taken into memory at once.
_PAGE: Final = 2_000
#: A session with more events than this is not taken apart again: everybody else would wait meanwhile.
MAX_REHOME: Final = 20_000

_ASSIGN: Final = (
    update(events)
    .where(events.c.seq == bindparam("at"))
    .values(
        session_id=bindparam("to_session"),
        session_seq=bindparam("to_session_seq"),
        query=bindparam("to_query"),
        query_seq=bindparam("to_query_seq"),
        correlated_by=bindparam("rule"),
        namespace=bindparam("to_namespace"),
    )
)
_KEEP_BODY: Final = update(events).where(events.c.seq == bindparam("at")).values(body=bindparam("whole"))


async def adopt(transaction: Transaction) -> list[Event]:
    """Carry out what the correlator found, until nothing new turns up; returns the adopted events."""
    adopted: list[Event] = []
    transaction.correlator.stored()
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
        case Rehome(key, old, new):
            return await _rehome(transaction, key, old, new)
        case NameQuery(session_id, key):
            if kind_of(key) == "trace":
                return await _name_query_of_trace(transaction, session_id, key)
            return await _name_query_of_key(transaction, session_id, key)


async def _adopt_waiting(transaction: Transaction, key: str) -> list[Event]:
    where = and_(_under(key), events.c.session_id.is_(None), *await _of_namespace(transaction, key))
    adopted: list[Event] = []
    while page := await _page(transaction, where):
        # Through these events, further keys belong to the session as well.
        groups = group(page)
        await transaction.load_links(groups)
        session_id = transaction.memory.links[key].session_id or ""
        rule = BY_TRACE_ROOT if is_provisional(session_id) else rule_of(key)
        for found in groups:
            transaction.correlator.learn(found, session_id, rule)
            for event in found.events:
                event.correlated_by = rule
        await _join(transaction, groups, page, session_id)
        adopted += page
    return adopted


async def _of_namespace(transaction: Transaction, key: str) -> list[ColumnElement[bool]]:
    """Where namespaces are kept apart: what waits in another one is not adopted."""
    session_id = transaction.memory.links[key].session_id
    if not transaction.apart or session_id is None:
        return []
    await transaction.memory.load_sessions(transaction.connection, [session_id])
    namespace = transaction.memory.sessions[session_id].namespace
    return [] if namespace is None else [or_(events.c.namespace.is_(None), events.c.namespace == namespace)]


async def _move_session(transaction: Transaction, old: str, new: str) -> list[Event]:
    """All events of a session that was a guess: it is no more."""
    connection = transaction.connection
    await connection.execute(update(links).where(links.c.session_id == old).values(session_id=new))
    await transaction.dialect.lock_packing(connection)
    await unpack_session(connection, transaction.dialect, old)
    await transaction.memory.load_sessions(connection, [new])
    epoch = transaction.memory.gone.get(new, 0)
    await connection.execute(update(contents).where(contents.c.session_id == old).values(session_id=new, epoch=epoch))
    where = and_(await _alive(transaction, old), events.c.type.not_in(TOMBSTONES))
    adopted: list[Event] = []
    while page := await _page(transaction, where):
        for event in page:
            if is_provisional(event.query):
                event.query = None
            if event.trace_id is not None or event.correlated_by == BY_TRACE_ROOT:
                event.correlated_by = BY_TRACE
        groups = group(page)
        await transaction.load_links(groups)
        for found in groups:
            transaction.correlator.learn(found, new, found.rule)
        await _join(transaction, groups, page, new)
        adopted += page
    adopted.append(await transaction.tombstone(SESSION_MOVED, old, {"to": new}))
    await transaction.drop_session(old)
    return adopted


async def _rehome(transaction: Transaction, key: str, old: str, new: str) -> list[Event]:
    """Events under the key that a wrong guess put into `old`, or into the wrong query: that session is folded anew."""
    connection = transaction.connection
    await transaction.memory.load_sessions(connection, [old])
    if transaction.memory.sessions[old].events > MAX_REHOME:
        if transaction.memory.links[key].rule == OPERATOR:
            raise TooLarge(f"session {old!r} has more than {MAX_REHOME} events: too many to take apart", "session")
        _log.warning("a wrong guess stays: the session is too large to take apart", session=old, key=key)
        return []
    await transaction.dialect.lock_packing(connection)
    await unpack_session(connection, transaction.dialect, old)
    found = await _all_of(transaction, old)
    page = [event for event in found if _is_guess_under(key, event)]
    if not page:
        return []
    moving = {event.seq for event in page}
    staying = [event for event in found if event.seq not in moving]
    tombstones = await _refold(transaction, old, staying, new)
    await _relink(transaction, page, staying, old, new)
    link = transaction.memory.links[key]
    rule = OPERATOR if link.rule == OPERATOR else rule_of(key)
    for event in page:
        event.correlated_by = rule
        if kind_of(key) != "query" and event.query != link.query:
            event.query = None
    await connection.execute(_KEEP_BODY, [{"at": event.seq, "whole": event.body} for event in page])
    await _join(transaction, group(page), page, new)
    return [*page, *tombstones]


def _is_guess_under(key: str, event: Event) -> bool:
    """True for an event that has the key, and did not name its session itself."""
    [own] = group([event])
    return own.rule not in NAMED and key in own.all_keys


async def _relink(
    transaction: Transaction, moved: Sequence[Event], staying: Sequence[Event], old: str, new: str
) -> None:
    """Further keys of the moved events, which no event that stays has, belong to `new` as well."""
    groups = group(moved)
    await transaction.load_links(groups)
    held = keys_of(group(staying))
    for key in keys_of(groups) - held:
        link = transaction.memory.links.get(key)
        if link is not None and link.session_id == old:
            link.session_id = new
            transaction.correlator.touched.add(key)


async def _refold(
    transaction: Transaction, session_id: str, staying: Sequence[Event], moved_to: str | None = None
) -> list[Event]:
    """The session's summaries, which are loaded, as if it had only these events. Returns its tombstone, if any."""
    memory = transaction.memory
    await transaction.drop_queries(session_id)
    memory.queries[session_id] = {}
    if not staying:
        tombstone = await transaction.tombstone(SESSION_MOVED, session_id, {"to": moved_to})
        await transaction.drop_session(session_id)
        return [tombstone]
    # Whoever named it may have been removed by age since.
    memory.sessions[session_id] = SessionSummary(id=session_id, named=memory.sessions[session_id].named)
    for event in staying:
        fold(memory.sessions[session_id], memory.queries[session_id], event)
        transaction.changed(session_id, event.query)
    return []


async def _alive(transaction: Transaction, session_id: str) -> ColumnElement[bool]:
    """Events of the session that no deletion took out of it: the rows of those may still be there."""
    await transaction.memory.load_sessions(transaction.connection, [session_id])
    gone = transaction.memory.gone.get(session_id, 0)
    return and_(events.c.session_id == session_id, events.c.session_seq > gone)


async def _all_of(transaction: Transaction, session_id: str) -> list[Event]:
    """The session's events: `MAX_REHOME` at most, as its summary said before."""
    statement = (
        select(events)
        .where(await _alive(transaction, session_id), events.c.type.not_in(TOMBSTONES))
        .order_by(events.c.session_seq)
        .limit(MAX_REHOME + 1)
    )
    return await fetch_events(transaction.connection, statement)


async def _name_query_of_trace(transaction: Transaction, session_id: str, key: str) -> list[Event]:
    link = transaction.memory.links[key]
    old, new = key, link.query
    if new is None or link.session_id != session_id:
        return []
    where = and_(events.c.query == old, await _alive(transaction, session_id))
    memory = transaction.memory
    await memory.load_queries(transaction.connection, [(session_id, old), (session_id, new)])
    adopted: list[Event] = []
    while page := await _page(transaction, where):
        await _give_query(transaction, page, new)
        adopted += page
    if adopted:
        move_query_events(memory.sessions[session_id], memory.queries[session_id], old, adopted)
        await transaction.drop_query(session_id, old)
        transaction.changed(session_id, new)
    return adopted


async def _name_query_of_key(transaction: Transaction, session_id: str, key: str) -> list[Event]:
    """Events that have no trace, and so no query yet. What they used was the session's own: it is folded anew."""
    link = transaction.memory.links[key]
    query = link.query
    if query is None or link.session_id != session_id:
        return []
    where = and_(_under(key), await _alive(transaction, session_id), events.c.query.is_(None))
    page = await _page(transaction, where)
    if not page:
        return []
    if transaction.memory.sessions[session_id].events > MAX_REHOME:
        _log.warning("events stay without a query: their session is too large to take apart", session=session_id)
        return []
    await transaction.dialect.lock_packing(transaction.connection)
    await unpack_session(transaction.connection, transaction.dialect, session_id)
    adopted: list[Event] = []
    while page:
        await _give_query(transaction, page, query)
        adopted += page
        page = await _page(transaction, where)
    await transaction.forget_waiting(event.seq for event in adopted)
    await _refold(transaction, session_id, await _all_of(transaction, session_id))
    return adopted


async def _give_query(transaction: Transaction, page: Sequence[Event], query: str) -> None:
    position = transaction.take_positions(len(page))
    for event in page:
        position += 1
        event.query, event.query_seq = query, position
    await _assign(transaction, page)


async def _join(transaction: Transaction, groups: Sequence[Group], page: Sequence[Event], session_id: str) -> None:
    """Put the events of the page, which are those of the groups, into the session, each at a new position."""
    queries = {event.seq: each for each in groups for event in each.events}
    position = transaction.take_positions(len(page))
    for event in page:
        position += 1
        event.session_id, event.session_seq = session_id, position
        if event.query is None:
            event.query = transaction.correlator.query_for(queries[event.seq], session_id)
            event.query_seq = None if event.query is None else position
    await stamp(transaction, groups)
    await _assign(transaction, page)
    await transaction.forget_waiting(event.seq for event in page if event.query is not None)
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
                "to_namespace": event.namespace,
            }
            for event in page
        ],
    )


def _under(key: str) -> ColumnElement[bool]:
    """Unassigned events under the key."""
    kind = kind_of(key)
    if kind == "trace":
        return events.c.trace_id == bytes.fromhex(key.removeprefix("trace:"))
    if kind == "query":
        name, namespace = query_of_key(key) or ("", None)
        found = events.c.query == name
        return found if namespace is None else and_(found, events.c.namespace == namespace)
    return events.c.seq.in_(select(waiting.c.seq).where(waiting.c.key == key))


async def _page(transaction: Transaction, where: ColumnElement[bool]) -> list[Event]:
    """The next events to adopt. Each page leaves the condition, so the next one starts anew."""
    statement: Select[tuple[object, ...]] = select(events).where(where).order_by(events.c.seq).limit(_PAGE)
    return await fetch_events(transaction.connection, statement)
