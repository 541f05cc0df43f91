"""How much of the log a session is."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ark_broker.log.tables import events, packs
from ark_broker.model.vocabulary import RESERVED


@dataclass(frozen=True, slots=True)
class Extent:
    """A session's events, those left out that the broker wrote about its own log."""

    count: int
    #: Position of the last one in the session's stream; 0 where there is none.
    last: int


async def extent(connection: AsyncConnection, session_id: str, after: int) -> Extent:
    """Of the events behind position `after` of the session's stream, in rows and in packs. Read it in a snapshot."""
    rows = select(func.count(), func.max(events.c.session_seq)).where(
        events.c.session_id == session_id, events.c.session_seq > after, events.c.type.not_in(RESERVED)
    )
    packed = select(func.coalesce(func.sum(packs.c.events), 0), func.max(packs.c.last_session_seq)).where(
        packs.c.session_id == session_id, packs.c.first_session_seq > after
    )
    found = [(await connection.execute(statement)).one() for statement in (rows, packed)]
    return Extent(int(sum(count for count, _ in found)), max(last or 0 for _, last in found))
