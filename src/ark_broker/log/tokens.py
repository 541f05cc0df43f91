"""Tokens in the database: what is kept of each is bytes to this module. Tickets are those with an owner, and an end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, insert, select, update

from ark_broker.log.database import Database
from ark_broker.log.tables import tokens

#: Tokens in one list.
_MOST: Final = 10_000
#: Tickets removed by one statement.
_STEP: Final = 2_000


@dataclass(frozen=True, slots=True)
class LiveTickets:
    """How many of somebody's tickets are good still, and when the first of them ends."""

    count: int
    first_ends_at: int | None


class TokenStore:
    """The table of tokens. Times are nanoseconds since the epoch."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, token_id: str) -> tuple[bytes, int] | None:
        """What is kept of the token, and when it was used last (0: never); None where there is none of that id."""
        statement = select(tokens.c.content, tokens.c.last_used_at).where(tokens.c.id == token_id)
        async with self._database.reader.connect() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else (row.content, row.last_used_at)

    async def every(self) -> list[tuple[bytes, int]]:
        """All of them but tickets, the newest first."""
        statement = (
            select(tokens.c.content, tokens.c.last_used_at)
            .where(tokens.c.owner.is_(None))
            .order_by(tokens.c.created_at.desc())
            .limit(_MOST)
        )
        async with self._database.reader.connect() as connection:
            return [(row.content, row.last_used_at) for row in await connection.execute(statement)]

    async def add(self, token_id: str, created_at: int, content: bytes) -> None:
        """Keep a new token."""
        row = {"id": token_id, "created_at": created_at, "last_used_at": 0, "content": content}
        async with self._database.writer.begin() as connection:
            await connection.execute(insert(tokens).values(row))

    async def add_ticket(
        self, token_id: str, created_at: int, content: bytes, *, owner: str, expires_at: int, most: int
    ) -> LiveTickets | None:
        """Keep a new ticket; where its owner has `most` of them already, say what there is, and keep nothing.

        Brokers on one PostgreSQL that count at the same moment may pass `most` by a few.
        """
        live = select(func.count(), func.min(tokens.c.expires_at)).where(
            tokens.c.owner == owner, tokens.c.expires_at > created_at
        )
        row = {"id": token_id, "created_at": created_at, "last_used_at": 0, "content": content}
        async with self._database.writer.begin() as connection:
            count, first_ends_at = (await connection.execute(live)).one()
            if count >= most:
                return LiveTickets(count, first_ends_at)
            await connection.execute(insert(tokens).values(row | {"owner": owner, "expires_at": expires_at}))
        return None

    async def replace(self, token_id: str, before: bytes, after: bytes) -> bool:
        """Keep `after` of the token if `before` is what is kept now. False where it is not: somebody else was here."""
        statement = update(tokens).where(tokens.c.id == token_id, tokens.c.content == before).values(content=after)
        async with self._database.writer.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def used(self, token_id: str, at: int) -> None:
        """Note that it was used."""
        async with self._database.writer.begin() as connection:
            await connection.execute(update(tokens).where(tokens.c.id == token_id).values(last_used_at=at))


async def forget_tickets(database: Database, now: int) -> int:
    """Remove tickets that have expired; returns how many.

    A step is one statement, and passes over what another broker is removing just now.
    """
    doomed = (
        select(tokens.c.id)
        .where(tokens.c.owner.is_not(None), tokens.c.expires_at <= now)
        .limit(_STEP)
        .with_for_update(skip_locked=True)
    )
    removed = 0
    while True:
        async with database.writer.begin() as connection:
            step = (await connection.execute(delete(tokens).where(tokens.c.id.in_(doomed)))).rowcount
        removed += step
        if step < _STEP:
            return removed
