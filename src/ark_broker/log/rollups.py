"""Figures over time: how a commit adds to them, and how long each width of time is kept.

Each figure is kept by the minute, by the hour and by the day, so that a chart of whatever length reads few rows
a bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import add
from typing import Any, Final

import msgspec
from sqlalchemy import Delete, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ark_broker.log.database import MOST_ADDED, Database, Upsert
from ark_broker.log.tables import GONE, durations, queries, rollups, sessions
from ark_broker.sessions.ledger import Booked, Ledger, measure_and_slot

_DAY: Final = 86_400
_NANOSECONDS: Final = 1_000_000_000
#: Widths in seconds, and for how long (seconds) figures of each are kept.
WIDTHS: Final = {60: 3 * _DAY, 3_600: 100 * _DAY, _DAY: 3_650 * _DAY}
_KEY: Final = ("width", "at", "namespace", "agent", "model")


class _Remembered(msgspec.Struct):
    """Of a summary only what it has in the figures."""

    booked: Booked | None = None


_DECODER: Final = msgspec.msgpack.Decoder(_Remembered)


def rollup_upserts(ledger: Ledger, now: int) -> list[Upsert]:
    """What the ledger changes, in every width that is still kept of that time. `now` in nanoseconds."""
    now //= _NANOSECONDS
    counted = [
        (width, at, *key[1:], *figures) for key, figures in ledger.changes() for width, at in _kept(key[0] * 60, now)
    ]
    timed = [
        (width, at, *key[1:], *measure_and_slot(code), count)
        for key, code, count in ledger.duration_changes()
        for width, at in _kept(key[0] * 60, now)
    ]
    return [
        Upsert(rollups, _KEY, _summed(counted, len(_KEY)), adds=True),
        Upsert(durations, (*_KEY, "measure", "slot"), _summed(timed, len(_KEY) + 2), adds=True),
    ]


def _kept(at: int, now: int) -> list[tuple[int, int]]:
    """Widths, each with the beginning of the time that `at` is in. What is too old for a width is not put into it."""
    return [(width, at - at % width) for width, seconds in WIDTHS.items() if at > now - seconds]


def _summed(rows: Sequence[tuple[object, ...]], key: int) -> list[tuple[object, ...]]:
    """The rows, of which two minutes of one hour have the same key."""
    found: dict[tuple[object, ...], tuple[Any, ...]] = {}
    for row in rows:
        held = found.get(row[:key])
        sums = row[key:] if held is None else tuple(map(add, held, row[key:]))
        found[row[:key]] = sums
    return [(*key_of_row, *map(_addable, sums)) for key_of_row, sums in found.items()]


def _addable(value: int) -> int:
    return max(-MOST_ADDED, min(MOST_ADDED, value))


async def booked_of_session(connection: AsyncConnection, session_id: str) -> list[Booked]:
    """What the stored session and its queries have in the figures."""
    of_session = select(sessions.c.state).where(sessions.c.id == session_id, sessions.c.status != GONE)
    of_queries = select(queries.c.state).where(queries.c.session_id == session_id)
    states = [*(await connection.execute(of_session)).scalars(), *(await connection.execute(of_queries)).scalars()]
    return _booked(states)


async def booked_of_query(connection: AsyncConnection, session_id: str, name: str) -> list[Booked]:
    """What one stored query has in the figures."""
    statement = select(queries.c.state).where(queries.c.session_id == session_id, queries.c.name == name)
    return _booked((await connection.execute(statement)).scalars().all())


def _booked(states: Sequence[bytes]) -> list[Booked]:
    found = (_DECODER.decode(state).booked for state in states)
    return [booked for booked in found if booked is not None]


async def forget_old(database: Database, now: int) -> int:
    """Remove figures that are older than their width is kept for; returns how many. `now` in nanoseconds."""
    removed = 0
    for width, seconds in WIDTHS.items():
        for table in (rollups, durations):
            async with database.writer.begin() as connection:
                result = await connection.execute(_older(table, width, now // _NANOSECONDS - seconds))
            removed += result.rowcount
    return removed


def _older(table: Table, width: int, than: int) -> Delete:
    return delete(table).where(table.c.width == width, table.c.at < than - width)
