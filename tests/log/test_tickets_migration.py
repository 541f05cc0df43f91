"""The migration that parts tickets from tokens: tokens stay as they were, tickets of before are forgotten."""

from __future__ import annotations

import msgspec
from alembic import command
from sqlalchemy import Connection, text

from ark_broker.log import schema
from ark_broker.log.database import Database, open_database


async def _at(database: Database, revision: str, *, down: bool = False) -> None:
    def move(connection: Connection) -> None:
        config = schema.migrations()
        config.attributes["connection"] = connection
        (command.downgrade if down else command.upgrade)(config, revision)

    async with database.writer.begin() as connection:
        await connection.run_sync(move)


async def _names(database: Database) -> list[str]:
    async with database.reader.connect() as connection:
        rows = await connection.execute(text("SELECT content FROM tokens ORDER BY id"))
        return [str(msgspec.msgpack.decode(row.content)["name"]) for row in rows]


async def test_tokens_stay_and_tickets_of_before_go(sqlalchemy_url: str) -> None:
    database = open_database(sqlalchemy_url)
    await _at(database, "0006")
    insert = text("INSERT INTO tokens (id, created_at, last_used_at, content) VALUES (:id, 1, 0, :content)")
    for number, name in enumerate(("ops", "ticket of - ann", "a ticket of nobody", "ticket of abc ops")):
        async with database.writer.begin() as connection:
            row = {"id": str(number), "content": msgspec.msgpack.encode({"name": name})}
            await connection.execute(insert, row)
    await schema.migrate(database)
    assert await _names(database) == ["ops", "a ticket of nobody"]
    await database.close()


async def test_going_back_leaves_tokens_alone(sqlalchemy_url: str) -> None:
    database = open_database(sqlalchemy_url)
    await schema.migrate(database)
    insert = text(
        "INSERT INTO tokens (id, created_at, last_used_at, content, owner, expires_at) "
        "VALUES (:id, 1, 0, :content, :owner, :expires_at)"
    )
    tickets = {"ops": (None, None), "ticket of - ann": ("oidc - ann", 1)}
    for name, (owner, expires_at) in tickets.items():
        row = {"id": name, "content": msgspec.msgpack.encode({"name": name}), "owner": owner, "expires_at": expires_at}
        async with database.writer.begin() as connection:
            await connection.execute(insert, row)
    await _at(database, "0006", down=True)
    assert await _names(database) == ["ops"]
    await schema.migrate(database)
    assert await _names(database) == ["ops"]
    await database.close()
