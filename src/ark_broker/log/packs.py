"""Finished streams, packed: their chunks in compressed rows, a thousand to one, instead of a row each.

Nothing that a reader gets changes: a packed event keeps its positions, its id and its body, byte for byte. Pages are
merged from rows and packs (`log.read`), and a chunk that is sent again is known by the ids in the pack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import zstandard
from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ark_broker.log.confine import as_seen
from ark_broker.log.contents import fetch_events
from ark_broker.log.database import Database, Dialect
from ark_broker.log.memory import decode_session
from ark_broker.log.rows import to_rows
from ark_broker.log.tables import events, packs, sessions
from ark_broker.model import Event
from ark_broker.model.vocabulary import STREAM_COMPLETED, TRACE_PREFIX

#: Events in one pack, at most: what a reader of a single one has to decompress.
PACK_EVENTS: Final = 1_000
#: Packs looked into for one page.
_PACKS_A_PAGE: Final = 8

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[Event])


def pack(batch: Sequence[Event]) -> bytes:
    """The events in compressed form."""
    return zstandard.ZstdCompressor(level=6).compress(_ENCODER.encode(list(batch)))


def unpack(data: bytes) -> list[Event]:
    """The events that `pack` was given."""
    return _DECODER.decode(zstandard.ZstdDecompressor().decompress(data))


@dataclass(frozen=True, slots=True)
class Packed:
    """Packed events of a stream. Complete up to position `until`; None: to the end of the stream."""

    events: list[Event]
    until: int | None


async def packed_between(
    connection: AsyncConnection,
    where: Sequence[ColumnElement[bool]],
    first: ColumnElement[int],
    last: ColumnElement[int],
    position: Callable[[Event], int | None],
    after: int,
    until: int | None,
    wanted: int,
) -> Packed:
    """Events in packs at positions (after, until] of the stream that `where`, `first` and `last` describe.

    No further pack is opened once there are as many as are `wanted`.
    """
    # `+ 0`: rather than sort the few that overlap, SQLite would walk all packs in the order of their key.
    overlapping = select(first.label("first"), packs.c.data).where(*where, last > after).order_by(first + 0)
    if until is not None:
        overlapping = overlapping.where(first <= until)
    rows = (await connection.execute(overlapping.limit(_PACKS_A_PAGE + 1))).all()
    if len(rows) > _PACKS_A_PAGE:
        until = rows[_PACKS_A_PAGE].first - 1
    found: list[Event] = []
    for row in rows[:_PACKS_A_PAGE]:
        # What lies before this pack is complete without it.
        complete = [event for event in found if (position(event) or 0) < row.first] if len(found) >= wanted else []
        if len(complete) >= wanted:
            return Packed(complete, row.first - 1)
        for event in unpack(row.data):
            at = position(event)
            if at is not None and at > after and (until is None or at <= until):
                found.append(as_seen(connection, event))
    return Packed(found, until)


async def unpack_session(connection: AsyncConnection, dialect: Dialect, session_id: str) -> None:
    """Put the session's packed events back into rows. The caller holds the packing lock."""
    found = await connection.execute(select(packs.c.first_seq, packs.c.data).where(packs.c.session_id == session_id))
    for first_seq, data in found.all():
        await dialect.insert(connection, events, to_rows(unpack(data), {}))
        await connection.execute(delete(packs).where(packs.c.first_seq == first_seq))


async def packed_ids(connection: AsyncConnection, queries: Iterable[str]) -> set[bytes]:
    """Ids of the packed events of these queries' streams."""
    names = sorted(set(queries))
    found: set[bytes] = set()
    for start in range(0, len(names), 500):
        rows = await connection.execute(select(packs.c.data).where(packs.c.query.in_(names[start : start + 500])))
        for data in rows.scalars():
            found.update(event.id for event in unpack(data))
    return found


async def pack_finished(database: Database, recorded_before: int, streams: int = 50) -> int:
    """Pack streams whose completion marker was recorded before that time (ns); returns how many events.

    Only streams of a session that somebody named: what may still move to another one stays as it is.
    """
    markers = (
        select(events.c.query, events.c.session_id, events.c.query_seq, sessions.c.state)
        .join(sessions, sessions.c.id == events.c.session_id)
        .where(events.c.type == STREAM_COMPLETED, events.c.recorded_at < recorded_before)
        .where(events.c.kind == "chunk", events.c.query.is_not(None))
        .where(events.c.session_id.is_not(None), events.c.session_id.not_like(f"{TRACE_PREFIX}%"))
        .order_by(events.c.seq)
        .limit(streams)
    )
    async with database.reader.connect() as connection:
        found = (await connection.execute(markers)).all()
    packed = 0
    for query, session_id, until, state in found:
        if not state or not decode_session(state).named:
            continue
        packed += await _pack_stream(database, query, session_id, until)
    return packed


async def _pack_stream(database: Database, query: str, session_id: str, until: int) -> int:
    """Pack the session's chunks of the query up to its marker, each thousand in a transaction of its own."""
    chunks = (
        select(events)
        .where(events.c.query == query, events.c.query_seq <= until)
        .where(events.c.kind == "chunk", events.c.session_id == session_id)
        .order_by(events.c.query_seq)
        .limit(PACK_EVENTS)
    )
    packed = 0
    while True:
        async with database.writer.begin() as connection:
            await database.dialect.lock_packing(connection)
            batch = await fetch_events(connection, chunks)
            if not batch:
                return packed
            await connection.execute(delete(events).where(events.c.seq.in_([event.seq for event in batch])))
            await connection.execute(insert(packs).values(_row(batch, query, session_id)))
        packed += len(batch)


def _row(batch: Sequence[Event], query: str, session_id: str) -> dict[str, Any]:
    positions = [event.seq for event in batch]
    in_session = [event.session_seq or 0 for event in batch]
    in_query = [event.query_seq or 0 for event in batch]
    return {
        "first_seq": min(positions),
        "last_seq": max(positions),
        "session_id": session_id,
        "first_session_seq": min(in_session),
        "last_session_seq": max(in_session),
        "query": query,
        "first_query_seq": min(in_query),
        "last_query_seq": max(in_query),
        "events": len(batch),
        "data": pack(batch),
    }
