"""Migrations: they make the tables that the code works with, once, whoever asks."""

from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from ark_broker.log import schema
from ark_broker.log.database import open_database
from ark_broker.log.tables import metadata


def test_the_revision_in_the_code_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(schema.migrations()).get_current_head() == schema.LATEST


async def test_migrations_make_exactly_the_tables_of_the_code(sqlalchemy_url: str) -> None:
    database = open_database(sqlalchemy_url)
    await schema.migrate(database)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        return list(compare_metadata(context, metadata))

    async with database.reader.connect() as connection:
        assert await connection.run_sync(differences) == []
    await database.close()


async def test_an_empty_database_is_refused_with_the_command_that_helps(sqlalchemy_url: str) -> None:
    database = open_database(sqlalchemy_url)
    with pytest.raises(schema.SchemaOutdated, match="ark-broker migrate"):
        await schema.check(database)
    assert await schema.migrate(database) == (None, schema.LATEST)
    await schema.check(database)
    assert await schema.migrate(database) == (schema.LATEST, schema.LATEST)
    await database.close()


async def test_a_newer_schema_is_refused(sqlalchemy_url: str) -> None:
    database = open_database(sqlalchemy_url)
    await schema.migrate(database)
    async with database.writer.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(schema.SchemaOutdated, match="upgrade the broker"):
        await schema.check(database)
    await database.close()


async def test_two_processes_that_migrate_at_once_make_one_log(postgres_url: str) -> None:
    url = postgres_url.replace("postgresql://", "postgresql+asyncpg://")
    databases = [open_database(url, timeout_seconds=60) for _ in range(2)]
    await asyncio.gather(*(schema.migrate(database) for database in databases))
    async with databases[0].reader.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM log_head"))).scalar_one() == 1
    for database in databases:
        await database.close()
