"""Schema version: bring it up to date, or say that it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from ark_broker.log.database import Database
from ark_broker.model.errors import ArkBrokerError

#: Any number will do, as long as every version of the broker uses the same one.
_MIGRATION_LOCK: Final = 4_318_000_001


class SchemaOutdated(ArkBrokerError):  # noqa: N818
    """The database's schema is not the one that this version of the broker works with."""


def _config() -> Config:
    package = Path(__file__).parents[1]
    shipped = package / "_alembic"
    config = Config()
    config.set_main_option("script_location", str(shipped if shipped.is_dir() else package.parents[1] / "alembic"))
    return config


def latest_revision() -> str:
    """The revision that this version of the broker needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise ArkBrokerError("no migrations are installed beside the package")
    return revision


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


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
        before = _current(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return before, latest_revision()

    async with database.writer.begin() as connection:
        return await connection.run_sync(upgrade)


async def check(database: Database) -> None:
    """Raise SchemaOutdated where `migrate` is needed, or where a newer broker has migrated already."""
    current, latest = await current_revision(database), latest_revision()
    if current == latest:
        return
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is not None and current not in known:
        raise SchemaOutdated(
            f"the database's schema ({current}) is newer than this ark-broker ({latest}): upgrade the broker"
        )
    raise SchemaOutdated(
        f"the database's schema is {current or 'empty'}, this ark-broker needs {latest}: run `ark-broker migrate`"
    )
