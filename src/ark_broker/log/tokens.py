"""Tokens in the database: what is kept of each is bytes to this module."""

from __future__ import annotations

from typing import Final

from sqlalchemy import delete, insert, select, update

from ark_broker.log.database import Database
from ark_broker.log.tables import tokens

#: Tokens in one list.
_MOST: Final = 10_000


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
        """All of them, the newest first."""
        statement = select(tokens.c.content, tokens.c.last_used_at).order_by(tokens.c.created_at.desc()).limit(_MOST)
        async with self._database.reader.connect() as connection:
            return [(row.content, row.last_used_at) for row in await connection.execute(statement)]

    async def add(self, token_id: str, created_at: int, content: bytes) -> None:
        """Keep a new token."""
        row = {"id": token_id, "created_at": created_at, "last_used_at": 0, "content": content}
        async with self._database.writer.begin() as connection:
            await connection.execute(insert(tokens).values(row))

    async def replace(self, token_id: str, content: bytes) -> None:
        """Keep this of the token instead."""
        async with self._database.writer.begin() as connection:
            await connection.execute(update(tokens).where(tokens.c.id == token_id).values(content=content))

    async def remove(self, token_id: str) -> None:
        """Keep nothing of it."""
        async with self._database.writer.begin() as connection:
            await connection.execute(delete(tokens).where(tokens.c.id == token_id))

    async def used(self, token_id: str, at: int) -> None:
        """Note that it was used."""
        async with self._database.writer.begin() as connection:
            await connection.execute(update(tokens).where(tokens.c.id == token_id).values(last_used_at=at))
