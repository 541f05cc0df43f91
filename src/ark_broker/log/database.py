"""Engines for the two dialects, and the few statements that differ between them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import asyncpg
from sqlalchemy import LargeBinary, Table, event
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import BigInteger, Float, Integer, SmallInteger

from ark_broker.log import confine

#: Failures of the database itself, not of what was sent to it: the same batch may pass later.
UNAVAILABLE: Final = (
    OSError,
    TimeoutError,
    asyncio.TimeoutError,
    sa_exc.OperationalError,
    sa_exc.InterfaceError,
    sa_exc.DisconnectionError,
    sa_exc.TimeoutError,
    sqlite3.OperationalError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    asyncpg.PostgresSystemError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
)


def is_unavailable(error: BaseException) -> bool:
    """True where the database could not serve, so that the same request may pass later."""
    if isinstance(error, asyncpg.DataError | ValueError):
        return False
    if isinstance(error, sa_exc.DBAPIError) and error.orig is not None:
        cause = error.orig.__cause__
        return error.connection_invalidated or isinstance(cause or error.orig, UNAVAILABLE)
    return isinstance(error, UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Upsert:
    """Rows to insert, or to put in the place of those with the same `key`. Keys within `rows` differ."""

    table: Table
    key: Sequence[str]
    rows: Sequence[Sequence[Any]]
    #: The values are added to those of the row with that key, instead; none of them is beyond `MOST_ADDED`.
    adds: bool = False


class Dialect(Protocol):
    """What PostgreSQL and SQLite do differently on the hot path."""

    name: str

    async def known(self, connection: AsyncConnection, ids: Sequence[bytes]) -> set[bytes]:
        """Those of `ids` that the log has already."""

    async def insert(self, connection: AsyncConnection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows that are known to be new, as fast as the driver can."""

    async def upsert(self, connection: AsyncConnection, upserts: Sequence[Upsert]) -> None:
        """Carry out the upserts, those without rows left out."""

    async def finish(self, connection: AsyncConnection, upserts: Sequence[Upsert], head: int) -> None:
        """Carry out the upserts, move the head, and tell other processes of it once this transaction commits."""

    async def lock_packing(self, connection: AsyncConnection) -> None:
        """Until this transaction ends, nobody else turns rows into packs, or packs into rows."""


async def driver_of(connection: AsyncConnection) -> Any:
    """The driver's own connection underneath, inside the same transaction."""
    raw = await connection.get_raw_connection()
    return raw.driver_connection


def _names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def _on_conflict(upsert: Upsert) -> str:
    table, key = upsert.table, upsert.key
    held = f"{_held(f'{table.name}.{{0}}')} + " if upsert.adds else ""
    sets = ", ".join(f"{name} = {held.format(name)}excluded.{name}" for name in _names(table) if name not in key)
    return f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {sets}"


def _held(value: str) -> str:
    """A sum, within what can be added to: whoever sends nonsense spoils the figure, and no commit. In both dialects."""
    return (
        f"CASE WHEN {value} > {MOST_ADDED} THEN {MOST_ADDED} WHEN {value} < -{MOST_ADDED} THEN -{MOST_ADDED} "
        f"ELSE {value} END"
    )


#: What an `Upsert` adds at most, in either direction: two of them are still a BIGINT.
MOST_ADDED: Final = 2**62 - 1
#: Any number will do, as long as every version of the broker uses the same one.
_PACKING_LOCK: Final = 4_318_000_002


class PostgresDialect:
    """COPY for new rows, `INSERT … SELECT FROM unnest(…)` for upserts: one round trip, however many rows."""

    name = "postgresql"
    channel = "ark_broker_head"

    def __init__(self) -> None:
        self._statements: dict[str, str] = {}
        #: The server process behind this one's writer: whose notifications are echoes of our own commits.
        self.writer_pid = 0

    async def known(self, connection: AsyncConnection, ids: Sequence[bytes]) -> set[bytes]:
        driver = await driver_of(connection)
        rows = await driver.fetch("SELECT id FROM events WHERE id = ANY($1::bytea[])", ids)
        return {row[0] for row in rows}

    async def insert(self, connection: AsyncConnection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        driver = await driver_of(connection)
        await driver.copy_records_to_table(table.name, records=rows, columns=_names(table))

    async def upsert(self, connection: AsyncConnection, upserts: Sequence[Upsert]) -> None:
        await self._carry_out(connection, upserts, "", "SELECT 1")

    async def finish(self, connection: AsyncConnection, upserts: Sequence[Upsert], head: int) -> None:
        # One statement for all of it: each would cost a turn of a loop that has requests to serve meanwhile.
        driver = await self._carry_out(
            connection,
            upserts,
            "head AS (UPDATE log_head SET seq = $1)",
            f"SELECT pg_notify('{self.channel}', $1::bigint::text)",
            head,
        )
        self.writer_pid = driver.get_server_pid()

    async def _carry_out(
        self, connection: AsyncConnection, upserts: Sequence[Upsert], first: str, last: str, *values: Any
    ) -> Any:
        driver = await driver_of(connection)
        filled = [upsert for upsert in upserts if upsert.rows]
        names = ",".join([last, *(upsert.table.name for upsert in filled)])
        statement = self._statements.get(names)
        if statement is None:
            statement = self._statements[names] = self._statement(filled, first, last, len(values))
        columns = (list(column) for upsert in filled for column in zip(*upsert.rows, strict=True))
        await driver.execute(statement, *values, *columns)
        return driver

    @staticmethod
    def _statement(upserts: Sequence[Upsert], first: str, last: str, number: int) -> str:
        parts = [first] if first else []
        for upsert in upserts:
            table = upsert.table
            arrays = []
            for column in table.columns:
                number += 1
                arrays.append(f"${number}::{_array_type(column.type)}[]")
            parts.append(
                f"{table.name}_rows AS (INSERT INTO {table.name} ({', '.join(_names(table))}) "  # noqa: S608
                f"SELECT * FROM unnest({', '.join(arrays)}) {_on_conflict(upsert)})"
            )
        return f"WITH {', '.join(parts)} {last}" if parts else last

    async def lock_packing(self, connection: AsyncConnection) -> None:
        driver = await driver_of(connection)
        await driver.execute(f"SELECT pg_advisory_xact_lock({_PACKING_LOCK})")


def _array_type(column_type: Any) -> str:
    if isinstance(column_type, LargeBinary):
        return "bytea"
    if isinstance(column_type, SmallInteger):
        return "smallint"
    if isinstance(column_type, BigInteger):
        return "bigint"
    if isinstance(column_type, Integer):
        return "integer"
    if isinstance(column_type, Float):
        return "float8"
    return "text"


class SqliteDialect:
    """`executemany` of one prepared statement."""

    name = "sqlite"
    #: Bind parameters in one IN list.
    _PAGE = 500

    def __init__(self) -> None:
        #: By table: each has one key, and is added to or not.
        self._upserts: dict[str, str] = {}

    async def known(self, connection: AsyncConnection, ids: Sequence[bytes]) -> set[bytes]:
        driver = await driver_of(connection)
        statement = f"SELECT id FROM events WHERE id IN ({', '.join('?' * self._PAGE)})"  # noqa: S608 - only marks
        found: set[bytes] = set()
        for start in range(0, len(ids), self._PAGE):
            page = ids[start : start + self._PAGE]
            # Always the same number of marks, so that the statement is prepared once.
            rows = await driver.execute_fetchall(statement, [*page, *[None] * (self._PAGE - len(page))])
            found.update(row[0] for row in rows)
        return found

    async def insert(self, connection: AsyncConnection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        driver = await driver_of(connection)
        await driver.executemany(self._insert_statement(table), rows)

    async def upsert(self, connection: AsyncConnection, upserts: Sequence[Upsert]) -> None:
        driver = await driver_of(connection)
        for upsert in upserts:
            if upsert.rows:
                name = upsert.table.name
                statement = self._upserts.get(name)
                if statement is None:
                    statement = f"{self._insert_statement(upsert.table)} {_on_conflict(upsert)}"
                    self._upserts[name] = statement
                await driver.executemany(statement, upsert.rows)

    async def finish(self, connection: AsyncConnection, upserts: Sequence[Upsert], head: int) -> None:
        # There is one process: it hears of its own commits without the database's help.
        await self.upsert(connection, upserts)
        await (await driver_of(connection)).execute_fetchall("UPDATE log_head SET seq = ?", (head,))

    @staticmethod
    def _insert_statement(table: Table) -> str:
        names = _names(table)
        return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608

    async def lock_packing(self, connection: AsyncConnection) -> None:
        """SQLite has one writer at a time."""


@dataclass(frozen=True)
class Database:
    """The two ways into one database: `writer` for the one writer task, `reader` for everybody else."""

    url: str
    dialect: Dialect
    writer: AsyncEngine
    reader: AsyncEngine

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose every read sees the same state of the database."""
        async with self.reader.connect() as connection:
            if self.dialect.name == "postgresql":
                await connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    def confined(self, namespaces: frozenset[str]) -> Database:
        """The same database, of which reads see these namespaces only."""
        return replace(self, reader=confine.confined(self.reader, namespaces))

    async def close(self) -> None:
        await self.writer.dispose()
        await self.reader.dispose()


def open_database(
    url: str, *, pool_size: int = 10, sqlite_synchronous: str = "FULL", timeout_seconds: float = 10
) -> Database:
    """Engines for `url` (a SQLAlchemy URL with an async driver). Nothing is connected yet."""
    if make_url(url).get_backend_name() == "sqlite":
        database = _open_sqlite(url, pool_size, sqlite_synchronous)
    else:
        database = _open_postgres(url, pool_size, timeout_seconds)
    confine.install(database.reader)
    return database


def _open_postgres(url: str, pool_size: int, timeout_seconds: float) -> Database:
    connect_args = {
        "timeout": timeout_seconds,
        "command_timeout": timeout_seconds,
        # A plan that was made while a table was empty would scan it for as long as the connection lives; and only a
        # plan for the values at hand can know that a partial index holds the rows.
        "server_settings": {"plan_cache_mode": "force_custom_plan"},
    }
    return Database(
        url=url,
        dialect=PostgresDialect(),
        writer=create_async_engine(url, pool_size=1, max_overflow=1, hide_parameters=True, connect_args=connect_args),
        reader=create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args=connect_args,
        ),
    )


def _open_sqlite(url: str, pool_size: int, synchronous: str) -> Database:
    # SQLAlchemy's own BEGIN is deferred: a second process could then make an upgrade to a write lock
    # fail at once. BEGIN IMMEDIATE waits its turn (busy_timeout) instead.
    # Bodies are parameters: they must not get into errors, and so into logs.
    writer = create_async_engine(url, pool_size=1, max_overflow=0, hide_parameters=True)
    reader = create_async_engine(url, pool_size=pool_size, max_overflow=0, hide_parameters=True)
    for engine, begin in ((writer, "BEGIN IMMEDIATE"), (reader, "BEGIN")):
        _configure_sqlite(engine, begin, synchronous)
    return Database(url=url, dialect=SqliteDialect(), writer=writer, reader=reader)


def _configure_sqlite(engine: AsyncEngine, begin: str, synchronous: str) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "busy_timeout=5000",
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            "foreign_keys=ON",
            "cache_size=-16384",
            "temp_store=MEMORY",
            # Checkpoints flush the database file: seldom, and the log they empty stays small beside the data.
            "wal_autocheckpoint=4000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)
