"""`/stream/{query}`: chunks in as they arrive, and out as Ark's clients read them."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.api import Api, StartApi
from tests.support.sse import Frames, listen
from tests.support.waiting import until

HELLO = '{"choices":[{"delta":{"content":"Hello"}}]}'
WORLD = '{"choices": [{"delta": {"content": " wörld"}}], "n": 1.50}'
ERROR = '{"error":{"message":"no such model","type":"model_error"}}'
ALL = {"from-beginning": "true"}


async def data(frames: Frames, count: int) -> list[str]:
    return [frame.data for frame in await frames.take(count)]


async def replay(api: Api, query: str) -> list[str]:
    """Everything that a reader from the beginning gets, of a stream that is over."""
    async with listen(api.http, f"/stream/{query}", params=ALL) as frames:
        return [frame.data for frame in await frames.rest()]


async def kinds(api: Api) -> list[str]:
    return [event["type"] for event in (await api.get("/v1/events"))["items"]]


# -- chunks in ---------------------------------------------------------------------------------------------------------


async def test_lines_are_counted_and_kept_as_they_came(each_api: Api) -> None:
    answer = await each_api.chunks("q1", HELLO, "", "   ", f"\t{WORLD}\r", "7", '"text"', "[]", "null")

    assert answer == {"status": "stream_processed", "query": "q1", "chunks_received": 6}
    assert await each_api.complete("q1") == "completed"
    assert await replay(each_api, "q1") == [HELLO, WORLD, "7", '"text"', "[]", "[DONE]"]


async def test_a_line_that_nests_too_deep_for_readers_is_reported_and_the_rest_is_kept(api: Api) -> None:
    wide = '{"choices":[' + ",".join(['{"delta":{}}'] * 100) + "]}"
    answer = await api.chunks(
        "q1", HELLO, "[" * 65 + "]" * 65, '{"a":' * 900 + "1" + "}" * 900, "[" * 64 + "]" * 64, wide
    )

    assert (answer["chunks_received"], answer["chunks_rejected"]) == (3, 2)
    assert answer["error"] == "line 2: nested deeper than 64 levels"


async def test_white_space_that_ends_lines_elsewhere_breaks_no_frame(api: Api) -> None:
    await api.chunks("q1", '{"choices":[{"delta":{\r"content":"a"}}\r]}')
    await api.complete("q1")

    found = await replay(api, "q1")
    assert [json.loads(each) for each in found[:-1]] == [{"choices": [{"delta": {"content": "a"}}]}]


async def test_the_last_line_counts_without_its_newline(api: Api) -> None:
    response = await api.http.post("/stream/q1", content=f"{HELLO}\n{WORLD}")

    assert response.json()["chunks_received"] == 2
    assert (await api.http.post("/stream/q1", content=b"")).json()["chunks_received"] == 0


async def test_lines_that_are_no_json_are_reported_and_the_rest_is_kept(api: Api) -> None:
    answer = await api.chunks("q1", HELLO, "{broken", "", "NaN", WORLD)

    assert answer["chunks_received"] == 2
    assert answer["chunks_rejected"] == 2
    assert answer["error"].startswith("line 2: ")


@pytest.mark.parametrize("content_type", [None, "application/x-ndjson", "application/json", "text/plain; charset=x"])
async def test_every_content_type_is_lines(api: Api, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    response = await api.http.post("/stream/q1", content=f"{HELLO}\n".encode(), headers=headers)

    assert response.json()["chunks_received"] == 1


async def test_a_compressed_stream(api: Api) -> None:
    content = gzip.compress(f"{HELLO}\n{WORLD}\n".encode())

    response = await api.http.post("/stream/q1", content=content, headers={"content-encoding": "gzip"})
    broken = await api.http.post("/stream/q1", content=content[:-9], headers={"content-encoding": "gzip"})
    unknown = await api.http.post("/stream/q1", content=content, headers={"content-encoding": "compress"})

    assert response.json()["chunks_received"] == 2
    assert (broken.status_code, unknown.status_code) == (400, 415)


async def test_a_line_over_the_limit_is_refused_and_what_came_before_is_kept(start_api: StartApi) -> None:
    async with start_api(max_line_bytes="1KiB") as api:

        async def content() -> AsyncIterator[bytes]:
            yield f"{HELLO}\n".encode()
            await until(lambda: _has(api, "llm.chunk"))
            yield b'"' + b"x" * 2000

        error = await api.error("/stream/q1", 413, method="POST", content=content())

        assert error["code"] == "PAYLOAD_TOO_LARGE"
        assert await kinds(api) == ["llm.chunk"]


async def _has(api: Api, kind: str, count: int = 1) -> bool:
    return (await kinds(api)).count(kind) >= count


async def test_chunks_are_seen_while_their_post_is_still_open(each_api: Api) -> None:
    api = each_api
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def content() -> AsyncIterator[bytes]:
        yield f"{HELLO}\n{WORLD[:10]}".encode()
        assert await seen.get() == HELLO
        yield f"{WORLD[10:]}\n7".encode()
        assert await seen.get() == WORLD

    async with listen(api.http, "/stream/q1") as frames:
        post = asyncio.create_task(api.http.post("/stream/q1", content=content()))
        for _ in range(2):
            seen.put_nowait((await frames.next()).data)
        assert (await frames.next()).data == "7"
        assert (await post).json()["chunks_received"] == 3


async def test_a_producer_that_goes_away_leaves_what_it_sent(api: Api) -> None:
    class GoneError(Exception):
        pass

    async def content() -> AsyncIterator[bytes]:
        yield f"{HELLO}\n{WORLD[:5]}".encode()
        await until(lambda: _has(api, "llm.chunk"))
        raise GoneError

    with pytest.raises(GoneError):
        await api.http.post("/stream/q1", content=content())

    await api.complete("q1")
    assert await replay(api, "q1") == [HELLO, "[DONE]"]


async def test_the_same_post_again_is_stored_once_where_it_says_so(api: Api) -> None:
    for _ in range(2):
        headers = {"Idempotency-Key": "attempt-1"}
        response = await api.http.post("/stream/q1", content=f"{HELLO}\n{WORLD}\n", headers=headers)
        assert response.json()["chunks_received"] == 2

    assert await kinds(api) == ["llm.chunk", "llm.chunk"]


async def test_names_may_have_slashes(api: Api) -> None:
    await api.chunks("a%2Fb%20c+d", HELLO)
    assert await api.complete("a%2Fb%20c+d") == "completed"
    assert await api.complete("complete") == "completed"

    assert await replay(api, "a%2Fb%20c%2Bd") == [HELLO, "[DONE]"]
    items = (await api.get("/v1/events"))["items"]
    assert {item["query"] for item in items} == {"a/b c+d", "complete"}


async def test_wrong_names_paths_and_methods(api: Api) -> None:
    for name in ("x" * 257, "x" * 10_000, "a%00b", "a%0Db", "%80", "%E2%80%AE"):
        for method, path in (("POST", name), ("GET", name), ("POST", f"{name}/complete")):
            assert (await api.error(f"/stream/{path}", 400, method=method))["code"] == "VALIDATION_ERROR"
    for method, path in (("DELETE", "q1"), ("PUT", "q1"), ("GET", "q1/complete")):
        assert (await api.error(f"/stream/{path}", 404, method=method))["code"] == "NOT_FOUND"
    assert (await api.error("/stream/a%0Ab", 404))["code"] == "NOT_FOUND"
    assert (await api.error("/stream/a/b/c", 404))["code"] == "NOT_FOUND"
    assert (await api.error("/stream/q1/other", 404, method="POST"))["code"] == "NOT_FOUND"


# -- completion --------------------------------------------------------------------------------------------------------


async def test_completion_is_said_once(each_api: Api) -> None:
    api = each_api
    await api.chunks("q1", HELLO)

    assert await api.complete("q1") == "completed"
    assert await api.complete("q1") == "already_completed"
    assert await kinds(api) == ["llm.chunk", "stream.completed"]
    answers = await asyncio.gather(*(api.complete("other") for _ in range(5)))
    assert set(answers) <= {"completed", "already_completed"}
    assert (await kinds(api)).count("stream.completed") == 2


async def test_completion_of_an_unknown_stream_ends_who_waits_for_it(api: Api) -> None:
    async with listen(api.http, "/stream/unknown") as frames:
        assert await api.complete("unknown") == "completed"
        assert [frame.data for frame in await frames.rest()] == ["[DONE]"]
    assert await replay(api, "unknown") == ["[DONE]"]


async def test_a_stream_goes_on_after_an_approval(each_api: Api) -> None:
    api = each_api
    await api.chunks("q1", HELLO)
    await api.complete("q1")
    await api.chunks("q1", WORLD)

    async with listen(api.http, "/stream/q1", params=ALL) as frames:
        assert await data(frames, 2) == [HELLO, WORLD], "the first marker does not end it: more came"
        assert await api.complete("q1") == "completed"
        assert await data(frames, 1) == ["[DONE]"]
        assert await frames.rest() == []
    assert await replay(api, "q1") == [HELLO, WORLD, "[DONE]"]


# -- chunks out --------------------------------------------------------------------------------------------------------


async def test_a_reader_sees_only_what_comes_unless_it_asks(each_api: Api) -> None:
    api = each_api
    await api.chunks("q1", HELLO)
    await api.chunks("q2", HELLO)

    async with listen(api.http, "/stream/q1", params={"from-beginning": "false"}) as live:
        assert live.response.headers["content-type"].startswith("text/event-stream")
        async with listen(api.http, "/stream/q1", params=ALL) as all_of_it:
            await api.chunks("q2", "2")
            await api.events({"type": "tool.call", "sessionId": "s1", "query": "q1"})
            await api.chunks("q1", WORLD)
            await api.complete("q1")
            assert [frame.data for frame in await live.rest()] == [WORLD, "[DONE]"]
            assert [frame.data for frame in await all_of_it.rest()] == [HELLO, WORLD, "[DONE]"]


async def test_a_reader_after_completion_waits_for_what_comes_next(api: Api) -> None:
    await api.chunks("q1", HELLO)
    await api.complete("q1")

    async with listen(api.http, "/stream/q1") as frames:
        await api.chunks("q1", WORLD)
        assert await data(frames, 1) == [WORLD]


async def test_an_error_chunk_ends_the_stream_where_it_is_live(api: Api) -> None:
    async with listen(api.http, "/stream/q1") as frames:
        await api.chunks("q1", HELLO, '{"error":"boom"}', ERROR, WORLD)
        assert [frame.data for frame in await frames.rest()] == [HELLO, '{"error":"boom"}', ERROR, "[DONE]"]
    await api.complete("q1")

    assert await replay(api, "q1") == [HELLO, '{"error":"boom"}', ERROR, WORLD, "[DONE]"]


async def test_wrong_parameters_are_named(start_api: StartApi) -> None:
    async with start_api(ark_compat="b") as api:
        for parameter, values in (
            ("from-beginning", ("yes", "", "TRUE", "1")),
            ("wait-for-query", ("30s", "1.5", "-1", "", "x" * 10_000, "٣")),
            ("max-chunk-size", ("0", "-1", "many")),
        ):
            for value in values:
                error = await api.error("/stream/q1", 400, params={parameter: value})
                assert (error["code"], error["field"]) == ("VALIDATION_ERROR", parameter)
        async with listen(api.http, "/stream/q1", params={"wait-for-query": "30", "max-chunk-size": "50"}):
            pass


async def test_the_newest_generation_does_not_look_at_how_long_somebody_would_wait(api: Api) -> None:
    async with listen(api.http, "/stream/q1", params={"wait-for-query": "30s"}):
        pass


async def test_silence_ends_the_stream_with_an_error(start_api: StartApi) -> None:
    async with start_api(stream_idle_seconds=0.2) as api:
        await api.chunks("q1", HELLO)
        async with listen(api.http, "/stream/q1", params={"from-beginning": "true"}) as frames:
            chunk, error, done = await frames.rest()

        assert chunk.data == HELLO
        assert error.json()["error"] == {
            "message": "Streaming query response timed out",
            "type": "timeout_error",
            "code": "timeout",
        }
        assert done.data == "[DONE]"


async def test_waiting_for_a_query_that_never_comes_ends_with_an_error(api: Api) -> None:
    async with listen(api.http, "/stream/q1", params={"wait-for-query": "0"}) as frames:
        error, done = await frames.rest()

    assert error.json()["error"]["message"] == "Request timeout waiting for streaming query response"
    assert done.data == "[DONE]"


async def test_comments_open_the_stream_and_keep_it_awake(start_api: StartApi) -> None:
    async with start_api(heartbeat_seconds=0.05) as api, api.http.stream("GET", "/stream/q1") as response:
        lines = response.aiter_lines()
        async with asyncio.timeout(20):
            assert await anext(lines) == ": connected"
            while await anext(lines) != ": keep-alive":
                pass
        await lines.aclose()  # type: ignore[attr-defined]


async def test_a_head_request_is_answered_without_a_body(api: Api) -> None:
    response = await api.http.head("/stream/q1")

    assert (response.status_code, response.content) == (200, b"")


async def test_a_chunk_says_where_it_belongs(api: Api) -> None:
    chunk = '{"choices":[],"ark":{"query":"uid-9","session":"s9","agent":"coder","model":"m"}}'
    await api.chunks("q9", chunk)

    event: dict[str, Any] = (await api.get("/v1/sessions/s9/events"))["items"][0]
    assert {key: event[key] for key in ("query", "queryUid", "agent", "model", "streamId", "kind")} == {
        "query": "q9",
        "queryUid": "uid-9",
        "agent": "coder",
        "model": "m",
        "streamId": "q9",
        "kind": "chunk",
    }


async def test_chunks_wait_for_a_database_that_is_away_and_then_are_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ark_broker.log.writer import Writer
    from ark_broker.model.errors import LogUnavailable

    tries = 0
    append = Writer.append

    async def flaky(self: Writer, events: Any, **_: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise LogUnavailable("away")
        return await append(self, events)

    monkeypatch.setattr(Writer, "append", flaky)

    assert (await api.chunks("q1", HELLO))["chunks_received"] == 1
    assert tries == 3
    response: httpx.Response = await api.http.get("/v1/events")
    assert len(response.json()["items"]) == 1
