"""`/messages`, `/conversations`, `/queries/{name}/messages`, `/memory-status`: what Ark calls memory."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any

import pytest

from tests.api.ark.support import data, items, log, ok, operation, post_events, post_messages, watch
from tests.support.api import Api, StartApi, serve
from tests.support.stored import query as sql
from tests.support.waiting import until

USER = {"role": "user", "content": "hi"}
#: What a model says, with the numbers and orders of keys that a producer chose.
ODD = '{"z":1.50,"a":{"y":null,"b":[1e2,-0.0,12345678901234567890]},"role":"tool","text":"\\u00e9\\ud83d\\ude00\\n"}'


async def contents(api: Api, path: str = "/messages", **params: Any) -> list[Any]:
    """The messages themselves, of the list's first page."""
    return [item["message"] for item in await items(api, path, **params)]


# -- in ----------------------------------------------------------------------------------------------------------------


async def test_a_post_is_answered_with_nothing(each_api: Api) -> None:
    body = {"conversation_id": "c1", "query_id": "q1", "messages": [USER], "unknown": {"is": "ignored"}}
    response = await each_api.http.post("/messages", json=body)

    assert (response.status_code, response.content) == (200, b"")
    assert "content-type" not in response.headers


async def test_a_record_has_its_time_conversation_query_and_sequence(each_api: Api) -> None:
    await post_messages(each_api, "c1", "q1", USER)

    [record] = await items(each_api, "/messages")

    assert set(record) == {"timestamp", "conversation_id", "query_id", "message", "sequence"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["timestamp"])
    assert (record["conversation_id"], record["query_id"], record["message"]) == ("c1", "q1", USER)
    assert isinstance(record["sequence"], int)


async def test_every_message_is_stored_as_it_came(each_api: Api) -> None:
    content = f'{{"conversation_id":"c1","query_id":"q1","messages":[{ODD},"text",7,1.50,null,true,[],{{}}]}}'
    await ok(each_api, "POST", "/messages", content=content.encode())

    listed = (await each_api.http.get("/messages")).text
    conversation = (await each_api.http.get("/conversations/c1")).text
    async with watch(each_api, "/messages", cursor=0) as frames:
        live = [frame.data for frame in await frames.take(8)]

    for message, frame in zip((ODD, '"text"', "7", "1.50", "null", "true", "[]", "{}"), live, strict=True):
        for text in (listed, conversation, frame):
            assert f'"message":{message},"sequence":' in text


async def test_messages_keep_their_order(each_api: Api) -> None:
    await post_messages(each_api, "c1", "q1", *range(500))
    await post_messages(each_api, "c1", "q1", *range(500, 600))

    assert await contents(each_api, limit=1000) == list(range(600))


async def test_names_may_be_empty(each_api: Api) -> None:
    await post_messages(each_api, "", "q1", "no conversation")
    await post_messages(each_api, "c1", "", "no query")
    await post_messages(each_api, "", "", "neither")

    found = await items(each_api, "/messages")

    assert [(each["conversation_id"], each["query_id"], each["message"]) for each in found] == [
        ("", "q1", "no conversation"),
        ("c1", "", "no query"),
        ("", "", "neither"),
    ]


async def test_a_post_without_messages_is_fine_and_stores_none(each_api: Api) -> None:
    for conversation, query in (("c1", "q1"), ("", "q1"), ("c1", ""), ("", "")):
        await post_messages(each_api, conversation, query)

    assert await items(each_api, "/messages") == []
    assert (await each_api.get("/conversations"))["conversations"] == []
    await each_api.error("/conversations/c1", 404)


WRONG: tuple[tuple[str, object, str], ...] = (
    ("conversation_id", None, "null"),
    ("conversation_id", 7, "number"),
    ("conversation_id", "x" * 257, ""),
    ("conversation_id", "a\x00b", ""),
    ("query_id", ["q1"], "array"),
    ("query_id", {}, "object"),
    ("query_id", "x" * 257, ""),
    ("messages", {}, "object"),
    ("messages", "hi", "string"),
    ("messages", None, "null"),
    ("ttl_seconds", "soon", "NaN"),
)


async def test_a_wrong_field_is_named(api: Api) -> None:
    for field, value, received in WRONG:
        body = {"conversation_id": "c1", "query_id": "q1", "messages": [USER], field: value}
        error = await api.error("/messages", 400, method="POST", json=body)
        assert error["code"] == "VALIDATION_ERROR"
        assert error["message"].startswith(f"{field}: "), value
        assert received in error["message"]
    assert await items(api, "/messages") == []


async def test_a_missing_field_is_named(api: Api) -> None:
    for field, expected in (("conversation_id", "string"), ("query_id", "string"), ("messages", "array")):
        body = {"conversation_id": "c1", "query_id": "q1", "messages": [USER]}
        del body[field]
        error = await api.error("/messages", 400, method="POST", json=body)
        assert error["message"] == f"{field}: Invalid input: expected {expected}, received undefined"


async def test_nul_in_a_message_is_no_trouble(each_api: Api) -> None:
    """The old broker answered 500 with PostgreSQL."""
    await post_messages(each_api, "c1", "q1", {"content": "a\x00b"}, "\x00")

    assert await contents(each_api) == [{"content": "a\x00b"}, "\x00"]


async def test_the_same_twice_is_stored_twice_unless_the_attempt_is_named(each_api: Api) -> None:
    body = {"conversation_id": "c1", "query_id": "q1", "messages": ["a", "a"]}
    for headers in ({}, {}, {"Idempotency-Key": "k1"}, {"Idempotency-Key": "k1"}):
        await ok(each_api, "POST", "/messages", json=body, headers=headers)

    assert await contents(each_api) == ["a"] * 6


# -- time to live ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        (1, 1),
        (60, 60),
        ("60", 60),
        (" 60 ", 60),
        (60.0, 60),
        ("6e1", 60),
        (True, 1),
        (2592000, 2592000),
        (10**12, 100 * 365 * 86_400),
    ],
)
async def test_a_time_to_live_is_a_number_or_reads_like_one(sqlite_url: str, ttl: object, seconds: int) -> None:
    async with serve(sqlite_url) as api:
        await post_messages(api, "c1", "q1", USER, ttl_seconds=ttl)

        assert await sql(sqlite_url, "SELECT expires_at - time FROM events") == [(seconds * 10**9,)]


async def test_a_time_to_live_is_whole_and_positive(api: Api) -> None:
    wrong: tuple[object, ...] = (0, "0", -1, 1.5, "1.5", None, False, "", "x", [], {}, [60, 61])
    for ttl in wrong:
        body = {"conversation_id": "c1", "query_id": "q1", "messages": [USER], "ttl_seconds": ttl}
        error = await api.error("/messages", 400, method="POST", json=body)
        assert (error["code"], error["message"].partition(": ")[0]) == ("VALIDATION_ERROR", "ttl_seconds"), ttl
    assert await items(api, "/messages") == []


async def test_what_has_expired_is_gone_from_every_list(each_api: Api) -> None:
    api = each_api
    await post_messages(api, "c1", "q1", "short", ttl_seconds=1)
    await post_messages(api, "c1", "q1", "long", ttl_seconds=3600)
    await post_messages(api, "c2", "q2", "short", ttl_seconds=1)

    async def expired() -> bool:
        return await contents(api) == ["long"]

    await until(expired)
    assert (await api.get("/messages"))["total"] == 1
    assert await contents(api, conversation_id="c1") == ["long"]
    assert await contents(api, query_id="q2") == []
    assert [each["message"] for each in (await api.get("/conversations/c1"))["messages"]] == ["long"]
    await api.error("/conversations/c2", 404)
    assert (await api.get("/conversations"))["conversations"] == ["c1"]
    assert (await api.get("/memory-status"))["total_messages"] == 1
    async with watch(api, "/messages", cursor=0) as frames:
        assert [each["message"] for each in await data(frames, 1)] == ["long"]


async def test_what_has_expired_is_removed_from_the_log(database_url: str) -> None:
    async with serve(database_url) as api:
        await post_messages(api, "c1", "q1", "short", "short", ttl_seconds=1)
        await post_messages(api, "c1", "q1", "long", ttl_seconds=3600)

        async def removed() -> bool:
            await api.services.maintenance.expire()
            rows = await sql(database_url, "SELECT count(*) FROM events WHERE kind = 'message'")
            return bool(rows == [(1,)])

        await until(removed)
        assert await contents(api) == ["long"]


# -- out ---------------------------------------------------------------------------------------------------------------


async def test_filters_are_combined_and_empty_ones_are_none(each_api: Api) -> None:
    api = each_api
    for conversation, query in (("c1", "q1"), ("c1", "q2"), ("c2", "q1"), ("c2", "q3")):
        await post_messages(api, conversation, query, f"{conversation} {query}")

    assert await contents(api, conversation_id="c1") == ["c1 q1", "c1 q2"]
    assert await contents(api, query_id="q1") == ["c1 q1", "c2 q1"]
    assert await contents(api, conversation_id="c2", query_id="q1") == ["c2 q1"]
    assert await contents(api, conversation_id="c1", query_id="q3") == []
    assert len(await contents(api, conversation_id="", query_id="")) == 4
    assert await contents(api, conversation_id="unknown") == []
    assert (await api.get("/messages", conversation_id="c2", query_id="q1"))["total"] == 1


@pytest.mark.parametrize(
    "params", [{"conversation_id": "c1"}, {"query_id": "q1"}, {"conversation_id": "c1", "query_id": "q1"}]
)
async def test_a_conversation_of_more_than_a_page_is_read_to_its_end(each_api: Api, params: dict[str, str]) -> None:
    """As the executor reads its history: `limit` and `cursor`, as long as `hasMore`."""
    api = each_api
    for start in range(0, 350, 50):
        await post_messages(api, "c1", "q1", *range(start, start + 50))
        await post_messages(api, "other", "other", "noise")
    seen: list[Any] = []
    page = await api.get("/messages", **params)
    while page["hasMore"]:
        seen += page["items"]
        assert page["nextCursor"] == page["items"][-1]["sequence"]
        page = await api.get("/messages", **params, cursor=page["nextCursor"])
    seen += page["items"]

    assert page["total"] == 350
    assert [each["message"] for each in seen] == list(range(350))
    whole = await api.get("/conversations/c1")
    assert [each["message"] for each in whole["messages"]] == list(range(350))


async def test_a_conversation_is_all_its_messages(each_api: Api) -> None:
    api = each_api
    await post_messages(api, "c1", "q1", "a")
    await post_messages(api, "c2", "q1", "b")
    await post_messages(api, "c1", "q2", "c")

    found = await api.get("/conversations/c1", limit=0, cursor="x")

    assert found == {"conversation_id": "c1", "messages": await items(api, "/messages", conversation_id="c1")}
    assert [each["message"] for each in found["messages"]] == ["a", "c"]
    error = await api.error("/conversations/unknown", 404)
    assert (error["code"], error["message"]) == ("NOT_FOUND", "Conversation not found")


async def test_conversations_are_those_that_have_messages(each_api: Api) -> None:
    api = each_api
    assert await api.get("/conversations") == {"conversations": []}
    for conversation in ("c2", "c1", "c2", "c3", "ä/ö"):
        await post_messages(api, conversation, "q1", "hi")

    assert sorted((await api.get("/conversations"))["conversations"]) == ["c1", "c2", "c3", "ä/ö"]


async def test_conversations_are_listed_however_many_there_are(each_api: Api) -> None:
    names = [f"c{number:04}" for number in range(1_050)]
    events = [{"type": "message.added", "kind": "message", "conversationId": name} for name in names]
    await each_api.events(*events)

    assert sorted((await each_api.get("/conversations"))["conversations"]) == names


async def test_a_conversation_id_is_made_and_nothing_is_stored(each_api: Api) -> None:
    for request in ({}, {"json": {"name": "x"}}, {"content": b"{broken"}):
        response = await ok(each_api, "POST", "/conversations", 201, **request)
        assert set(response.json()) == {"conversation_id"}
        assert uuid.UUID(response.json()["conversation_id"]).version == 4

    assert (await each_api.get("/conversations"))["conversations"] == []
    assert await log(each_api) == []


async def test_the_memory_status_counts_by_conversation(each_api: Api) -> None:
    api = each_api
    assert await api.get("/memory-status") == {"total_conversations": 0, "total_messages": 0, "conversations": {}}
    await post_messages(api, "c1", "q1", "a", "b")
    await post_messages(api, "c1", "q2", "c")
    await post_messages(api, "c2", "q1", "d")

    assert await api.get("/memory-status") == {
        "total_conversations": 2,
        "total_messages": 4,
        "conversations": {
            "c1": {"message_count": 3, "query_count": 2},
            "c2": {"message_count": 1, "query_count": 1},
        },
    }


# -- watching ----------------------------------------------------------------------------------------------------------


async def test_a_watch_without_a_cursor_sees_only_what_comes(each_api: Api) -> None:
    api = each_api
    await post_messages(api, "c1", "q1", "before")
    async with watch(api, "/messages") as frames:
        await post_messages(api, "c1", "q1", "after")
        [record] = await data(frames, 1)

    assert record == (await items(api, "/messages"))[1]


async def test_a_watch_with_a_cursor_replays_what_is_behind_it_first(each_api: Api) -> None:
    api = each_api
    await post_messages(api, "c1", "q1", *range(300))
    stored = await items(api, "/messages", limit=1000)
    async with (
        watch(api, "/messages", cursor=0) as whole,
        watch(api, "/messages", cursor=stored[249]["sequence"]) as tail,
    ):
        await post_messages(api, "c1", "q1", 300)
        assert await data(whole, 301) == await items(api, "/messages", limit=1000)
        assert [each["message"] for each in await data(tail, 51)] == list(range(250, 301))


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["c1 q1", "c1 q2", "c2 q1", "c2 q2"]),
        ({"conversation_id": "c1"}, ["c1 q1", "c1 q2"]),
        ({"query_id": "q1"}, ["c1 q1", "c2 q1"]),
        ({"conversation_id": "c2", "query_id": "q1"}, ["c2 q1"]),
        ({"conversation_id": "", "query_id": ""}, ["c1 q1", "c1 q2", "c2 q1", "c2 q2"]),
    ],
)
async def test_both_filters_count_while_watching(each_api: Api, params: dict[str, str], expected: list[str]) -> None:
    api = each_api

    async def store() -> None:
        for conversation, query in (("c1", "q1"), ("c1", "q2"), ("c2", "q1"), ("c2", "q2")):
            await post_messages(api, conversation, query, f"{conversation} {query}")

    await store()
    async with watch(api, "/messages", **params) as live, watch(api, "/messages", cursor=0, **params) as whole:
        await store()
        assert [each["message"] for each in await data(live, len(expected))] == expected
        assert [each["message"] for each in await data(whole, 2 * len(expected))] == expected * 2


async def test_a_watch_shows_messages_and_nothing_else(each_api: Api) -> None:
    api = each_api
    async with watch(api, "/messages", query_id="q1") as by_query, watch(api, "/messages") as frames:
        await api.chunks("q1", "1")
        await post_events(api, operation("u1", queryName="q1", conversationId="c1"))
        await post_messages(api, "c1", "q1")
        await post_messages(api, "c1", "q1", "removed")
        await ok(api, "DELETE", "/conversations/c1")
        await post_messages(api, "c1", "q1", "last")
        for each in (by_query, frames):
            assert [record["message"] for record in await data(each, 2)] == ["removed", "last"]


async def test_a_message_that_came_as_an_event_is_in_the_list(each_api: Api) -> None:
    await each_api.events(
        {"type": "message.added", "kind": "message", "conversationId": "c1", "query": "q1", "message": USER}
    )

    [record] = await items(each_api, "/messages", conversation_id="c1")

    assert (record["query_id"], record["message"]) == ("q1", USER)


# -- deletes -----------------------------------------------------------------------------------------------------------


async def four(api: Api) -> None:
    """Two conversations with the same two queries."""
    for conversation in ("c1", "c2"):
        for query in ("q1", "q2"):
            await post_messages(api, conversation, query, f"{conversation} {query}")


@pytest.mark.parametrize(
    ("path", "message", "left", "content"),
    [
        ("/conversations/c1", "Conversation c1 deleted", ["c2 q1", "c2 q2"], {"conversationId": "c1"}),
        (
            "/conversations/c1/queries/q1/messages",
            "Query q1 messages deleted from conversation c1",
            ["c1 q2", "c2 q1", "c2 q2"],
            {"conversationId": "c1", "query": "q1"},
        ),
        ("/queries/q1/messages", "Query q1 messages deleted", ["c1 q2", "c2 q2"], {"query": "q1"}),
    ],
)
async def test_a_delete_removes_what_it_names_and_leaves_a_word_in_the_log(
    each_api: Api, path: str, message: str, left: list[str], content: dict[str, str]
) -> None:
    api = each_api
    await four(api)
    before = await items(api, "/messages")
    await ok(api, "DELETE", path, message=message)

    assert await contents(api) == left
    assert (await api.get("/messages"))["total"] == len(left)
    [tombstone] = await log(api, "messages.deleted")
    assert content.items() <= tombstone["body"].items()
    await post_messages(api, "c1", "q1", "new")
    assert (await items(api, "/messages"))[-1]["sequence"] > before[-1]["sequence"], "positions go on"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/conversations/none", "Conversation none deleted"),
        ("/conversations/none/queries/q1/messages", "Query q1 messages deleted from conversation none"),
        ("/conversations/c1/queries/none/messages", "Query none messages deleted from conversation c1"),
        ("/queries/none/messages", "Query none messages deleted"),
    ],
)
async def test_a_delete_of_nothing_is_fine_and_leaves_no_trace(each_api: Api, path: str, message: str) -> None:
    await four(each_api)
    for _ in range(2):
        await ok(each_api, "DELETE", path, message=message)

    assert len(await contents(each_api)) == 4
    assert await log(each_api, "messages.deleted") == []


async def test_messages_say_which_conversation_a_query_belongs_to(each_api: Api) -> None:
    api = each_api
    for query in ("q1", "q2"):
        await post_events(api, operation(f"u-{query}", "QueryExecutionStart", queryName=query, sessionId="s1"))
    await post_messages(api, "c1", "q1", USER)
    await post_messages(api, "c2", "q2")

    queries = (await api.get("/sessions/s1"))["queries"]

    assert [queries[query]["conversationId"] for query in ("q1", "q2")] == ["c1", "c2"]


async def test_a_delete_removes_messages_only(each_api: Api) -> None:
    api = each_api
    await four(api)
    await api.chunks("q1", "1")
    await post_events(api, operation("u1", queryName="q1", sessionId="s1", conversationId="c1"))
    await ok(api, "DELETE", "/queries/q1/messages")
    await ok(api, "DELETE", "/conversations/c1")

    assert len(await items(api, "/stream")) == 1
    assert len(await items(api, "/events")) == 1
    assert "q1" in (await api.get("/sessions/s1"))["queries"]


async def test_more_messages_than_one_step_are_removed(each_api: Api) -> None:
    await post_messages(each_api, "c1", "q1", *range(4_500))
    await ok(each_api, "DELETE", "/queries/q1/messages")

    assert await contents(each_api) == []
    assert len(await log(each_api, "messages.deleted")) == 1


# -- purge -------------------------------------------------------------------------------------------------------------

PURGES = [("/messages", "Memory purged"), ("/conversations", "All conversations deleted")]


@pytest.mark.parametrize(("path", "message"), PURGES)
async def test_a_purge_removes_all_messages_and_says_who_it_was(each_api: Api, path: str, message: str) -> None:
    api = each_api
    await four(api)
    await api.chunks("q1", "1")
    await post_events(api, operation("u1"))
    headers = {"X-Request-ID": "purge-7", "User-Agent": "dashboard/1"}
    await ok(api, "DELETE", path, message=message, headers=headers)

    assert (await api.get("/messages"))["total"] == 0
    assert (await api.get("/conversations"))["conversations"] == []
    assert (await api.get("/memory-status"))["total_messages"] == 0
    assert len(await items(api, "/stream")) == len(await items(api, "/events")) == 1
    [audit] = await log(api, "log.purged")
    assert {"store": "messages", "requestId": "purge-7", "client": "127.0.0.1", "userAgent": "dashboard/1"}.items() <= (
        audit["body"].items()
    )


@pytest.mark.parametrize(("path", "message"), PURGES)
async def test_a_purge_of_nothing_is_fine(each_api: Api, path: str, message: str) -> None:
    await ok(each_api, "DELETE", path, message=message)


async def test_positions_go_on_after_a_purge_and_live_readers_with_them(each_api: Api) -> None:
    """The old broker began again at 1: who watched from a higher cursor never heard of anything again."""
    api = each_api
    await four(api)
    last = (await items(api, "/messages"))[-1]["sequence"]
    async with watch(api, "/messages") as live, watch(api, "/messages", cursor=last) as resumed:
        await ok(api, "DELETE", "/messages")
        await post_messages(api, "c1", "q1", "new")
        for frames in (live, resumed):
            [record] = await data(frames, 1)
            assert (record["message"], record["sequence"] > last) == ("new", True)
    async with watch(api, "/messages", last_event_id=last) as again:
        assert [each["message"] for each in await data(again, 1)] == ["new"]
    assert await contents(api, cursor=last) == ["new"]


@pytest.mark.parametrize("path", ["/messages", "/conversations", "/events", "/stream", "/traces", "/sessions"])
async def test_purges_can_be_switched_off(start_api: StartApi, path: str) -> None:
    async with start_api(allow_purge=False) as api:
        await four(api)
        error = await api.error(path, 404, method="DELETE")
        await ok(api, "DELETE", "/conversations/c1/queries/q1/messages")
        await ok(api, "DELETE", "/events/u1")

        assert error["code"] == "NOT_FOUND"
        assert "ARK_BROKER_ALLOW_PURGE" in error["message"]
        assert len(await contents(api)) == 3
        assert await log(api, "log.purged") == []


async def test_purges_are_there_unless_they_are_switched_off(start_api: StartApi) -> None:
    async with start_api(allow_purge=True) as api:
        for path, message in (
            *PURGES,
            ("/events", "Event data purged"),
            ("/stream", "Stream data purged"),
            ("/traces", "Trace data purged"),
            ("/sessions", "Sessions purged"),
        ):
            await ok(api, "DELETE", path, message=message)


async def test_what_is_stored_while_a_purge_runs_is_not_lost_halfway(each_api: Api) -> None:
    api = each_api
    await post_messages(api, "c1", "q1", *range(5_000))

    async def write(number: int) -> None:
        await post_messages(api, "c1", "q1", *[f"{number} {part}" for part in range(3)])

    await asyncio.gather(ok(api, "DELETE", "/messages"), *(write(number) for number in range(10)))
    left = await contents(api, limit=1000)

    # Each of the posts is in the list whole, or not at all.
    assert not [each for each in left if isinstance(each, int)]
    numbers = [each.split()[0] for each in left]
    assert all(numbers.count(number) == 3 for number in set(numbers))
