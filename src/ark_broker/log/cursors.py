"""Named cursors in the database: who may deliver, how far it got, what it could not deliver; and rules of webhooks.

A cursor belongs to the process that holds its lease. Every write of that process asks whether it still does, so one
that was stopped for longer than its lease cannot undo what its successor did.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Insert, and_, cast, delete, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ark_broker.log.database import Database, PostgresDialect
from ark_broker.log.tables import cursors, dead_letters, log_head, webhooks
from ark_broker.model import Event
from ark_broker.model.errors import ArkBrokerError, Conflict, NotFound

_NANOSECONDS: Final = 1_000_000_000
_ENCODER: Final = msgspec.msgpack.Encoder()
_EVENTS: Final = msgspec.msgpack.Decoder(Event)
#: Rows in one statement.
_ROWS: Final = 500


class LeaseLost(ArkBrokerError):  # noqa: N818 - reads as what it says
    """Another process delivers by now, or the cursor is no more."""


class CursorState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is shown of a cursor. Times are nanoseconds since the epoch."""

    #: Events that the receiver took, that it said it left out of what it took, and that became dead letters.
    delivered: int = 0
    rejected: int = 0
    dead: int = 0
    #: Failed tries since the last success, and why the last of them failed.
    failures: int = 0
    last_error: str = ""
    last_error_at: int | None = None
    last_success_at: int | None = None
    #: It does not try again before.
    paused_until: int | None = None
    #: How often the cursor stood before what retention has removed, and how many positions that were, at most.
    gaps: int = 0
    missed: int = 0
    #: The log's floor as of the last gap.
    noted_floor: int = 0


@dataclass(frozen=True, slots=True)
class CursorRow:
    """A cursor as it is stored. `free`: nobody holds a lease on it."""

    name: str
    position: int
    state: CursorState
    owner: str | None
    free: bool


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be delivered. `at` is nanoseconds since the epoch."""

    seq: int
    at: int
    reason: str
    event: Event


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule that came by the API, as its bytes."""

    name: str
    created_at: int
    content: bytes


_STATES: Final = msgspec.msgpack.Decoder(CursorState)


class Cursors:
    """The cursors of one database.

    On PostgreSQL it writes through the pool of the readers, so the log's writer never waits for a connection; on
    SQLite through the one writer connection, in turns with the log's writer. One write at a time. A lease is counted by
    the database's clock where there is a server, else by `clock` (ns): clocks of replicas may differ.
    """

    def __init__(self, database: Database, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._database = database
        self._clock = clock
        self._remote = isinstance(database.dialect, PostgresDialect)
        self._engine: AsyncEngine = database.reader if self._remote else database.writer
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        async with self._turn, self._engine.begin() as connection:
            yield connection

    def _now(self) -> ColumnElement[int]:
        if self._remote:
            return cast(func.extract("epoch", func.clock_timestamp()) * _NANOSECONDS, BigInteger)
        return literal(self._clock(), BigInteger)

    def _insert(self, table: Any) -> Any:
        return postgresql.insert(table) if self._remote else sqlite.insert(table)

    # -- cursors -----------------------------------------------------------------------------------

    async def ensure(self, starts: dict[str, bool]) -> None:
        """Make the cursors that do not exist: name → True to begin with the oldest event, False with what comes."""
        async with self._database.reader.connect() as connection:
            found = await connection.execute(select(cursors.c.name).where(cursors.c.name.in_(list(starts))))
            missing = starts.keys() - set(found.scalars())
        if missing:
            async with self._write() as connection:
                for name in sorted(missing):
                    await connection.execute(await self._new(connection, name, from_start=starts[name]))

    async def _new(self, connection: AsyncConnection, name: str, *, from_start: bool) -> Insert:
        head = (await connection.execute(select(log_head.c.seq, log_head.c.floor))).one()
        # What retention removed before there was a cursor is nothing that it missed.
        state = CursorState(noted_floor=head.floor)
        statement: Insert = (
            self._insert(cursors)
            .values(
                name=name,
                position=0 if from_start else head.seq,
                owner=None,
                lease_until=0,
                updated_at=self._clock(),
                state=_ENCODER.encode(state),
            )
            .on_conflict_do_nothing()
        )
        return statement

    async def rows(self, names: Sequence[str]) -> dict[str, CursorRow]:
        """Those of the cursors that exist, by name."""
        free = or_(cursors.c.owner.is_(None), cursors.c.lease_until <= self._now()).label("free")
        statement = select(cursors.c.name, cursors.c.position, cursors.c.state, cursors.c.owner, free)
        found: dict[str, CursorRow] = {}
        async with self._database.reader.connect() as connection:
            for start in range(0, len(names), _ROWS):
                for row in await connection.execute(statement.where(cursors.c.name.in_(names[start : start + _ROWS]))):
                    state = _STATES.decode(row.state)
                    found[row.name] = CursorRow(row.name, row.position, state, row.owner, bool(row.free))
        return found

    async def take(self, name: str, owner: str, seconds: float) -> CursorRow | None:
        """Take the lease if nobody else has it; None where somebody has, or there is no such cursor."""
        async with self._write() as connection:
            result = await connection.execute(
                update(cursors)
                .where(cursors.c.name == name)
                .where(
                    or_(cursors.c.owner.is_(None), cursors.c.owner == owner, cursors.c.lease_until <= self._now()),
                )
                .values(owner=owner, lease_until=self._now() + _nanoseconds(seconds))
            )
            if result.rowcount == 0:
                return None
            row = (await connection.execute(select(cursors).where(cursors.c.name == name))).one()
            return CursorRow(name, row.position, _STATES.decode(row.state), owner, False)

    async def advance(
        self,
        name: str,
        owner: str,
        seconds: float,
        position: int,
        state: CursorState,
        dead: Sequence[tuple[Event, str]] = (),
    ) -> None:
        """Note the position and the state, keep what is dead, and renew the lease, all in one.

        Raises LeaseLost where the process does not have it any more; then nothing is written.
        """
        async with self._write() as connection:
            result = await connection.execute(
                update(cursors)
                .where(self._holds(name, owner))
                .values(
                    position=position,
                    state=_ENCODER.encode(state),
                    updated_at=self._clock(),
                    lease_until=self._now() + _nanoseconds(seconds),
                )
            )
            if result.rowcount == 0:
                raise LeaseLost(f"the lease on {name} is not ours any more")
            await self._keep(connection, name, dead)

    async def release(self, name: str, owner: str, position: int, state: CursorState) -> None:
        """Give the lease back, so that another process can take it at once."""
        async with self._write() as connection:
            await connection.execute(
                update(cursors)
                .where(self._holds(name, owner))
                .values(
                    position=position,
                    state=_ENCODER.encode(state),
                    updated_at=self._clock(),
                    owner=None,
                    lease_until=0,
                )
            )

    def _holds(self, name: str, owner: str) -> ColumnElement[bool]:
        return and_(cursors.c.name == name, cursors.c.owner == owner, cursors.c.lease_until > self._now())

    # -- dead letters ------------------------------------------------------------------------------

    async def _keep(self, connection: AsyncConnection, name: str, dead: Sequence[tuple[Event, str]]) -> None:
        if not dead:
            return
        now = self._clock()
        rows = [
            {"cursor": name, "seq": event.seq, "at": now, "reason": reason, "content": _ENCODER.encode(event)}
            for event, reason in dead
        ]
        statement = self._insert(dead_letters)
        # A batch that is repeated after a crash finds its own.
        changed = {column: statement.excluded[column] for column in ("at", "reason", "content")}
        await connection.execute(statement.on_conflict_do_update(index_elements=["cursor", "seq"], set_=changed), rows)

    async def keep(self, name: str, dead: Sequence[tuple[Event, str]]) -> None:
        """Store dead letters, in the place of those of the same events."""
        async with self._write() as connection:
            await self._keep(connection, name, dead)

    async def dead_letters(
        self, name: str, *, after: int = 0, limit: int = 100, seqs: Sequence[int] | None = None
    ) -> list[DeadLetter]:
        """Dead letters of the cursor, by position, from behind `after`; of `seqs` only where they are given."""
        statement = select(dead_letters).where(dead_letters.c.cursor == name, dead_letters.c.seq > after)
        if seqs is not None:
            statement = statement.where(dead_letters.c.seq.in_(seqs))
        async with self._database.reader.connect() as connection:
            rows = (await connection.execute(statement.order_by(dead_letters.c.seq).limit(limit))).all()
        return [DeadLetter(row.seq, row.at, row.reason, _EVENTS.decode(row.content)) for row in rows]

    async def count_dead(self, names: Sequence[str]) -> dict[str, int]:
        """How many dead letters are kept for each cursor that has some."""
        statement = (
            select(dead_letters.c.cursor, func.count().label("letters"))
            .where(dead_letters.c.cursor.in_(names))
            .group_by(dead_letters.c.cursor)
        )
        async with self._database.reader.connect() as connection:
            return {row.cursor: row.letters for row in await connection.execute(statement)}

    async def forget_dead(self, name: str, seqs: Sequence[int]) -> None:
        """Remove these dead letters."""
        async with self._write() as connection:
            for start in range(0, len(seqs), _ROWS):
                chosen = dead_letters.c.seq.in_(seqs[start : start + _ROWS])
                await connection.execute(delete(dead_letters).where(dead_letters.c.cursor == name, chosen))

    async def bound_dead(self, name: str, keep: int) -> int:
        """Remove all but the newest `keep` dead letters of the cursor; returns how many those were."""
        beyond = (
            select(dead_letters.c.seq)
            .where(dead_letters.c.cursor == name)
            .order_by(dead_letters.c.seq.desc())
            .offset(keep)
            .limit(1)
        )
        async with self._database.reader.connect() as connection:
            last = (await connection.execute(beyond)).scalar_one_or_none()
        if last is None:
            return 0
        async with self._write() as connection:
            result = await connection.execute(
                delete(dead_letters).where(dead_letters.c.cursor == name, dead_letters.c.seq <= last)
            )
            return result.rowcount

    # -- rules of webhooks -------------------------------------------------------------------------

    async def rules(self) -> list[StoredRule]:
        """All rules that came by the API, by name."""
        async with self._database.reader.connect() as connection:
            rows = await connection.execute(select(webhooks).order_by(webhooks.c.name))
            return [StoredRule(row.name, row.created_at, row.content) for row in rows]

    async def add_rule(self, name: str, content: bytes, cursor: str, *, from_start: bool) -> StoredRule:
        """Store a rule, and make its cursor. Raises Conflict where there is one of that name."""
        async with self._write() as connection:
            stored = StoredRule(name, self._clock(), content)
            result = await connection.execute(
                self._insert(webhooks)
                .values(name=name, created_at=stored.created_at, content=content)
                .on_conflict_do_nothing()
            )
            if result.rowcount == 0:
                raise Conflict(f"there is a webhook named {name!r} already", [])
            # One that was left behind by a rule of the settings that had this name.
            await self._drop(connection, cursor)
            await connection.execute(await self._new(connection, cursor, from_start=from_start))
        return stored

    async def remove_rule(self, name: str, cursor: str) -> None:
        """Remove a rule with its cursor and dead letters. Raises NotFound."""
        async with self._write() as connection:
            result = await connection.execute(delete(webhooks).where(webhooks.c.name == name))
            if result.rowcount == 0:
                raise NotFound(f"no webhook {name!r}")
            await self._drop(connection, cursor)

    @staticmethod
    async def _drop(connection: AsyncConnection, cursor: str) -> None:
        await connection.execute(delete(cursors).where(cursors.c.name == cursor))
        await connection.execute(delete(dead_letters).where(dead_letters.c.cursor == cursor))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)
