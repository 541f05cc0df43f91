"""Live streams of `/v1`: the greeting, where they start, how they go on, and how they end."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, update

from ark_broker.log.tables import events, log_head
from tests.support.api import Api, StartApi
from tests.support.sse import listen

HELLO = '{"choices":[{"delta":{"content":"Hello"}}]}'
WORLD = '{"choices":[{"delta":{"content":" world"},"finish_reason":"stop"}]}'


def named(session: str, **fields: Any) -> dict[str, Any]:
    return {"type": "step", "sessionId": session, "query": "q1"} | fields


async def log_id(api: Api) -> str:
    found: str = (await api.get("/v1/events"))["log"]
    return found


async def test_a_session_is_followed_from_its_start_and_on(each_api: Api) -> None:
    api = each_api
    await api.events(named("s1"), named("s2"), named("s1", type="tool.call"))

    async with listen(api.http, "/v1/sessions/s1/stream") as frames:
        assert frames.response.headers["content-type"].startswith("text/event-stream")
        assert frames.response.headers["cache-control"] == "no-cache"
        assert frames.response.headers["x-accel-buffering"] == "no"
        hello = await frames.hello()
        assert hello == {"log": await log_id(api), "from": 0, "head": 3, "recovered": True}
        stored = await frames.take(2)
        await api.events(named("s2"), named("s1", type="live"))
        live = await frames.next()

    assert [frame.id for frame in (*stored, live)] == ["1", "3", "5"]
    items = (await api.get("/v1/sessions/s1/events"))["items"]
    assert [frame.json() for frame in (*stored, live)] == items


async def test_the_greeting_says_how_soon_to_come_back(api: Api) -> None:
    async with listen(api.http, "/v1/stream") as frames:
        assert (await frames.next()).retry is not None


@pytest.mark.parametrize("path", ["/v1/sessions/s1/stream", "/v1/events/stream", "/v1/queries/q1/stream"])
async def test_a_reader_that_comes_back_misses_nothing_and_sees_nothing_twice(api: Api, path: str) -> None:
    await api.events(*(named("s1") for _ in range(4)))

    for request in (
        {"headers": {"Last-Event-ID": "2"}},
        {"params": {"after": 2}},
        {"params": {"last_event_id": 2}},
        {"params": {"after": f"{await log_id(api)}:2"}},
        {"params": {"after": 2, "log": await log_id(api)}},
        # The header is what the browser knows; the parameter is what the page began with.
        {"headers": {"Last-Event-ID": "2"}, "params": {"after": 1}},
    ):
        async with listen(api.http, path, **request) as frames:
            hello = await frames.hello()
            assert (hello["from"], hello["recovered"]) == (2, True)
            assert [frame.id for frame in await frames.take(2)] == ["3", "4"]


async def test_from_now_leaves_the_past_out(each_api: Api) -> None:
    api = each_api
    await api.events(named("s1"), named("s1"))

    async with listen(api.http, "/v1/sessions/s1/stream", params={"from": "now"}) as frames:
        assert (await frames.hello())["from"] == 2
        await api.events(named("s1"))
        assert (await frames.next()).id == "3"
    async with listen(api.http, "/v1/events/stream") as frames:
        assert (await frames.hello())["from"] == 3
        await api.events(named("s2"))
        assert (await frames.next()).id == "4"
    async with listen(api.http, "/v1/events/stream", params={"from": "start"}) as frames:
        assert (await frames.hello())["from"] == 0
        assert [frame.id for frame in await frames.take(4)] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("path", ["/v1/sessions/s1/stream", "/v1/events/stream"])
async def test_types_leave_the_others_out(api: Api, path: str) -> None:
    await api.events(named("s1"), named("s1", type="a"), named("s1", type="b"), named("s1", type="c"))

    params = {"type": ["a", "c"], "from": "start"}
    async with listen(api.http, path, params=params) as frames:
        await frames.hello()
        assert [frame.json()["type"] for frame in await frames.take(2)] == ["a", "c"]
        await api.events(named("s1"), named("s1", type="c"))
        assert (await frames.next()).id == "6"


STREAMS = ["/v1/sessions/s1/stream", "/v1/events/stream", "/v1/queries/q1/stream", "/v1/stream"]
GARBAGE = ["", "x", "-1", "1.5", "1e3", " 1", "٣", "0x10", "1" * 20, "9" * 10_000, "1" * 10_000 + ":1", "a:b", "1:"]


@pytest.mark.parametrize("path", STREAMS)
async def test_a_cursor_that_is_none_is_refused(api: Api, path: str) -> None:
    await api.events(named("s1"))

    for cursor in GARBAGE:
        for request in ({"params": {"after": cursor}}, {"headers": {"Last-Event-ID": cursor.encode()}}):
            if "headers" in request and cursor in ("", " 1"):
                continue  # a header without a value is what a browser sends that has seen no id; spaces do not count
            error = await api.error(path, 400, **request)
            assert error["field"] == "after", cursor
    assert (await api.error(path, 400, params={"from": "yesterday"}))["field"] == "from"


@pytest.mark.parametrize("path", STREAMS)
async def test_a_reader_of_what_this_log_never_had_is_told(api: Api, path: str) -> None:
    await api.events(named("s1"))

    for after, reason in (
        ("9", "future"),
        (str(2**63 - 1), "future"),
        ("9" * 19, "future"),
        ("other-log:1", "other-log"),
        ("11111111-1111-1111-1111-111111111111:1", "other-log"),
    ):
        async with listen(api.http, path, params={"after": after}) as frames:
            hello = await frames.hello()
            assert (hello["recovered"], hello["reason"], hello["from"]) == (False, reason, 0)
            assert (await frames.next()).id == "1", "from the beginning: nothing of this log was seen"


async def test_a_reader_from_before_what_retention_kept_is_told(each_api: Api) -> None:
    await each_api.events(*(named("s1") for _ in range(6)))
    async with each_api.services.reader._database.writer.begin() as connection:
        await connection.execute(delete(events).where(events.c.seq <= 4))
        await connection.execute(update(log_head).values(floor=4))

    for path in STREAMS[:3]:
        async with listen(each_api.http, path, params={"after": 2}) as frames:
            hello = await frames.hello()
            assert (hello["recovered"], hello["reason"], hello["from"]) == (False, "retention", 2)
            assert [frame.id for frame in await frames.take(2)] == ["5", "6"]
        async with listen(each_api.http, path, params={"after": 4}) as frames:
            assert (await frames.hello())["recovered"] is True
    page = await each_api.get("/v1/events", after=2)
    assert [event["seq"] for event in page["items"]] == [5, 6]


async def test_the_list_of_sessions_is_followed_and_bursts_are_one_frame(start_api: StartApi) -> None:
    async with start_api(session_list_coalesce_ms=1000) as api:
        await api.events(named("s0"))
        since = (await api.get("/v1/sessions"))["seq"]
        async with listen(api.http, "/v1/stream", params={"after": since}) as frames:
            assert (await frames.hello())["from"] == since
            began = time.monotonic()
            for _ in range(50):
                await api.events(named("s1"))
            seen = await frames.until(lambda frame: frame.json()["session"]["counts"]["events"] == 50)
            seconds = time.monotonic() - began

        assert len(seen) <= seconds + 2 < 50
        assert {frame.json()["session"]["id"] for frame in seen} == {"s1"}
        last = seen[-1].json()["session"]
        listed = (await api.get("/v1/sessions"))["items"][0]
        assert {**last, "seq": listed["seq"]} == listed


async def test_the_list_says_when_a_session_is_gone(each_api: Api) -> None:
    api = each_api
    await api.events(named("s1"), named("s2"))

    async with listen(api.http, "/v1/stream", params={"from": "start"}) as frames:
        await frames.hello()
        assert [frame.json()["session"]["id"] for frame in await frames.take(2)] == ["s1", "s2"]
        await api.http.delete("/v1/sessions/s1")
        frame = await frames.next()

    assert (frame.json(), frame.id) == ({"session": {"id": "s1"}, "gone": True}, "3")


async def test_a_reader_of_a_deleted_session_is_told(each_api: Api) -> None:
    api = each_api
    await api.events(named("s1"), named("s1"))
    async with listen(api.http, "/v1/sessions/s1/stream") as frames:
        await frames.hello()
        await frames.take(2)
        await api.http.delete("/v1/sessions/s1")
        assert (await frames.next()).json()["type"] == "session.deleted"
    await api.events(named("s1", type="afresh"))

    async with listen(api.http, "/v1/sessions/s1/stream", params={"after": 1}) as frames:
        hello = await frames.hello()
        assert (hello["recovered"], hello["reason"]) == (False, "deleted")
        assert (await frames.next()).json()["type"] == "afresh"


async def test_silence_is_kept_awake_by_comments(start_api: StartApi) -> None:
    async with (
        start_api(heartbeat_seconds=0.05) as api,
        api.http.stream("GET", "/v1/sessions/quiet/stream") as response,
    ):
        lines = response.aiter_lines()
        async with asyncio.timeout(20):
            while await anext(lines) != ": keep-alive":
                pass
        await lines.aclose()  # type: ignore[attr-defined]


async def test_a_shutdown_tells_readers_to_come_back(start_api: StartApi) -> None:
    async with start_api() as api:
        await api.events(named("s1"))
        for path in STREAMS:
            async with listen(api.http, path, params={"after": 1}) as frames:
                await frames.hello()
        async with listen(api.http, "/v1/sessions/s1/stream", params={"after": 1}) as frames:
            await frames.hello()
            api.services.tail.finish_followers()
            [farewell] = await frames.rest()
        assert farewell.event == "reconnect"
        assert farewell.retry is not None


async def test_the_consumer_view_has_events_between_chunks_then_done(each_api: Api) -> None:
    api = each_api
    await api.events(named("s1", type="query.started"))
    await api.chunks("q1", HELLO)
    await api.events(named("s1", type="tool.call", tool="search"))
    await api.chunks("q1", WORLD)
    await api.complete("q1")
    await api.events(named("s1", type="query.completed"))

    async with listen(api.http, "/v1/queries/q1/stream") as frames:
        hello = await frames.hello()
        assert hello["recovered"] is True
        *data, done = [frame.data for frame in await frames.rest()]

    assert done == "[DONE]"
    assert data[1] == HELLO
    assert data[3] == WORLD
    events = [json.loads(line) for line in (data[0], data[2], data[4])]
    assert [event["type"] for event in events] == ["event"] * 3
    assert [event["event"]["type"] for event in events] == ["query.started", "tool.called", "query.completed"]
    assert events[1]["event"] | {"queryName": "q1", "tool": "search"} == events[1]["event"]


async def test_without_events_every_frame_is_an_openai_chunk(each_api: Api) -> None:
    api = each_api
    await api.events(named("s1", type="query.started"))
    async with listen(api.http, "/v1/queries/q1/stream", params={"events": "false"}) as frames:
        hello = await frames.hello()
        assert (hello["object"], hello["choices"]) == ("chat.completion.chunk", [])
        await api.chunks("q1", HELLO, WORLD)
        await api.complete("q1")
        assert [frame.data for frame in await frames.rest()] == [HELLO, WORLD, "[DONE]"]


async def test_a_consumer_resumes_in_the_middle_and_after_the_end(each_api: Api) -> None:
    api = each_api
    await api.chunks("q1", HELLO, WORLD)
    await api.complete("q1")
    async with listen(api.http, "/v1/queries/q1/stream") as frames:
        await frames.hello()
        first = await frames.next()

    async with listen(api.http, "/v1/queries/q1/stream", headers={"Last-Event-ID": first.id}) as frames:
        await frames.hello()
        rest = await frames.rest()
    assert [frame.data for frame in rest] == [WORLD, "[DONE]"]
    async with listen(api.http, "/v1/queries/q1/stream", params={"after": 3}) as frames:
        await frames.hello()
        assert [frame.data for frame in await frames.rest()] == ["[DONE]"]


async def test_a_query_is_waited_for_and_found_by_uid(each_api: Api) -> None:
    api = each_api
    async with listen(api.http, "/v1/queries/later/stream") as frames:
        await frames.hello()
        await api.events(named("s1", type="query.started", query="later", queryUid="uid-1"))
        assert (await frames.next()).json()["event"]["queryName"] == "later"
        async with listen(api.http, "/v1/queries/uid-1/stream") as by_uid:
            await by_uid.hello()
            assert (await by_uid.next()).json()["event"]["queryName"] == "later"
        await api.events(named("s1", type="query.failed", query="later", error="out of tokens"))
        last, done = await frames.rest()
    assert (last.json()["event"]["error"], done.data) == ("out of tokens", "[DONE]")


async def test_a_namesake_in_another_session_is_not_mixed_in(each_api: Api) -> None:
    await each_api.events(named("s1", type="query.started"), named("s2", type="query.started"))

    async with listen(each_api.http, "/v1/queries/q1/stream", params={"session": "s2"}) as frames:
        await frames.hello()
        assert (await frames.next()).id == "2"
        await each_api.events(named("s1", type="query.completed"), named("s2", type="query.waiting"))
        assert (await frames.next()).id == "4"


@pytest.mark.parametrize("reader", ["before", "after", "reconnecting"])
@pytest.mark.parametrize("completions", [1, 2])
@pytest.mark.parametrize("chunks", [(), (HELLO, WORLD)], ids=["no-chunks", "chunks"])
async def test_a_reader_ends_once_whenever_the_completion_comes(
    each_api: Api, reader: str, completions: int, chunks: tuple[str, ...]
) -> None:
    api = each_api
    path = "/v1/queries/q1/stream"
    await api.events(named("s1", type="query.started"))

    async def produce() -> None:
        if chunks:
            await api.chunks("q1", *chunks)
        for _ in range(completions):
            await api.complete("q1")
        if not chunks:
            # Where nothing was streamed the marker alone says nothing of the query: its own end does.
            await api.events(named("s1", type="query.completed"))

    async def read(after: str | None) -> list[str]:
        params = {} if after is None else {"after": after}
        async with listen(api.http, path, params=params) as frames:
            await frames.hello()
            return [frame.data for frame in await frames.rest()]

    if reader == "after":
        await produce()
        data = await read(None)
    elif reader == "before":
        reading = asyncio.create_task(read(None))
        await produce()
        data = await reading
    else:
        async with listen(api.http, path) as frames:
            await frames.hello()
            first = await frames.next()
        await produce()
        data = [first.data, *await read(first.id)]

    assert data.count("[DONE]") == 1
    assert data[-1] == "[DONE]"
    assert [each for each in data if each in (HELLO, WORLD)] == list(chunks)


async def test_a_reader_of_a_busy_log_of_which_nothing_is_for_it_hears_that_the_stream_lives(
    start_api: StartApi,
) -> None:
    async with start_api(heartbeat_seconds=0.2) as api:
        wanted = {"type": "never", "from": "start"}
        async with api.http.stream("GET", "/v1/events/stream", params=wanted) as response:
            reading = asyncio.create_task(_first_comment(response))
            async with asyncio.timeout(20):
                while not reading.done():
                    await api.events(named("s1"))
            assert (await reading).startswith(":")


async def _first_comment(response: httpx.Response) -> str:
    async for line in response.aiter_lines():
        if line.startswith(":"):
            return line
    return ""
