"""PostgreSQL goes away under load and comes back: refused quickly meanwhile, and nothing lost or doubled."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.support.load import Load, load
from tests.support.postgres import PostgresServer, create_database
from tests.support.process import StartBroker
from tests.support.sdk import Agent
from tests.support.stored import assert_intact, query, stored_spans
from tests.support.streams import following
from tests.support.waiting import until

MIB = 2**20


@pytest.mark.slow
@pytest.mark.parametrize("end", [PostgresServer.stop, PostgresServer.kill], ids=["stopped", "killed"])
async def test_everything_exported_arrives_once_though_postgres_restarts(
    start_broker: StartBroker, own_postgres: PostgresServer, end: Callable[[PostgresServer], None]
) -> None:
    url = create_database(own_postgres.url)
    # An answer that waited for this timeout would come too late for everything here.
    broker = start_broker(url, ack_timeout_seconds=120, queue_bytes="8MiB")
    process = psutil.Process(broker.pid)
    agent = Agent(broker.url, "exported")
    agent.start()
    async with following(f"{broker.url}/v1/sessions/exported/stream") as reader, load(broker.port) as sent:
        for _ in range(2):
            await sent.until(len(sent.acknowledged) + 500)
            memory = process.memory_info().rss
            enough = len(sent.refusals) + 40
            await asyncio.to_thread(end, own_postgres)
            await sent.until_refused(enough)
            # The longer it lasts, the longer are the pauses it asks for: exporters have few tries.
            await until(lambda: asked_to_wait(sent, seconds=2))
            assert process.memory_info().rss < memory + 50 * MIB
            await asyncio.to_thread(own_postgres.start)
        await sent.until(len(sent.acknowledged) + 500)
        await asyncio.to_thread(agent.finish)
        await reader.until(lambda seen: len(seen.frames) >= len(agent.made))
    stored = await stored_spans(url)

    assert {answer.status for answer in sent.refusals} == {503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in sent.refusals)
    assert sent.broken == 0
    assert agent.made | sent.acknowledged == stored.keys()
    assert max(stored.values()) == 1
    assert reader.positions == sorted(set(reader.positions))
    await assert_intact(url)


async def test_a_commit_that_comes_after_its_answer_is_stored_once(
    start_broker: StartBroker, own_postgres: PostgresServer
) -> None:
    url = create_database(own_postgres.url)
    broker = start_broker(url, ack_timeout_seconds=0.5)
    async with load(broker.port) as sent:
        await sent.until(200)
        # Not gone, only silent: the connections stay, and what was sent to them is done later.
        backends = await query(
            url, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with stopped(int(pid) for (pid,) in backends):
            await sent.until_refused(len(sent.refusals) + 8)
        await sent.until(len(sent.acknowledged) + 500)
    stored = await stored_spans(url)

    assert {answer.status for answer in sent.refusals} == {503}
    assert sent.acknowledged == stored.keys()
    assert max(stored.values()) == 1
    await assert_intact(url)


async def asked_to_wait(sent: Load, seconds: int) -> bool:
    """True where the last refusal asked for a pause of at least so long."""
    return int(sent.refusals[-1].headers["retry-after"]) >= seconds


@contextmanager
def stopped(pids: Iterable[int]) -> Iterator[None]:
    """Those processes do nothing inside the block."""
    halted = list(pids)
    for pid in halted:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in halted:
            os.kill(pid, signal.SIGCONT)
