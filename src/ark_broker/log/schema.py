"""Schema version: bring it up to date, or say that it is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text

from ark_broker.log.database import Database
from ark_broker.model.errors import ArkBrokerError

if TYPE_CHECKING:
    from alembic.config import Config

#: The revision that this version of the broker works with: the newest in `alembic/versions`. Stated here, so that a
#: start that has nothing to migrate need not load alembic, which takes longer than all the rest of it.
LATEST: Final = "0007"
#: Any number will do, as long as every version of the broker uses the same one.
_MIGRATION_LOCK: Final = 4_318_000_001


class SchemaOutdated(ArkBrokerError):  # noqa: N818
    """The database's schema is not the one that this version of the broker works with."""


def migrations() -> Config:
    """alembic's configuration: the migrations shipped in the wheel, or those of the checkout."""
    from alembic.config import Config  # noqa: PLC0415 - see LATEST

    package = Path(__file__).parents[1]
    shipped = package / "_alembic"
    config = Config()
    config.set_main_option("script_location", str(shipped if shipped.is_dir() else package.parents[1] / "alembic"))
    return config


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return found


def _check_nobody_else_is_there(connection: Connection) -> None:
    """Raise SchemaOutdated where the tables are another program's: Ark's own broker has one of that name, too."""
    if _current(connection) is None and inspect(connection).has_table("events"):
        raise SchemaOutdated(
            "the database has a table `events` that is not this broker's: give it a database or schema of its own "
            "(docs/import.md says how to take over what Ark's broker has there)"
        )


async def current_revision(database: Database) -> str | None:
    """The revision that the database has; None for an empty database."""
    async with database.reader.connect() as connection:
        return await connection.run_sync(_current)


async def migrate(database: Database) -> tuple[str | None, str]:
    """Bring the schema up to date; returns the revisions before and after.

    Two processes may call it at once: the second waits, and finds nothing to do. A crash half-way leaves
    the schema as it was, for both dialects run DDL inside the transaction.
    """

    def upgrade(connection: Connection) -> tuple[str | None, str]:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        _check_nobody_else_is_there(connection)
        before = _current(connection)
        if before != LATEST:
            from alembic import command  # noqa: PLC0415 - see LATEST

            config = migrations()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return before, LATEST

    async with database.writer.begin() as connection:
        return await connection.run_sync(upgrade)


async def check(database: Database) -> None:
    """Raise SchemaOutdated where `migrate` is needed, or where a newer broker has migrated already."""
    current = await current_revision(database)
    if current == LATEST:
        return
    if current is not None and current > LATEST:
        raise SchemaOutdated(
            f"the database's schema ({current}) is newer than this ark-broker ({LATEST}): upgrade the broker"
        )
    raise SchemaOutdated(
        f"the database's schema is {current or 'empty'}, this ark-broker needs {LATEST}: run `ark-broker migrate`"
    )
