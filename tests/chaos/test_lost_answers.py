"""The commit happens, and nobody hears of it: what is sent again is stored once."""

from __future__ import annotations

import asyncio
import random

import pytest

from bench.spans import Batches
from tests.support.load import Connection, load, span_keys
from tests.support.process import Broker, StartBroker
from tests.support.proxy import lossy_proxy
from tests.support.stored import assert_intact, session_positions, stored_spans
from tests.support.streams import following
from tests.support.waiting import until


async def test_a_producer_that_loses_the_answer_stores_nothing_twice(broker: Broker, database_url: str) -> None:
    chance = random.Random(database_url)
    batches = Batches(20, templates=2)
    connection = Connection(broker.port)
    sent: list[bytes] = []
    for _ in range(40):
        body = next(batches)
        await connection.send(body)
        # Sometimes the broker has not even read it, sometimes it is committed already.
        await asyncio.sleep(chance.random() * 0.02)
        connection.close()
        answer = await connection.post(body)
        assert answer.status == 200
        sent += span_keys(body)
    connection.close()
    stored = await stored_spans(database_url)

    assert set(sent) == stored.keys()
    assert max(stored.values()) == 1
    await assert_intact(database_url)


@pytest.mark.slow
async def test_a_commit_whose_answer_is_lost_is_not_repeated(start_broker: StartBroker, postgres_url: str) -> None:
    async with lossy_proxy(postgres_url) as (proxy, url):
        broker = await asyncio.to_thread(start_broker, url)
        async with following(f"{broker.url}/v1/sessions/session-000/stream") as reader:
            async with load(broker.port) as sent:
                await sent.until(100)
                proxy.lose_every = 4

                async def often() -> bool:
                    return proxy.lost >= 15

                await until(often, timeout=60, what="answers to be lost")
                proxy.lose_every = 0
                await sent.until(len(sent.acknowledged) + 200)
            expected = await session_positions(postgres_url, "session-000")
            await reader.until(lambda seen: len(seen.positions) >= len(expected))
        await asyncio.to_thread(broker.terminate)

    stored = await stored_spans(postgres_url)
    assert reader.positions == expected
    assert sent.statuses[503] >= proxy.lost
    assert set(sent.statuses) == {200, 503}
    assert sent.acknowledged == stored.keys()
    assert max(stored.values()) == 1
    await assert_intact(postgres_url)
