"""Several brokers on one PostgreSQL: one order for all readers, whatever happens to one of them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import psutil
import pytest

from tests.support.load import load
from tests.support.process import Broker, StartBroker
from tests.support.stored import assert_intact, query, session_positions, stored_spans
from tests.support.streams import StreamReader, following, resuming

SESSION = "session-000"


async def assert_all_saw_everything(database_url: str, readers: list[StreamReader]) -> None:
    """Every reader of SESSION saw all of it, in order, once."""
    expected = await session_positions(database_url, SESSION)
    assert expected
    for reader in readers:
        await reader.until(lambda seen: len(seen.positions) >= len(expected))
        assert reader.positions == expected


async def kill_listeners(database_url: str) -> int:
    """End every LISTEN connection to the database; returns how many there were."""
    rows = await query(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')",
    )
    return len(rows)


def stream_of(broker: Broker) -> str:
    return f"{broker.url}/v1/sessions/{SESSION}/stream"


async def test_readers_miss_nothing_though_listen_connections_die(start_broker: StartBroker, postgres_url: str) -> None:
    # So slow a poll would not help in time: only the healing itself does.
    brokers = [start_broker(postgres_url, poll_seconds=120) for _ in range(2)]
    killed = 0
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(following(stream_of(broker))) for broker in brokers]
        async with load(*(broker.port for broker in brokers)) as sent:
            for _ in range(8):
                await sent.until(len(sent.acknowledged) + 200)
                killed += await kill_listeners(postgres_url)
        await assert_all_saw_everything(postgres_url, readers)

    assert killed >= 8
    assert set(sent.statuses) == {200}
    await assert_intact(postgres_url)


@pytest.mark.slow
async def test_a_replica_that_is_killed_and_restarted_changes_nothing_for_readers(
    start_broker: StartBroker, postgres_url: str
) -> None:
    brokers = [start_broker(postgres_url) for _ in range(2)]
    async with AsyncExitStack() as stack:
        steady = await stack.enter_async_context(following(stream_of(brokers[0])))
        coming_back = await stack.enter_async_context(resuming(stream_of(brokers[1])))
        async with load(*(broker.port for broker in brokers)) as sent:
            for _ in range(2):
                await sent.until(len(sent.acknowledged) + 400)
                await asyncio.to_thread(brokers[1].kill)
                await asyncio.to_thread(brokers[1].start)
            await sent.until(len(sent.acknowledged) + 400)
        await assert_all_saw_everything(postgres_url, [steady, coming_back])
    stored = await stored_spans(postgres_url)

    assert len(coming_back.hellos) >= 3
    assert sent.acknowledged == stored.keys()
    assert max(stored.values()) == 1
    await assert_intact(postgres_url)


@pytest.mark.slow
async def test_a_worker_that_dies_is_replaced_and_readers_miss_nothing(
    start_broker: StartBroker, postgres_url: str
) -> None:
    broker = start_broker(postgres_url, workers=2)
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(resuming(stream_of(broker))) for _ in range(4)]
        async with load(broker.port, connections=6) as sent:
            await sent.until(400)
            workers = [child for child in psutil.Process(broker.pid).children() if "spawn_main" in str(child.cmdline())]
            assert len(workers) == 2
            workers[0].kill()
            await sent.until(len(sent.acknowledged) + 1_000)
        await assert_all_saw_everything(postgres_url, readers)
    stored = await stored_spans(postgres_url)

    assert sent.acknowledged == stored.keys()
    assert max(stored.values()) == 1
    await assert_intact(postgres_url)
    assert await asyncio.to_thread(broker.terminate) == 0
