"""What was wrong with Ark's own broker, each in a test of its own: none of it comes back here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlencode

import httpx
import psutil
import pytest

from ark_broker.log.read import Reader
from tests.api.ark.support import (
    data,
    items,
    operation,
    post_events,
    post_messages,
    raw_stream,
    text,
    watch,
)
from tests.chaos.test_slow_readers import raw_readers
from tests.support.api import Api, StartApi, serve
from tests.support.process import StartBroker
from tests.support.sse import Frames, listen
from tests.support.streams import following

MIB = 2**20
BEGINNING = {"from-beginning": "true"}


# -- answers that were wrong, or never came ----------------------------------------------------------------------------


async def test_a_malformed_or_oversized_body_is_answered_in_json(start_api: StartApi) -> None:
    async with start_api(max_body_bytes="1KiB") as api:
        for path in ("/messages", "/events", "/sessions"):
            malformed = await api.error(path, 400, method="POST", content=b'{"a":')
            oversized = await api.error(path, 413, method="POST", content=b'"' + b"x" * 2_000 + b'"')
            assert (malformed["code"], oversized["code"]) == ("VALIDATION_ERROR", "PAYLOAD_TOO_LARGE")


async def test_traces_of_no_known_content_type_are_answered(api: Api) -> None:
    for headers in ({}, {"content-type": "text/plain"}, {"content-type": "application/x-thrift"}):
        response = await api.http.post("/v1/traces", content=b"spans", headers=headers)
        assert response.status_code == 415
    assert (await api.http.post("/v1/traces")).status_code == 415


@pytest.mark.parametrize("lines", ['{"one":"document"}', '{"n":1}\n{"n":2}\n', "[1,\n2]\n", "7"])
async def test_a_stream_that_is_called_json_is_answered(api: Api, lines: str) -> None:
    headers = {"content-type": "application/json"}
    response = await api.http.post("/stream/q1", content=lines, headers=headers)

    assert response.status_code == 200
    assert response.json()["status"] == "stream_processed"


async def test_a_reader_gets_headers_and_heartbeats_before_the_first_chunk(start_api: StartApi) -> None:
    async with start_api(heartbeat_seconds=0.05) as api, raw_stream(api, "/stream/q1") as stream:
        assert stream.response.headers["content-type"] == "text/event-stream"
        assert [await stream.block() for _ in range(3)] == [b": connected", b": keep-alive", b": keep-alive"]


async def test_the_last_line_needs_no_newline(each_api: Api) -> None:
    response = await each_api.http.post("/stream/q1", content=b'{"n":1}\n{"n":2}')

    assert response.json()["chunks_received"] == 2
    assert [item["data"]["chunk"] for item in await items(each_api, "/stream")] == [{"n": 1}, {"n": 2}]


# -- watches that did not do what they were asked ----------------------------------------------------------------------


async def test_a_watch_of_messages_keeps_to_its_query(each_api: Api) -> None:
    api = each_api
    await post_messages(api, "c1", "q2", "not this")
    await post_messages(api, "c1", "q1", "stored")
    async with watch(api, "/messages", conversation_id="c1", query_id="q1", cursor=0) as frames:
        await post_messages(api, "c1", "q2", "nor this")
        await post_messages(api, "c1", "q1", "live")
        assert [each["message"] for each in await data(frames, 2)] == ["stored", "live"]


async def test_a_watch_of_all_events_begins_at_the_beginning_where_it_is_told(each_api: Api) -> None:
    api = each_api
    await post_events(api, operation("u1"), operation("u2"))
    async with watch(api, "/events", **BEGINNING) as frames:
        await post_events(api, operation("u3"))
        assert [each["data"]["queryId"] for each in await data(frames, 3)] == ["u1", "u2", "u3"]


async def test_every_watch_can_be_resumed_without_losing_what_came_in_the_gap(each_api: Api) -> None:
    api = each_api

    async def store(number: int) -> None:
        await post_messages(api, "c1", "q1", number)
        await api.chunks("q1", str(number))
        await post_events(api, operation("u1", sessionId="s1", queryName="q1", number=number))
        await api.spans({"number": number, "attributes": {"ark.session.id": "s1", "query.name": "q1"}})

    paths = ("/messages", "/stream", "/stream/q1", "/events", "/events/u1", "/traces", "/sessions")
    seen: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        before = {path: await stack.enter_async_context(watch(api, path)) for path in paths}
        await store(1)
        for path, frames in before.items():
            seen[path] = (await frames.next()).id
            assert int(seen[path]) > 0, path
    await store(2)
    async with AsyncExitStack() as stack:
        after = {path: await stack.enter_async_context(watch(api, path, last_event_id=seen[path])) for path in paths}
        await store(3)
        for path, frames in after.items():
            if path == "/sessions":
                assert (await frames.next()).json()["sessionId"] == "s1"
                continue
            positions = [int(frame.id) for frame in await frames.take(2)]
            assert int(seen[path]) < positions[0] < positions[1], path


@pytest.mark.parametrize("ring", ["16MiB", "4KiB"])
async def test_replay_and_live_events_meet_without_duplicates_or_gaps(database_url: str, ring: str) -> None:
    """Readers come while others write: each gets all of it once, and in the order of the list."""
    async with serve(database_url, ring_bytes=ring) as api:
        paths = (
            ("/messages", {"cursor": "0"}),
            ("/messages", {"cursor": "0", "conversation_id": "c1"}),
            ("/stream", {"cursor": "0"}),
            ("/stream/q1", BEGINNING),
            ("/events", BEGINNING),
            ("/events/u1", BEGINNING),
            ("/traces", BEGINNING),
        )
        writing = [asyncio.create_task(write(api, writer, 25)) for writer in range(4)]
        readers = []
        for turn in range(3):
            readers += [asyncio.create_task(read_until_the_end(api, path, params)) for path, params in paths]
            # The next ones come when more is stored: in the middle of it.
            wanted = 90 * (turn + 1)
            await read_until_there_are(api, wanted)
        await asyncio.gather(*writing)
        await write(api, 99, 1)
        found = await asyncio.gather(*readers)

        for (path, params), positions in zip(paths * 3, found, strict=True):
            assert len(positions) == 101, (path, params)
            assert positions == sorted(set(positions)), (path, params)
        sequences = [item["sequence"] for item in await items(api, "/messages", limit=1000)]
        assert all(positions == sequences for positions in found[::7])
        numbers = [item["sequenceNumber"] for item in await items(api, "/stream", limit=1000)]
        assert all(positions == numbers for positions in found[2::7])


async def write(api: Api, writer: int, count: int) -> None:
    """So many messages, chunks, events and spans, one after the other; each says whose it is."""
    for number in range(count):
        name = f"{writer}-{number}"
        await post_messages(api, "c1", "q1", name)
        await api.chunks("q1", f'"{name}"')
        await post_events(api, operation("u1", name=name))
        await api.spans({"number": writer * 1_000 + number + 1, "name": name})


async def read_until_there_are(api: Api, count: int) -> None:
    async with listen(api.http, "/v1/events/stream", params={"from": "start"}) as frames:
        await frames.hello()
        await frames.take(count)


async def read_until_the_end(api: Api, path: str, params: dict[str, str]) -> list[int]:
    """Positions of all frames up to the one that was written last."""
    async with listen(api.http, path, params={"watch": "true", **params}) as frames:
        return [int(frame.id) for frame in await frames.until(lambda frame: "99-0" in frame.data)]


# -- replays that fail -------------------------------------------------------------------------------------------------

REPLAYS = [
    ("/messages", {"watch": "true", "cursor": "0"}),
    ("/stream", {"watch": "true", "cursor": "0"}),
    ("/stream/q1", BEGINNING),
    ("/events/u1", {"watch": "true", **BEGINNING}),
]


@pytest.mark.parametrize(("path", "params"), REPLAYS)
async def test_a_replay_that_fails_closes_the_stream(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str, params: dict[str, str]
) -> None:
    await everything(api)

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Reader, "page", broken)

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        async with listen(api.http, path, params=params) as frames:
            await frames.rest()


@pytest.mark.parametrize(("path", "params"), REPLAYS)
async def test_a_replay_waits_for_a_database_that_is_away_for_a_moment(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str, params: dict[str, str]
) -> None:
    await everything(api)
    page, tries = Reader.page, 0

    async def flaky(*args: Any, **fields: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ConnectionRefusedError("away")
        return await page(*args, **fields)

    monkeypatch.setattr(Reader, "page", flaky)

    async with listen(api.http, path, params=params) as frames:
        await everything(api)
        assert len(await text(frames, 2)) == 2
    assert tries >= 2


async def everything(api: Api) -> None:
    """One message, chunk and event."""
    await post_messages(api, "c1", "q1", "hi")
    await api.chunks("q1", "1")
    await post_events(api, operation("u1"))


# -- two brokers -------------------------------------------------------------------------------------------------------


async def test_watches_are_the_same_on_every_broker_of_one_database(
    start_broker: StartBroker, postgres_url: str
) -> None:
    brokers = [start_broker(postgres_url) for _ in range(2)]
    paths = (
        "/messages?watch=true",
        "/messages?watch=true&conversation_id=c1",
        "/stream?watch=true",
        "/stream/q1",
        "/events?watch=true",
        "/events/u1?watch=true",
    )
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=broker.url, timeout=30, verify=False))
            for broker in brokers
        ]
        readers: list[tuple[Frames, Frames]] = []
        for path in paths:
            here, there = [await stack.enter_async_context(listen(client, path)) for client in clients]
            readers.append((here, there))
        await asyncio.gather(*(say(client, f"{number}") for number, client in enumerate(clients)))
        for here, there in readers:
            assert [(each.id, each.data) for each in await here.take(20)] == [
                (each.id, each.data) for each in await there.take(20)
            ]
        response = await clients[0].post("/stream/q1/complete", json={})
        assert response.json()["status"] == "completed"
        assert (await clients[1].post("/stream/q1/complete", json={})).json()["status"] == "already_completed"
        # `/stream/q1` of both brokers.
        for frames in readers[3]:
            # A comment behind an `id:` is a frame without data to this reader.
            assert [each.data for each in await frames.rest() if each.data] == ["[DONE]"]
        deleted = await clients[1].delete("/conversations/c1")
        assert deleted.status_code == 200
        assert (await clients[0].get("/messages")).json()["items"] == []


async def say(client: httpx.AsyncClient, who: str) -> None:
    """Ten messages, chunks and events."""
    for number in range(10):
        body = {"conversation_id": "c1", "query_id": "q1", "messages": [f"{who} {number}"]}
        assert (await client.post("/messages", json=body)).status_code == 200
        assert (await client.post("/stream/q1", content=f'"{who} {number}"\n')).status_code == 200
        assert (await client.post("/events", json=operation("u1", number=f"{who} {number}"))).status_code == 201


# -- readers that do not read ------------------------------------------------------------------------------------------


async def post_chunks(client: httpx.AsyncClient, number: int) -> None:
    """Half a megabyte of them."""
    lines = b"".join(b'{"n":%d,"x":"%s"}\n' % (number, b"x" * 10_000) for _ in range(50))
    assert (await client.post("/stream/q1", content=lines)).status_code == 200


async def post_long_messages(client: httpx.AsyncClient, number: int) -> None:
    """Half a megabyte of them."""
    body = {"conversation_id": "c1", "query_id": "q1", "messages": [{"n": number, "content": "x" * 10_000}] * 50}
    assert (await client.post("/messages", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("path", "params", "post"),
    [
        ("/stream/q1", BEGINNING, post_chunks),
        ("/stream", {"watch": "true", "cursor": "0"}, post_chunks),
        ("/messages", {"watch": "true", "cursor": "0"}, post_long_messages),
    ],
)
async def test_readers_that_do_not_read_cost_no_memory_and_hold_up_nobody(
    start_broker: StartBroker,
    sqlite_url: str,
    path: str,
    params: dict[str, str],
    post: Callable[[httpx.AsyncClient, int], Awaitable[None]],
) -> None:
    stalled_readers, posts = 20, 40
    broker = start_broker(sqlite_url, ring_bytes="1MiB")
    process = psutil.Process(broker.pid)
    async with (
        httpx.AsyncClient(base_url=broker.url, timeout=30, verify=False) as client,
        following(broker.url + path, **params) as fast,
    ):
        for number in range(10):
            await post(client, number)
        with raw_readers(stalled_readers, broker.port, f"{path}?{urlencode(params)}") as stalled:
            before = process.memory_info().rss
            for number in range(10, posts):
                await post(client, number)
            await fast.until(lambda seen: len(seen.positions) == 50 * posts, what="the fast reader to see all")
            grown = process.memory_info().rss - before
            expected = [number for number in range(posts) for _ in range(50)]
            assert [number_of(frame.data) for frame in fast.frames] == expected
            late = stalled[:3]
            for reader in late:
                await asyncio.to_thread(reader.read_until, fast.positions[-1])
                assert reader.positions == fast.positions

    # What each of them would have had to be given is more than this, and all of them together far more.
    assert grown < 64 * MIB < stalled_readers * len(late[-1].data) / 4


def number_of(frame: str) -> int:
    """The number that the post of this chunk or message had."""
    found = json.loads(frame)
    number: int = found.get("message", found)["n"]
    return number
