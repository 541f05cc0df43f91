"""`/stream`: completion chunks of one query and of all, in each generation of Ark's broker."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ark_broker.log.transaction import Commit, Transaction
from ark_broker.log.writer import Writer
from ark_broker.model import Event
from tests.api.access.conftest import locked_broker
from tests.api.ark.support import data, items, log, ok, operation, post_events, raw_stream, text, watch
from tests.support.api import Api, StartApi, serve
from tests.support.sse import listen
from tests.support.stored import query as sql
from tests.support.waiting import until

HELLO = '{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}],"n":1.50}'
WORLD = '{"choices": [{"delta": {"content": " wörld"}}], "created": 12345678901234567890}'
ERROR = '{"error":{"message":"no such model","type":"server_error","code":"execution_failed"},"ark":{"query":"uid"}}'
REQUEST = '{"type":"tool_approval_request","taskId":"t1","toolCalls":[],"timeout":"1h0m0s","onTimeout":"reject"}'
RESPONSE = '{"type":"tool_approval_response","taskId":"t1","action":"approved","timestamp":"2026-11-20T21:14:15Z"}'
WAITED = {"message": "Request timeout waiting for streaming query response", "type": "timeout_error", "code": "timeout"}
IDLE = {"message": "Streaming query response timed out", "type": "timeout_error", "code": "timeout"}
GENERATIONS = ("a", "b", "c")


async def replay(api: Api, query: str) -> list[str]:
    """What a reader from the beginning gets, of a stream that is over."""
    async with listen(api.http, f"/stream/{query}", params={"from-beginning": "true"}) as frames:
        return [frame.data for frame in await frames.rest()]


# -- the list ----------------------------------------------------------------------------------------------------------


async def test_the_list_has_the_chunks_of_all_queries_with_their_number_and_time(each_api: Api) -> None:
    api = each_api
    await api.chunks("q1", HELLO)
    await api.chunks("q2", WORLD, "7", '"text"', "[1]")
    await api.complete("q1")

    page = await api.get("/stream")

    assert (page["total"], page["hasMore"]) == (6, False)
    numbers = [item["sequenceNumber"] for item in page["items"]]
    assert numbers == sorted(set(numbers))
    for item in page["items"]:
        assert {"sequenceNumber", "timestamp", "data"} == set(item)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", item["timestamp"])
    assert [item["data"] for item in page["items"]] == [
        {"queryId": "q1", "chunk": json.loads(HELLO)},
        {"queryId": "q2", "chunk": json.loads(WORLD)},
        {"queryId": "q2", "chunk": 7},
        {"queryId": "q2", "chunk": "text"},
        {"queryId": "q2", "chunk": [1]},
        {"queryId": "q1", "chunk": "[DONE]", "complete": True},
    ]


async def test_a_completion_marker_is_an_item(each_api: Api) -> None:
    await each_api.chunks("q1", HELLO)
    await each_api.complete("q1")

    chunk, marker = await items(each_api, "/stream")

    assert chunk["data"] == {"queryId": "q1", "chunk": json.loads(HELLO)}
    assert marker["data"] == {"queryId": "q1", "chunk": "[DONE]", "complete": True}


async def test_chunks_are_listed_as_they_were_sent(each_api: Api) -> None:
    await each_api.chunks("q1", HELLO, WORLD)

    response = await each_api.http.get("/stream")

    assert f'"chunk":{HELLO}}}' in response.text
    assert f'"chunk":{WORLD}}}' in response.text


async def test_the_list_is_read_page_by_page(each_api: Api) -> None:
    api = each_api
    await api.chunks("q1", *map(str, range(130)))
    await api.complete("q1")
    first = await api.get("/stream")
    second = await api.get("/stream", cursor=first["nextCursor"])

    assert [item["data"]["chunk"] for item in first["items"]] == list(range(100))
    assert [item["data"]["chunk"] for item in second["items"]] == [*range(100, 130), "[DONE]"]
    assert (first["total"], second["total"], second["hasMore"]) == (131, 131, False)
    assert first["nextCursor"] == first["items"][-1]["sequenceNumber"]


async def test_the_list_has_no_filter_by_query(each_api: Api) -> None:
    await each_api.chunks("q1", "1")
    await each_api.chunks("q2", "2")

    assert len(await items(each_api, "/stream", query_id="q1", query="q1")) == 2


async def test_the_list_has_chunks_only(each_api: Api) -> None:
    api = each_api
    await api.chunks("q1", "1")
    await post_events(api, operation("u1", queryName="q1", sessionId="s1"))
    await api.spans({"attributes": {"query.name": "q1", "session.id": "s1"}})

    assert [item["data"]["chunk"] for item in await items(api, "/stream")] == [1]


async def test_packed_streams_are_in_the_list_as_before(database_url: str) -> None:
    lines = [HELLO, WORLD, "7", *map(str, range(100, 320)), REQUEST, RESPONSE]
    async with serve(database_url) as api:
        for query in ("q1", "q2"):
            await post_events(api, operation(f"u-{query}", "QueryExecutionStart", queryName=query, sessionId="s1"))
        for start in range(0, len(lines), 50):
            for query in ("q1", "q2"):
                await api.chunks(query, *lines[start : start + 50])
        await api.complete("q1")
        await api.complete("q2")
        await api.chunks("open", "1")
        before = await every_page(api)
        replayed = await replay(api, "q1")
        assert len(before) == 2 * len(lines) + 3
    async with serve(database_url, pack_after_seconds=0.05) as api:

        async def packed() -> bool:
            return await sql(database_url, "SELECT coalesce(sum(events), 0) FROM packs") == [(2 * len(lines) + 2,)]

        await until(packed)
        assert await every_page(api) == before
        assert (await api.get("/stream"))["total"] == len(before)
        assert await replay(api, "q1") == replayed == [*lines, "[DONE]"]
        middle = before[200][0]
        assert [item["sequenceNumber"] for item in await items(api, "/stream", cursor=middle, limit=5)] == [
            position for position, _ in before[201:206]
        ]
        async with watch(api, "/stream", cursor=0) as frames:
            seen = [(int(frame.id), json.loads(frame.data)) for frame in await frames.take(len(before))]
        assert seen == [(position, found["chunk"]) for position, found in before]


async def every_page(api: Api) -> list[tuple[int, Any]]:
    """(sequenceNumber, data) of the whole list."""
    found: list[tuple[int, Any]] = []
    page: dict[str, Any] = {"hasMore": True, "nextCursor": 0}
    while page["hasMore"]:
        page = await api.get("/stream", limit=97, cursor=page["nextCursor"])
        found += [(item["sequenceNumber"], item["data"]) for item in page["items"]]
    return found


# -- the firehose ------------------------------------------------------------------------------------------------------


async def test_the_firehose_has_every_chunk_and_the_markers_as_json_text(database_url: str) -> None:
    async with serve(database_url, heartbeat_seconds=300) as api:
        await api.chunks("before", "0")
        async with raw_stream(api, "/stream", params={"watch": "true"}) as stream:
            await api.chunks("q1", HELLO)
            await api.chunks("q2", WORLD, '"text"')
            await api.complete("q1")
            assert await stream.block() == b": connected"
            lines = [(await stream.block()).split(b"\n")[1].decode() for _ in range(4)]

    assert lines == [f"data: {HELLO}", f"data: {WORLD}", 'data: "text"', 'data: "[DONE]"']


async def test_the_firehose_goes_on_after_completions_and_errors(api: Api) -> None:
    async with watch(api, "/stream") as frames:
        await api.chunks("q1", ERROR)
        await api.complete("q1")
        await api.complete("q2")
        await api.chunks("q2", "1")
        assert await text(frames, 4) == [ERROR, '"[DONE]"', '"[DONE]"', "1"]


async def test_chunks_reach_the_firehose_while_their_post_is_open(each_api: Api) -> None:
    api = each_api
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def content() -> AsyncIterator[bytes]:
        for line in (HELLO, WORLD):
            yield f"{line}\n".encode()
            assert await seen.get() == line

    async with watch(api, "/stream") as frames:
        post = asyncio.create_task(api.http.post("/stream/q1", content=content()))
        for _ in range(2):
            seen.put_nowait((await frames.next()).data)
        assert (await post).json()["chunks_received"] == 2


# -- completion, by generation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", ["a", "b"])
async def test_completing_an_unknown_stream_is_not_found_in_older_generations(
    start_api: StartApi, generation: str
) -> None:
    async with start_api(ark_compat=generation) as api:
        error = await api.error("/stream/unknown/complete", 404, method="POST", json={})

        assert (error["code"], error["message"]) == ("NOT_FOUND", "Stream not found")
        assert await items(api, "/stream") == []


async def test_completing_an_unknown_stream_stores_a_marker_in_the_newest_generation(start_api: StartApi) -> None:
    async with start_api(ark_compat="c") as api:
        assert await api.complete("unknown") == "completed"
        assert await api.complete("unknown") == "already_completed"
        [marker] = await items(api, "/stream")

        assert marker["data"] == {"queryId": "unknown", "chunk": "[DONE]", "complete": True}
        assert await replay(api, "unknown") == ["[DONE]"]


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_completion_is_said_once_in_every_generation(start_api: StartApi, generation: str) -> None:
    async with start_api(ark_compat=generation) as api:
        await api.chunks("q1", HELLO)
        for expected in ("completed", "already_completed", "already_completed"):
            response = await ok(api, "POST", "/stream/q1/complete", content=b"anything at all")
            assert response.json() == {"status": expected, "query": "q1"}
        assert await replay(api, "q1") == [HELLO, "[DONE]"]


async def test_a_chunk_that_comes_just_after_the_marker_is_kept(each_api: Api) -> None:
    """The executor does not wait for the answer of its POST before it says `complete`."""
    api = each_api
    await api.chunks("q1", HELLO)
    await api.complete("q1")
    await api.chunks("q1", WORLD)

    assert [item["data"]["chunk"] for item in await items(api, "/stream")] == [
        json.loads(HELLO),
        "[DONE]",
        json.loads(WORLD),
    ]
    async with listen(api.http, "/stream/q1", params={"from-beginning": "true"}) as frames:
        assert await text(frames, 2) == [HELLO, WORLD]


async def test_a_query_cannot_be_deleted_by_its_stream(api: Api) -> None:
    await api.chunks("q1", HELLO)

    assert (await api.error("/stream/q1", 404, method="DELETE"))["code"] == "NOT_FOUND"


# -- waiting, by generation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_waiting_for_a_query_that_never_comes_ends_with_an_error(start_api: StartApi, generation: str) -> None:
    async with (
        start_api(ark_compat=generation) as api,
        listen(api.http, "/stream/q1", params={"wait-for-query": "1"}) as frames,
    ):
        error, done = await frames.rest()

        assert error.json() == {"error": WAITED}
        assert done.data == "[DONE]"


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_first_chunk_ends_the_waiting(start_api: StartApi, generation: str) -> None:
    async with (
        start_api(ark_compat=generation, heartbeat_seconds=0.2) as api,
        raw_stream(api, "/stream/q1", params={"wait-for-query": "4"}) as stream,
    ):
        await api.chunks("q1", HELLO)
        blocks = [await stream.block() for _ in range(24)]
        await api.chunks("q1", WORLD)
        while not blocks[-1].endswith(WORLD.encode()):
            blocks.append(await stream.block())

        # So many heartbeats are longer than the waiting would have been.
        assert not [block for block in blocks if b"timeout" in block]
        await api.complete("q1")
        assert (await stream.until(b"data: [DONE]"))[-1] == b"data: [DONE]"


@pytest.mark.parametrize("generation", ["a", "b"])
async def test_older_generations_wait_without_end_unless_they_are_told(start_api: StartApi, generation: str) -> None:
    async with (
        start_api(ark_compat=generation, stream_idle_seconds=0.05, heartbeat_seconds=0.05) as api,
        raw_stream(api, "/stream/q1") as stream,
    ):
        blocks = [await stream.block() for _ in range(10)]
        await api.chunks("q1", HELLO)
        blocks += await stream.until(b"id: 1\ndata: " + HELLO.encode())
        blocks += [await stream.block() for _ in range(10)]

        assert not [block for block in blocks if b"timed out" in block or block == b"data: [DONE]"]


async def test_the_newest_generation_ends_a_silent_stream(start_api: StartApi) -> None:
    async with start_api(ark_compat="c", stream_idle_seconds=0.2) as api:
        for params in ({}, {"wait-for-query": "30s"}, {"from-beginning": "true"}):
            async with listen(api.http, "/stream/silent", params=params) as frames:
                error, done = await frames.rest()
                assert (error.json(), done.data) == ({"error": IDLE}, "[DONE]"), params


async def test_every_chunk_gives_the_newest_generation_new_patience(start_api: StartApi) -> None:
    async with (
        start_api(ark_compat="c", stream_idle_seconds=2, heartbeat_seconds=0.25) as api,
        raw_stream(api, "/stream/q1") as stream,
    ):
        assert await stream.block() == b": connected"
        for number in range(5):
            await api.chunks("q1", str(number))
            while (block := await stream.block()) == b": keep-alive":
                pass
            assert block.endswith(f"data: {number}".encode())
            # Half a second of silence after each: together longer than the patience.
            assert [await stream.block() for _ in range(2)] == [b": keep-alive"] * 2
        *_, error, done = await stream.until(b"data: [DONE]")

        assert json.loads(error.removeprefix(b"data: ")) == {"error": IDLE}
        assert done == b"data: [DONE]"


async def test_replayed_chunks_and_then_silence_end_with_the_idle_error(start_api: StartApi) -> None:
    async with start_api(ark_compat="c", stream_idle_seconds=0.2) as api:
        await api.chunks("q1", HELLO)
        chunk, error, done = await replay(api, "q1")

        assert (chunk, json.loads(error), done) == (HELLO, {"error": IDLE}, "[DONE]")


@pytest.mark.parametrize("value", ["30s", "1.5", "-1", "", "soon"])
async def test_a_wait_that_is_no_whole_number_is_refused_by_the_old_and_ignored_by_the_newest(
    start_api: StartApi, value: str
) -> None:
    for generation in ("a", "b"):
        async with start_api(ark_compat=generation) as api:
            error = await api.error("/stream/q1", 400, params={"wait-for-query": value})
            assert error["code"] == "VALIDATION_ERROR"
            assert error["message"].startswith("wait-for-query: ")
    async with start_api(ark_compat="c") as api, listen(api.http, "/stream/q1", params={"wait-for-query": value}):
        pass


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_other_parameters_are_checked_in_every_generation(start_api: StartApi, generation: str) -> None:
    async with start_api(ark_compat=generation) as api:
        for name, value in (
            ("from-beginning", "yes"),
            ("from-beginning", ""),
            ("max-chunk-size", "0"),
            ("max-chunk-size", "-1"),
            ("max-chunk-size", "many"),
        ):
            error = await api.error("/stream/q1", 400, params={name: value})
            assert error["code"] == "VALIDATION_ERROR"
            assert error["message"].startswith(f"{name}: ")
        async with listen(api.http, "/stream/q1", params={"max-chunk-size": "50", "from-beginning": "false"}):
            pass


# -- approval ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_stream_pauses_for_an_approval_and_resumes_under_its_name(start_api: StartApi, generation: str) -> None:
    async with start_api(ark_compat=generation) as api:
        async with listen(api.http, "/stream/q1", params={"from-beginning": "true"}) as before:
            await api.chunks("q1", HELLO, REQUEST)
            assert await api.complete("q1") == "completed"
            assert [frame.data for frame in await before.rest()] == [HELLO, REQUEST, "[DONE]"]
        assert await replay(api, "q1") == [HELLO, REQUEST, "[DONE]"], "paused, the stream is over so far"

        async with listen(api.http, "/stream/q1") as waiting:
            await api.chunks("q1", RESPONSE, WORLD)
            async with listen(api.http, "/stream/q1", params={"from-beginning": "true"}) as late:
                assert await text(late, 4) == [HELLO, REQUEST, RESPONSE, WORLD], "the first marker ends nothing now"
                assert await api.complete("q1") == "completed"
                assert [frame.data for frame in await late.rest()] == ["[DONE]"]
            assert [frame.data for frame in await waiting.rest()] == [RESPONSE, WORLD, "[DONE]"]

        assert await api.complete("q1") == "already_completed"
        assert await replay(api, "q1") == [HELLO, REQUEST, RESPONSE, WORLD, "[DONE]"]


async def test_a_resumed_stream_that_is_packed_replays_the_same(database_url: str) -> None:
    async with serve(database_url, pack_after_seconds=0.05) as api:
        await post_events(api, operation("u1", "QueryExecutionStart", queryName="q1", sessionId="s1"))
        await api.chunks("q1", HELLO, REQUEST)
        await api.complete("q1")

        async def packed() -> bool:
            return await sql(database_url, "SELECT coalesce(sum(events), 0) FROM packs") == [(expected,)]

        expected = 3
        await until(packed)
        assert await replay(api, "q1") == [HELLO, REQUEST, "[DONE]"]
        await api.chunks("q1", RESPONSE)
        assert await api.complete("q1") == "completed"
        expected = 5
        await until(packed)
        assert await replay(api, "q1") == [HELLO, REQUEST, RESPONSE, "[DONE]"]
        assert await api.complete("q1") == "already_completed"


# -- errors ------------------------------------------------------------------------------------------------------------


async def test_an_error_chunk_ends_every_live_reader_and_completes_nothing(each_api: Api) -> None:
    api = each_api
    async with listen(api.http, "/stream/q1") as one, listen(api.http, "/stream/q1") as other:
        await api.chunks("q1", HELLO, ERROR)
        for frames in (one, other):
            assert [frame.data for frame in await frames.rest()] == [HELLO, ERROR, "[DONE]"]
    async with listen(api.http, "/stream/q1") as again:
        await api.chunks("q1", WORLD)
        assert await text(again, 1) == [WORLD]
    assert await api.complete("q1") == "completed"


async def test_an_error_chunk_in_a_replay_is_like_any_other_where_more_follows(each_api: Api) -> None:
    api = each_api
    await api.chunks("q1", HELLO, ERROR, WORLD)
    async with listen(api.http, "/stream/q1", params={"from-beginning": "true"}) as frames:
        assert await text(frames, 3) == [HELLO, ERROR, WORLD]
        await api.complete("q1")
        assert [frame.data for frame in await frames.rest()] == ["[DONE]"]


async def test_an_error_chunk_that_a_replay_ends_with_ends_it(each_api: Api) -> None:
    await each_api.chunks("q1", HELLO, ERROR)

    assert await replay(each_api, "q1") == [HELLO, ERROR, "[DONE]"]


@pytest.mark.parametrize(
    "chunk",
    [
        '{"error":"boom"}',
        '{"error":null}',
        '{"error":{"message":"no type"}}',
        '{"error":{"type":"no_message"}}',
        '{"error":{"message":7,"type":"t"}}',
        '{"error":[]}',
    ],
)
async def test_an_error_in_no_known_form_is_passed_on_and_ends_nothing(api: Api, chunk: str) -> None:
    async with listen(api.http, "/stream/q1") as frames:
        await api.chunks("q1", chunk, WORLD)
        assert await text(frames, 2) == [chunk, WORLD]


# -- producers ---------------------------------------------------------------------------------------------------------


async def test_a_final_chunk_may_be_large(each_api: Api) -> None:
    raw = json.dumps([{"role": "assistant", "content": "x" * 3_000_000}])
    final = json.dumps({"id": "chatcmpl-final", "choices": [], "ark": {"completedQuery": {"status": {"raw": raw}}}})
    async with listen(each_api.http, "/stream/q1") as frames:
        await each_api.chunks("q1", final)
        await each_api.complete("q1")
        assert [frame.data for frame in await frames.rest()] == [final, "[DONE]"]


async def test_a_producer_may_be_silent_as_long_as_it_likes(start_api: StartApi) -> None:
    async with start_api(heartbeat_seconds=0.05) as api, raw_stream(api, "/stream/q1") as stream:
        # Bodies of other requests are given up by then.
        api.services.intake.patience = 0.1

        async def content() -> AsyncIterator[bytes]:
            for line in (HELLO, WORLD):
                for _ in range(10):
                    await stream.block()
                yield f"{line}\n".encode()

        response = await api.http.post("/stream/q1", content=content())
        assert response.json()["chunks_received"] == 2


async def test_many_finish_reasons_do_not_end_a_stream(api: Api) -> None:
    finish = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    async with listen(api.http, "/stream/team") as frames:
        await api.chunks("team", finish, HELLO, finish)
        assert await text(frames, 3) == [finish, HELLO, finish]


async def test_two_producers_of_one_stream_lose_nothing(each_api: Api) -> None:
    api = each_api
    async with listen(api.http, "/stream/q1") as frames:
        await asyncio.gather(
            *(api.chunks("q1", *(str(100 * producer + number) for number in range(100))) for producer in range(3))
        )
        seen = [int(frame.data) for frame in await frames.take(300)]

    assert sorted(seen) == list(range(300))
    for producer in range(3):
        assert [number for number in seen if number // 100 == producer] == list(
            range(100 * producer, 100 * producer + 100)
        )


@contextmanager
def late(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Awaitable[None]]]:
    """The next commit is done, and said to be only once the call that is yielded has seen somebody try again."""
    done = asyncio.Event()
    transact = writer._transact

    async def first(run: Callable[[Transaction], Awaitable[list[Event]]]) -> Commit:
        monkeypatch.setattr(writer, "_transact", transact)
        commit = await transact(run)
        await done.wait()
        return commit

    async def tried_again() -> None:
        async def is_queued() -> bool:
            return len(writer._queue) > 0

        await until(is_queued, what="the same to be sent to the log again")
        done.set()

    monkeypatch.setattr(writer, "_transact", first)
    yield tried_again
    done.set()


@pytest.mark.parametrize("namespaces", [None, ["team-a"]], ids=["all", "one"])
async def test_what_is_committed_after_the_log_was_said_to_be_away_is_stored_once(
    database_url: str, namespaces: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with locked_broker(database_url) as locked:
        who = await locked.person(["ingest", "read"], namespaces)
        monkeypatch.setitem(vars(locked.api.services.settings), "ack_timeout_seconds", 0.1)
        writer = locked.api.services.writer
        for send in (who.chunks("q1", "1", "2"), who.complete("q1")):
            with late(writer, monkeypatch) as tried_again:
                sending = asyncio.create_task(send)
                await tried_again()
                await sending
        assert [item["data"]["chunk"] for item in await items(who, "/stream")] == [1, 2, "[DONE]"]
        assert await replay(who, "q1") == ["1", "2", "[DONE]"]


async def test_chunks_are_numbered_so_that_a_reader_can_resume(each_api: Api) -> None:
    api = each_api
    async with listen(api.http, "/stream/q1") as frames:
        await api.chunks("q1", *map(str, range(5)))
        first = await frames.take(3)
    await api.complete("q1")
    async with listen(api.http, "/stream/q1", headers={"Last-Event-ID": first[-1].id}) as frames:
        assert [frame.data for frame in await frames.rest()] == ["3", "4", "[DONE]"]


# -- purge -------------------------------------------------------------------------------------------------------------


async def test_a_purge_removes_all_chunks_packed_or_not(database_url: str) -> None:
    async with serve(database_url, pack_after_seconds=0.05) as api:
        await post_events(api, operation("u1", "QueryExecutionStart", queryName="q1", sessionId="s1"))
        await api.chunks("q1", *map(str, range(20)))
        await api.complete("q1")

        async def packed() -> bool:
            return await sql(database_url, "SELECT count(*) FROM packs") == [(1,)]

        await until(packed)
        await api.chunks("q2", "1")
        last = (await items(api, "/stream"))[-1]["sequenceNumber"]
        async with watch(api, "/stream") as live, listen(api.http, "/stream/q1") as one:
            headers = {"X-Request-ID": "purge-9"}
            await ok(api, "DELETE", "/stream", message="Stream data purged", headers=headers)
            assert (await api.get("/stream"))["total"] == 0
            await api.chunks("q1", HELLO)
            assert await data(live, 1) == await data(one, 1) == [json.loads(HELLO)]
        [item] = await items(api, "/stream")

        assert item["sequenceNumber"] > last
        assert len(await items(api, "/events")) == 1
        [audit] = await log(api, "log.purged")
        assert {"store": "chunks", "requestId": "purge-9"}.items() <= audit["body"].items()
        assert await api.complete("q1") == "completed"


async def test_a_purged_stream_is_an_unknown_one(start_api: StartApi) -> None:
    async with start_api(ark_compat="a") as api:
        await api.chunks("q1", HELLO)
        await ok(api, "DELETE", "/stream")

        assert (await api.error("/stream/q1/complete", 404, method="POST"))["message"] == "Stream not found"
