"""The broker is killed, or told to stop, under load: what was acknowledged is there, once."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal

import httpx
import pytest

from tests.support.load import load, producing
from tests.support.process import StartBroker
from tests.support.stored import assert_intact, query, stored_spans
from tests.support.streams import following
from tests.support.waiting import until

ROUNDS = 4


@pytest.mark.slow
async def test_kill_9_at_random_moments_loses_nothing_that_was_acknowledged(
    start_broker: StartBroker, database_url: str
) -> None:
    broker = start_broker(database_url)
    chance = random.Random(database_url)
    async with load(broker.port) as sent:
        for _ in range(ROUNDS):
            await sent.until(len(sent.acknowledged) + chance.randrange(200, 2_500))
            before = sent.acknowledged.copy()
            await asyncio.to_thread(broker.kill)
            stored = await stored_spans(database_url)
            assert before <= stored.keys()
            await asyncio.to_thread(broker.start)
    stored = await stored_spans(database_url)

    assert sent.broken >= ROUNDS
    assert set(sent.statuses) <= {200, 503}
    assert sent.acknowledged == sent.sent == stored.keys()
    assert max(stored.values()) == 1
    await assert_intact(database_url)


async def test_sigterm_under_load_finishes_what_it_has_and_sends_readers_away(
    start_broker: StartBroker, database_url: str
) -> None:
    broker = start_broker(database_url, shutdown_seconds=10)
    async with (
        following(f"{broker.url}/v1/sessions/session-000/stream") as session,
        following(f"{broker.url}/v1/stream") as sessions,
        following(f"{broker.url}/v1/queries/nothing-yet/stream") as nothing,
        load(broker.port) as sent,
    ):
        readers = (session, sessions, nothing)
        await sent.until(500)

        exit_code = await asyncio.to_thread(broker.terminate)

        before = sent.acknowledged.copy()
        assert exit_code == 0
        assert before <= (await stored_spans(database_url)).keys()
        for reader in readers:
            await reader.until(lambda seen: seen.ended)
            assert reader.frames[-1].event == "reconnect"
            assert reader.frames[-1].retry is not None
        await asyncio.to_thread(broker.start)
    stored = await stored_spans(database_url)

    assert sent.acknowledged == stored.keys()
    assert max(stored.values()) == 1
    await assert_intact(database_url)


async def test_an_open_request_is_finished_while_readiness_is_red(start_broker: StartBroker, database_url: str) -> None:
    broker = start_broker(database_url, shutdown_seconds=30)
    async with producing(broker.port, "open") as producer:
        await producer.post('{"choices": [{"delta": {"content": "a"}}]}')
        await until(lambda: stored_chunks(database_url), what="the first chunk")

        os.kill(broker.pid, signal.SIGTERM)
        await until(lambda: not_ready(broker.url), what="readiness to be red")
        await producer.post('{"choices": [{"delta": {"content": "b"}}]}')
        answer = await producer.finish()

    assert answer.status == 200
    assert json.loads(answer.body)["chunks_received"] == 2
    assert await asyncio.to_thread(broker.wait) == 0
    assert await stored_chunks(database_url) == 2


async def test_a_request_that_never_ends_does_not_hold_up_the_end(start_broker: StartBroker, database_url: str) -> None:
    broker = start_broker(database_url, shutdown_seconds=1)
    async with producing(broker.port, "open") as producer:
        await producer.post('{"choices": [{"delta": {"content": "a"}}]}')
        await until(lambda: stored_chunks(database_url), what="the first chunk")

        assert await asyncio.to_thread(broker.terminate) == 0

    assert await stored_chunks(database_url) == 1


async def not_ready(url: str) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"{url}/readyz")).status_code == 503
        except httpx.TransportError:
            return True


async def stored_chunks(database_url: str) -> int:
    [(count,)] = await query(database_url, "SELECT count(*) FROM events WHERE kind = 'chunk'")
    return int(count)
