"""Retention: what is too old goes, kind by kind, and cursors from before are told."""

from __future__ import annotations

from collections.abc import Mapping

from ark_broker.log.maintenance import Maintenance
from ark_broker.log.scope import WHOLE_LOG
from tests.log.conftest import Log
from tests.support.events import child, make

DAY = 86_400 * 1_000_000_000


def maintenance(log: Log, retention: Mapping[str, float], now: int) -> Maintenance:
    return Maintenance(
        log.database,
        log.writer,
        trace_quiet_seconds=60,
        pack_after_seconds=60,
        retention_seconds=retention,
        clock=lambda: now,
    )


async def test_events_older_than_their_kind_is_kept_are_removed(log: Log) -> None:
    await log.writer.append([make(n, kind="span" if n % 2 else "log", session_id="s") for n in range(20)])
    recorded = (await log.events())[-1].recorded_at
    assert await maintenance(log, {"log": 10 * 86_400.0}, recorded + 5 * DAY).retain() == 0
    assert await maintenance(log, {"log": 10 * 86_400.0}, recorded + 11 * DAY).retain() == 10
    assert {event.kind for event in await log.events()} == {"span"}


async def test_the_floor_rises_to_what_was_removed_and_no_further(log: Log) -> None:
    await log.writer.append([make(n, kind="chunk", query="q") for n in range(5)])
    recorded = (await log.events())[-1].recorded_at
    assert (await log.reader.head()).floor == 0
    await maintenance(log, {"span": 1.0}, recorded + DAY).retain()
    assert (await log.reader.head()).floor == 0, "there was no span to remove"
    await maintenance(log, {"chunk": 1.0}, recorded + DAY).retain()
    head = await log.reader.head()
    assert 0 < head.floor <= head.seq == 5


async def test_retention_goes_by_the_brokers_clock_not_the_producers(log: Log) -> None:
    await log.writer.append([make("1970", time=1), make("2200", time=2**62)])
    recorded = (await log.events())[-1].recorded_at
    assert await maintenance(log, {"span": 60.0}, recorded + 30 * 1_000_000_000).retain() == 0
    assert await maintenance(log, {"span": 60.0}, recorded + 90 * 1_000_000_000).retain() == 2


async def test_quiet_traces_are_decided_only_when_there_are_any(log: Log) -> None:
    job = maintenance(log, {}, 2**62)
    assert not await job.decide_quiet_traces()
    await log.writer.append([child(1, 7)])
    assert await job.decide_quiet_traces()
    assert not await job.decide_quiet_traces()
    assert [event.correlated_by for event in (await log.reader.page(WHOLE_LOG, 0, 5)).events] == ["trace-root"]


async def test_a_deletion_that_was_interrupted_is_finished_and_a_finished_one_left_alone(log: Log) -> None:
    await log.writer.append([make(n, session_id="s") for n in range(5)])
    await log.writer.delete_session("s")
    job = maintenance(log, {}, 0)
    assert await job.remove_deleted() == 5
    assert await job.remove_deleted() == 0
    assert [event.type for event in await log.events()] == ["session.deleted"]
