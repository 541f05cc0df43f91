"""A receiver that is away for a week of restarts: the log is the spool, and everything arrives, once."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import select, update

from ark_broker.log.cursors import CursorState
from ark_broker.log.tables import cursors, events
from tests.deliver.conftest import Process
from tests.deliver.test_deliveries import caught_up, until_status, upstream
from tests.support.receivers import Receiver, listening

DAY: Final = 86_400_000_000_000
#: Tries in a day, once there are five minutes between two.
TRIES: Final = 288


def earlier(at: int | None) -> int | None:
    return None if at is None else at - DAY


async def a_day_passes(process: Process) -> None:
    """All that is stored is a day older than it was, and the receiver was tried as often as that is."""
    async with process.database.writer.begin() as connection:
        await connection.execute(
            update(events).values(time=events.c.time - DAY, recorded_at=events.c.recorded_at - DAY)
        )
        for row in (await connection.execute(select(cursors))).all():
            state = msgspec.msgpack.decode(row.state, type=CursorState)
            aged = msgspec.structs.replace(
                state,
                failures=state.failures + TRIES,
                last_error_at=earlier(state.last_error_at),
                last_success_at=earlier(state.last_success_at),
                paused_until=earlier(state.paused_until),
            )
            await connection.execute(
                update(cursors)
                .where(cursors.c.name == row.name)
                .values(
                    state=msgspec.msgpack.encode(aged),
                    updated_at=row.updated_at - DAY,
                    lease_until=max(0, row.lease_until - DAY),
                )
            )


async def test_a_week_without_the_receiver_is_delivered_in_full(process: Process, away: Receiver) -> None:
    sent = []
    for day in range(7):
        deliveries = await process.deliveries(upstreams=[upstream(away)])
        names = [f"day {day} span {number}" for number in range(40)]
        await process.spans(*names)
        sent += names
        # The pause of the day before is over by then: a try, at the least, is made after each start.
        found = await until_status(deliveries, lambda found, day=day: found.state.failures > day * (TRIES + 1))
        assert (found.state.delivered, found.state.dead, found.state.missed) == (0, 0, 0)
        await deliveries.close()
        await a_day_passes(process)

    deliveries = await process.deliveries(upstreams=[upstream(away)])
    async with listening(away):
        await away.until_named(*sent)
        found = await caught_up(deliveries)

    assert [span.name for received in away.taken for span in received.spans] == sent
    assert (found.state.delivered, found.state.failures, found.state.dead, found.state.missed) == (len(sent), 0, 0, 0)
