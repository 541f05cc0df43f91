"""What holds for every route: headers, paths, errors, pages, and the frames of `watch=true`."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import uuid
from typing import Any

import pytest

from tests.api.ark.support import RawStream, data, items, operation, post_events, post_messages, raw_stream, text, watch
from tests.support.api import Api, StartApi, serve
from tests.support.sse import listen

LISTS = ("/messages", "/stream", "/events", "/events/u1", "/traces", "/sessions")
#: Of these the schema of the route reads the cursor, before the pagination does.
STRICT = ("/messages", "/events", "/events/u1", "/traces")
LOOSE = ("/stream", "/sessions")
WATCHES = ("/messages", "/stream", "/events", "/events/u1", "/traces", "/traces/" + "ab" * 16, "/sessions")
READS = (
    *LISTS,
    "/health",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/conversations",
    "/conversations/c1",
    "/memory-status",
    "/sessions/s1",
)
TEXT = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"


async def a_bit_of_everything(api: Api, number: int = 1) -> None:
    """One item more in every list."""
    await post_messages(api, "c1", "q1", {"role": "user", "content": "hi"})
    await api.chunks("q1", '{"choices":[]}')
    await post_events(api, operation("u1", queryName="q1", sessionId="s1"))
    trace_id = number.to_bytes(16, "big")
    await api.spans({"trace_id": trace_id, "attributes": {"ark.session.id": "s1", "query.name": "q1"}})


# -- headers -----------------------------------------------------------------------------------------------------------


async def test_a_request_id_is_echoed_and_made_where_there_is_none(api: Api) -> None:
    for path in (*READS, "/nope"):
        given = await api.http.get(path, headers={"X-Request-ID": "rid-1"})
        assert given.headers["x-request-id"] == "rid-1", path
        for headers in ({}, {"X-Request-ID": ""}):
            made = (await api.http.get(path, headers=headers)).headers["x-request-id"]
            assert (uuid.UUID(made).version, str(uuid.UUID(made))) == (4, made), path


async def test_a_stream_has_its_request_id_too(api: Api) -> None:
    for path in (*WATCHES, "/stream/q1"):
        async with watch(api, path) as frames:
            assert uuid.UUID(frames.response.headers["x-request-id"]).version == 4


async def test_any_origin_may_read_every_answer(api: Api) -> None:
    await a_bit_of_everything(api)
    for path in (*READS, "/nope", "/messages/a/b", "/messages?limit=0", "/traces/unknown"):
        assert (await api.http.get(path)).headers["access-control-allow-origin"] == "*", path
    for path in ("/messages", "/events", "/conversations", "/sessions", "/stream/q1", "/v1/traces"):
        posted = await api.http.post(path, content=b"{", headers={"content-type": "application/json"})
        assert posted.headers["access-control-allow-origin"] == "*", path
    for path in (*WATCHES, "/stream/q1"):
        async with watch(api, path) as frames:
            assert frames.response.headers["access-control-allow-origin"] == "*", path


@pytest.mark.parametrize("path", ["/messages", "/stream/q1", "/stream/a%2Fb/complete", "/events/u1", "/v1/traces"])
async def test_a_preflight_allows_what_a_browser_asks_for(api: Api, path: str) -> None:
    headers = {
        "Origin": "http://dashboard",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-request-id",
    }
    response = await api.http.options(path, headers=headers)

    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-methods"] == "GET,HEAD,PUT,PATCH,POST,DELETE"
    assert response.headers["access-control-allow-headers"] == "content-type,x-request-id"
    assert response.headers["vary"] == "Access-Control-Request-Headers"
    assert response.headers["content-length"] == "0"


async def test_json_says_its_charset(api: Api) -> None:
    await a_bit_of_everything(api)
    for path in (*LISTS, "/conversations", "/conversations/c1", "/memory-status", "/sessions/s1", "/nope"):
        assert (await api.http.get(path)).headers["content-type"] == JSON, path
    posted = await api.http.post("/events", json=operation("u1"))
    assert posted.headers["content-type"] == JSON
    assert (await api.http.post("/conversations")).headers["content-type"] == JSON
    assert (await api.http.post("/events", json={})).headers["content-type"] == JSON


async def test_health_and_readiness_are_ok_as_html(api: Api) -> None:
    for path in ("/health", "/readyz"):
        response = await api.http.get(path)
        assert (response.status_code, response.text, response.headers["content-type"]) == (200, "OK", TEXT)


async def test_documentation_and_metrics_are_there(api: Api) -> None:
    assert "paths" in await api.get("/openapi.json")
    metrics = await api.http.get("/metrics")
    assert metrics.status_code == 200
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "process_resident_memory_bytes" in metrics.text


# -- paths and methods -------------------------------------------------------------------------------------------------


async def test_paths_have_no_case_and_may_end_in_a_slash(api: Api) -> None:
    await a_bit_of_everything(api)
    for path in READS:
        literal, _, name = path[1:].partition("/")
        for spelled in (f"/{literal.upper()}/{name}".rstrip("/"), f"{path}/", f"/{literal.title()}/{name}".rstrip("/")):
            response = await api.http.get(spelled)
            assert response.status_code == 200, spelled
    assert (await api.http.post("/Stream/Q9/COMPLETE/")).json() == {"status": "completed", "query": "Q9"}
    assert (await api.http.delete("/Queries/Q9/Messages/")).json()["message"] == "Query Q9 messages deleted"


async def test_names_in_paths_keep_their_case(api: Api) -> None:
    await post_messages(api, "C1", "q1", "hi")

    assert (await api.get("/CONVERSATIONS/C1"))["conversation_id"] == "C1"
    assert (await api.error("/conversations/c1", 404))["message"] == "Conversation not found"


async def test_head_works_where_get_does(api: Api) -> None:
    await a_bit_of_everything(api)
    for path in READS:
        response = await api.http.head(path)
        assert (response.status_code, response.content) == (200, b""), path
        assert response.headers["x-request-id"]
    for path in WATCHES:
        response = await api.http.head(path, params={"watch": "true"})
        assert (response.status_code, response.content) == (200, b""), path
        assert response.headers["content-type"] == "text/event-stream"
    assert (await api.http.head("/nope")).status_code == 404
    assert (await api.http.head("/messages?limit=0")).status_code == 400


async def test_names_in_paths_are_decoded_once(api: Api) -> None:
    for name, encoded in (("a/b", "a%2Fb"), ("a+b", "a+b"), ("a b", "a%20b"), ("a%2Fb", "a%252Fb"), ("ä", "%C3%A4")):
        await post_messages(api, name, name, "hi")
        await post_events(api, operation(name))
        assert (await api.get(f"/conversations/{encoded}"))["conversation_id"] == name
        assert [each["data"]["queryId"] for each in await items(api, f"/events/{encoded}")] == [name]
        assert (await api.chunks(encoded, "1"))["query"] == name
        deleted = await api.http.delete(f"/conversations/{encoded}/queries/{encoded}/messages")
        assert deleted.json()["message"] == f"Query {name} messages deleted from conversation {name}"
        deleted = await api.http.delete(f"/events/{encoded}")
        assert deleted.json()["message"] == f"Query {name} events deleted"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nope"),
        ("GET", "/nope/nope"),
        ("GET", "/messages/m1"),
        ("PUT", "/messages"),
        ("PATCH", "/events"),
        ("POST", "/memory-status"),
        ("POST", "/conversations/c1"),
        ("GET", "/queries/q1/messages"),
        ("GET", "/conversations/c1/queries/q1/messages"),
        ("POST", "/events/u1"),
        ("DELETE", "/stream/q1"),
        ("POST", "/stream"),
        ("POST", "/traces"),
        ("DELETE", "/traces/" + "ab" * 16),
        ("POST", "/health"),
        ("GET", "/v1/logs/x"),
        ("GET", "/events/u1/more"),
    ],
)
async def test_unknown_routes_and_wrong_methods_are_not_found(api: Api, method: str, path: str) -> None:
    error = await api.error(path, 404, method=method)

    assert (error["code"], error["message"]) == ("NOT_FOUND", "Not found")


# -- errors ------------------------------------------------------------------------------------------------------------


async def test_an_error_has_a_code_a_message_and_the_request_id(api: Api) -> None:
    response = await api.http.post("/messages", json={}, headers={"X-Request-ID": "rid"})

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["requestId"]) == ("VALIDATION_ERROR", "rid")
    assert "stack" not in error


async def test_a_message_names_every_field_that_is_wrong(api: Api) -> None:
    for path, body, fields in (
        ("/messages", {}, ("conversation_id", "query_id", "messages")),
        ("/messages", {"conversation_id": 1, "query_id": "q", "messages": "x"}, ("conversation_id", "messages")),
        ("/events", {"data": {"queryId": ""}, "ttl_seconds": 0}, ("data.queryId", "ttl_seconds")),
    ):
        message = (await api.error(path, 400, method="POST", json=body))["message"]
        assert [each.partition(": ")[0] for each in message.split("; ")] == list(fields)


NO_OBJECTS = (b"{", b"", b'{"a":1', b"nonsense", b'"text"', b"7", b"null", b"[]", b"\xff\xfe", b"{" * 100_000)


@pytest.mark.parametrize("path", ["/messages", "/events", "/sessions"])
async def test_a_body_that_is_no_json_object_is_a_validation_error(api: Api, path: str) -> None:
    headers = {"content-type": "application/json"}
    for content in NO_OBJECTS:
        error = await api.error(path, 400, method="POST", content=content, headers=headers)
        assert error["code"] == "VALIDATION_ERROR", content[:20]
        assert error["message"].startswith("body: "), content[:20]


@pytest.mark.parametrize("path", ["/messages", "/events", "/sessions"])
async def test_a_body_that_is_too_large_is_refused_in_json(start_api: StartApi, path: str) -> None:
    async with start_api(max_body_bytes="1KiB") as api:
        plain = await api.error(path, 413, method="POST", content=b'{"x":"' + b"x" * 2000 + b'"}')
        inflated = gzip.compress(b'{"x":"' + b"x" * 20_000 + b'"}')
        packed = await api.error(path, 413, method="POST", content=inflated, headers={"content-encoding": "gzip"})

    assert plain["code"] == packed["code"] == "PAYLOAD_TOO_LARGE"


async def test_a_body_of_ten_megabytes_is_taken(each_api: Api) -> None:
    content = "x" * (10 * 2**20 - 1000)
    await post_messages(each_api, "c1", "q1", {"role": "user", "content": content})
    await post_events(each_api, operation("u1") | {"note": content})

    assert (await items(each_api, "/messages"))[0]["message"]["content"] == content
    assert (await items(each_api, "/events"))[0]["note"] == content


async def test_bodies_may_be_compressed(api: Api) -> None:
    body = {"conversation_id": "c1", "query_id": "q1", "messages": ["hi"]}
    content = gzip.compress(json.dumps(body).encode())
    response = await api.http.post("/messages", content=content, headers={"content-encoding": "gzip"})

    assert response.status_code == 200
    assert [each["message"] for each in await items(api, "/messages")] == ["hi"]


# -- pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", LISTS)
async def test_a_limit_is_a_positive_whole_number_up_to_a_thousand(api: Api, path: str) -> None:
    # An empty one at `/sessions` is none: the whole list is meant.
    for limit in ("0", "-1", "abc", "0.5", "  ", "-5x", *([""] if path != "/sessions" else [])):
        error = await api.error(path, 400, params={"limit": limit})
        assert (error["code"], error["message"].partition(": ")[2] or error["message"]) == (
            "PAGINATION_ERROR",
            "limit must be a positive integer",
        ), limit
    for limit in ("1001", "99999999999999999999999"):
        error = await api.error(path, 400, params={"limit": limit})
        assert error["code"] == "PAGINATION_ERROR"
        assert "limit cannot exceed 1000" in error["message"]
    for limit in ("1", "1000", "2.7", "2abc", " 3", "+4"):
        assert (await api.get(path, limit=limit))["items"] == []


@pytest.mark.parametrize("path", LOOSE)
async def test_a_cursor_of_streams_and_sessions_is_read_as_javascript_does(api: Api, path: str) -> None:
    for cursor in ("-1", "abc", *([""] if path != "/sessions" else [])):
        error = await api.error(path, 400, params={"cursor": cursor})
        assert error["code"] == "PAGINATION_ERROR", cursor
        assert "cursor must be a non-negative integer" in error["message"]
    for cursor in ("0", "1.5", "2abc", "99999999999999999999999"):
        assert (await api.get(path, cursor=cursor))["hasMore"] is False


@pytest.mark.parametrize("path", STRICT)
async def test_a_cursor_of_messages_events_and_traces_is_validated(api: Api, path: str) -> None:
    for cursor in ("-1", "abc", "1.5", "2abc", "NaN"):
        error = await api.error(path, 400, params={"cursor": cursor})
        assert (error["code"], error["message"].partition(": ")[0]) == ("VALIDATION_ERROR", "cursor"), cursor
    error = await api.error(path, 400, params={"cursor": ""})
    assert error["code"] == "PAGINATION_ERROR"
    assert "cursor must be a non-negative integer" in error["message"]
    for cursor in ("0", "7", "99999999999999999999999"):
        assert (await api.get(path, cursor=cursor))["hasMore"] is False


@pytest.mark.parametrize("path", LISTS)
async def test_unknown_parameters_are_ignored_and_repeated_ones_refused(api: Api, path: str) -> None:
    assert (await api.get(path, unknown="x", query="y", limit=5))["items"] == []
    error = await api.error(f"{path}?limit=1&limit=2", 400)
    assert (error["code"], error["message"].partition(": ")[0]) == ("VALIDATION_ERROR", "limit")


async def test_repeated_filters_are_refused(api: Api) -> None:
    for path, name in (
        ("/messages", "conversation_id"),
        ("/messages", "query_id"),
        ("/messages", "watch"),
        ("/messages", "cursor"),
        ("/events", "session_id"),
        ("/events", "watch"),
        ("/traces", "session_id"),
        ("/stream/q1", "from-beginning"),
    ):
        error = await api.error(f"{path}?{name}=1&{name}=1", 400)
        assert (error["code"], error["message"].partition(": ")[0]) == ("VALIDATION_ERROR", name)
        assert "received array" in error["message"]


@pytest.mark.parametrize("path", ["/messages", "/stream", "/events", "/events/u1"])
async def test_pages_follow_each_other_without_overlap_or_hole(each_api: Api, path: str) -> None:
    api = each_api
    for number in range(7):
        await post_messages(api, "c1", "q1", number)
        await api.chunks("q1", str(number))
        await post_events(api, operation("u1", number=str(number)))
    whole = await api.get(path)
    seen: list[Any] = []
    cursor: dict[str, int] = {}
    while True:
        page = await api.get(path, limit=3, **cursor)
        seen += page["items"]
        assert page["total"] == 7
        if not page["hasMore"]:
            break
        assert isinstance(page["nextCursor"], int)
        cursor = {"cursor": page["nextCursor"]}

    assert len(seen) == 7
    assert seen == whole["items"]
    assert "nextCursor" not in page
    assert set(whole) == {"items", "total", "hasMore", "watchCursor"}
    assert (await api.get(path, limit=7))["hasMore"] is False
    assert (await api.get(path, cursor=10**15))["items"] == []


@pytest.mark.parametrize(("path", "field"), [("/messages", "sequence"), ("/stream", "sequenceNumber")])
async def test_sequence_numbers_grow_and_are_what_a_cursor_is_made_of(each_api: Api, path: str, field: str) -> None:
    api = each_api
    for number in range(4):
        await post_messages(api, "c1", "q1", number)
        await api.chunks("q1", str(number))
    positions = [item[field] for item in await items(api, path)]

    assert positions == sorted(set(positions))
    assert [item[field] for item in await items(api, path, cursor=positions[1])] == positions[2:]
    assert (await api.get(path, limit=2))["nextCursor"] == positions[1]


async def test_a_list_has_a_hundred_items_unless_it_is_told(api: Api) -> None:
    await post_messages(api, "c1", "q1", *range(120))

    page = await api.get("/messages")

    assert (len(page["items"]), page["total"], page["hasMore"]) == (100, 120, True)


# -- frames ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WATCHES)
async def test_a_watch_begins_at_once_with_a_comment(api: Api, path: str) -> None:
    async with raw_stream(api, path, params={"watch": "true"}) as stream:
        headers = stream.response.headers
        assert headers["content-type"] == "text/event-stream"
        assert headers["cache-control"] == "no-cache"
        assert headers["connection"] == "keep-alive"
        assert headers["transfer-encoding"] == "chunked"
        assert await stream.block() == b": connected"


@pytest.mark.parametrize("path", WATCHES)
async def test_a_silent_watch_is_kept_awake_and_never_ends_by_itself(start_api: StartApi, path: str) -> None:
    async with start_api(heartbeat_seconds=0.05) as api, raw_stream(api, path, params={"watch": "true"}) as stream:
        assert [await stream.block() for _ in range(5)] == [b": connected", *[b": heartbeat"] * 4]


async def test_every_frame_is_an_id_and_one_line_of_data(database_url: str) -> None:
    body = b'{"conversation_id":"c1",\r\n"query_id":"q1","messages":[{\n  "text": "a\\nb \xe2\x80\xa8"\r\n}]}'
    event = b'{"data":\r\n{"queryId":"u1",\n"x":\r[1,\n2]}}'
    watching = {"params": {"watch": "true"}}
    async with (
        serve(database_url, heartbeat_seconds=300) as api,
        raw_stream(api, "/messages", **watching) as messages,
        raw_stream(api, "/events", **watching) as events,
    ):
        assert (await api.http.post("/messages", content=body)).status_code == 200
        assert (await api.http.post("/events", content=event)).status_code == 201
        for stream in (messages, events):
            assert await stream.block() == b": connected"
        assert (await json_of(messages))["message"] == {"text": "a\nb \u2028"}
        assert await json_of(events) == {"data": {"queryId": "u1", "x": [1, 2]}}


async def json_of(stream: RawStream) -> Any:
    """The next frame's JSON; fails where the frame is anything but `id:` and one `data:`."""
    position, line = (await stream.block()).split(b"\n")
    assert re.fullmatch(rb"id: \d+", position)
    assert line.startswith(b"data: {")
    assert b"\r" not in line
    return json.loads(line.removeprefix(b"data: "))


async def test_watch_is_true_or_false_and_nothing_else(api: Api) -> None:
    for path in ("/messages", "/events", "/events/u1", "/traces", "/traces/" + "ab" * 16, "/sessions"):
        for value in ("TRUE", "1", "yes", ""):
            error = await api.error(path, 400, params={"watch": value})
            assert error["code"] == "VALIDATION_ERROR"
            assert error["message"] == 'watch: Invalid option: expected one of "true"|"false"'
    for path in LISTS:
        assert (await api.get(path, watch="false", limit=1))["items"] == []
    for value in ("TRUE", "1", "yes", "", "false"):
        assert (await api.get("/stream", watch=value))["items"] == []


@pytest.mark.parametrize(
    "path", ["/messages", "/messages?conversation_id=c1", "/messages?query_id=q1", "/stream", "/events", "/events/u1"]
)
async def test_a_watch_resumes_behind_the_last_id_that_was_seen(each_api: Api, path: str) -> None:
    api = each_api

    async def store(number: int) -> None:
        await post_messages(api, "c1", "q1", number)
        await api.chunks("q1", str(number))
        await post_events(api, operation("u1", sessionId="s1", number=str(number)))

    base, _, filters = path.partition("?")
    params = dict(each.split("=") for each in filters.split("&") if each)
    async with watch(api, base, **params) as frames:
        for number in range(3):
            await store(number)
        first = await frames.take(3)
    await store(3)
    async with watch(api, base, last_event_id=first[0].id, **params) as frames:
        missed = await frames.take(3)
        await store(4)
        missed += await frames.take(1)
    async with watch(api, base, cursor=first[0].id, **params) as frames:
        by_cursor = await frames.take(4)
    async with watch(api, base, cursor=first[0].id, last_event_id=missed[-2].id, **params) as frames:
        last = await frames.next()

    assert [frame.data for frame in missed[:2]] == [frame.data for frame in first[1:]]
    assert [frame.data for frame in by_cursor] == [frame.data for frame in missed]
    assert [frame.id for frame in by_cursor] == [frame.id for frame in missed]
    assert (last.id, last.data) == (missed[-1].id, missed[-1].data), "Last-Event-ID goes before the cursor"


@pytest.mark.parametrize("path", WATCHES)
async def test_an_id_that_is_none_is_refused_and_an_empty_one_counts_as_absent(api: Api, path: str) -> None:
    error = await api.error(path, 400, params={"watch": "true"}, headers={"Last-Event-ID": "abc"})
    assert error["code"] == "VALIDATION_ERROR"
    async with watch(api, path, last_event_id=""):
        pass


@pytest.mark.parametrize("path", ["/messages", "/stream", "/events", "/events/u1", "/traces", "/sessions"])
async def test_a_cursor_from_the_future_does_not_keep_its_reader_waiting(api: Api, path: str) -> None:
    async with watch(api, path, cursor=10**12) as by_cursor, watch(api, path, last_event_id=10**12) as by_id:
        await a_bit_of_everything(api)
        assert (await by_cursor.next()).data == (await by_id.next()).data


async def test_a_page_says_from_where_to_watch(each_api: Api) -> None:
    api = each_api
    await a_bit_of_everything(api)
    starts = {path: (await api.get(path))["watchCursor"] for path in LISTS if path != "/sessions"}
    await a_bit_of_everything(api, 2)
    for path, start in starts.items():
        async with watch(api, path, cursor=start) as frames:
            assert int((await frames.next()).id) > start, path


async def test_a_stream_of_one_query_begins_like_the_others(api: Api) -> None:
    async with raw_stream(api, "/stream/q1") as stream:
        assert stream.response.headers["content-type"] == "text/event-stream"
        assert stream.response.headers["cache-control"] == "no-cache"
        assert stream.response.headers["connection"] == "keep-alive"
        assert await stream.block() == b": connected"


async def test_readers_of_the_same_list_get_the_same(each_api: Api) -> None:
    api = each_api
    async with listen(api.http, "/messages?watch=true") as one, listen(api.http, "/messages?watch=true") as other:
        await asyncio.gather(*(post_messages(api, "c1", "q1", number) for number in range(20)))
        assert await text(one, 20) == await text(other, 20)
        assert sorted(each["message"] for each in await data_of(api)) == list(range(20))


async def data_of(api: Api) -> list[Any]:
    async with watch(api, "/messages", cursor=0) as frames:
        return await data(frames, 20)
