"""Readers whose connection breaks anywhere, and who go on from their cursor: no gap, no double, in order."""

from __future__ import annotations

import asyncio
import json
import random

import httpx
import pytest

from tests.support.load import load, producing
from tests.support.process import Broker
from tests.support.stored import session_positions
from tests.support.streams import StreamReader, following

CUTS = 30


async def read_in_pieces(url: str, chance: random.Random, *, by_header: bool) -> StreamReader:
    """A reader that is cut again and again."""
    reader = StreamReader()
    for _ in range(CUTS):
        asked = reader.cursor
        how = {"headers": {"Last-Event-ID": asked}} if by_header else {"params": {"after": asked}}
        await reader.read(url, limit=chance.choice([1, 2, 3, 10, 50, 200]), **how)
        assert (reader.hellos[-1]["from"], reader.hellos[-1]["recovered"]) == (int(asked), True)
    return reader


@pytest.mark.slow
async def test_pieces_of_a_stream_make_the_whole(broker: Broker, database_url: str) -> None:
    url = f"{broker.url}/v1/sessions/session-000/stream"
    chance = random.Random(database_url)
    async with following(url) as whole:
        async with load(broker.port, connections=2, spans=5, sessions=2):
            cut = [
                asyncio.create_task(read_in_pieces(url, chance, by_header=way)) for way in (True, False, True, False)
            ]
            readers = await asyncio.gather(*cut)
        expected = await session_positions(database_url, "session-000")
        await whole.until(lambda seen: len(seen.positions) >= len(expected))

    assert whole.positions == expected
    for reader in readers:
        assert len(reader.hellos) == CUTS
        assert reader.positions == expected[: len(reader.positions)]
        assert reader.events == whole.events[: len(reader.events)]


async def test_a_resumed_stream_that_dies_before_its_first_event_still_resumes(broker: Broker) -> None:
    events = [{"type": "step", "session_id": "s", "number": number} for number in range(20)]
    async with httpx.AsyncClient(base_url=broker.url) as client:
        assert (await client.post("/v1/events", json=events)).status_code == 200
    url = f"{broker.url}/v1/sessions/s/stream"
    reader = StreamReader()
    await reader.read(url, limit=8)
    assert len(reader.frames) == 7

    for _ in range(3):
        await reader.read(url, headers={"Last-Event-ID": reader.cursor}, limit=1)

    assert len(reader.frames) == 7
    await reader.read(url, headers={"Last-Event-ID": reader.cursor}, limit=14)
    assert reader.positions == list(range(1, 21))


async def test_a_thousand_events_in_one_millisecond_keep_their_order(broker: Broker) -> None:
    millisecond = "2024-01-15T10:30:00.123Z"
    events = [
        {"id": f"e{number}", "type": "step", "session_id": "s", "time": millisecond, "number": number}
        for number in range(1_000)
    ]
    async with httpx.AsyncClient(base_url=broker.url) as client:
        assert (await client.post("/v1/events", json=events)).status_code == 200
    reader = StreamReader()
    while len(reader.frames) < 1_000:
        await reader.read(
            f"{broker.url}/v1/sessions/s/stream",
            headers={"Last-Event-ID": reader.cursor},
            limit=min(151, 1_001 - len(reader.frames)),
        )

    assert reader.positions == list(range(1, 1_001))
    assert [event["body"]["number"] for event in reader.events] == list(range(1_000))


async def test_pieces_of_a_query_make_the_whole_and_done_comes_once(broker: Broker) -> None:
    url = f"{broker.url}/v1/queries/asked/stream"
    cut = StreamReader()
    async with following(url) as whole, producing(broker.port, "asked") as producer:
        for number in range(60):
            await producer.post(json.dumps({"choices": [{"index": 0, "delta": {"content": f"word {number} "}}]}))
            if number % 3 == 0:
                await cut.read(url, headers={"Last-Event-ID": cut.cursor}, limit=2)
        await producer.post(json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        assert (await producer.finish()).status == 200
        async with httpx.AsyncClient(base_url=broker.url) as client:
            assert (await client.post("/stream/asked/complete")).status_code == 200
        await whole.until(lambda seen: seen.ended)
    await cut.read(url, headers={"Last-Event-ID": cut.cursor})

    assert cut.ended
    assert [frame.data for frame in cut.frames] == [frame.data for frame in whole.frames]
    assert [frame.data for frame in whole.frames].count("[DONE]") == 1
    assert len(whole.frames) == 62
