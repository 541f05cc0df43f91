"""`/events`, `/events/{queryId}`: what Ark's controller and executors say happens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.ark.support import data, items, log, ok, operation, post_events, watch
from tests.support.api import Api, serve
from tests.support.stored import query as sql
from tests.support.waiting import until

#: As the controller sends it: `data` is not first, numbers and text are what it wrote.
TYPICAL = (
    '{"timestamp":"2026-11-20T21:14:15.009123456Z","eventType":"Normal","reason":"LLMCallComplete",'
    '"message":"done (timestamp: x)","ttl_seconds":2592000,"data":{"queryId":"u1","queryName":"q1",'
    '"queryNamespace":"ns","sessionId":"s1","conversationId":"c1","durationMs":"12.34","model":"gpt-4o"},"extra":1.50}'
)
STORED = (
    '{"data":{"queryId":"u1","queryName":"q1","queryNamespace":"ns","sessionId":"s1","conversationId":"c1",'
    '"durationMs":"12.34","model":"gpt-4o"},"timestamp":"2026-11-20T21:14:15.009123456Z","eventType":"Normal",'
    '"reason":"LLMCallComplete","message":"done (timestamp: x)","extra":1.50}'
)


async def post(api: Api, content: str | bytes, **headers: str) -> None:
    """Store an event as it stands there."""
    response = await api.http.post("/events", content=content, headers=headers)
    assert response.status_code == 201, response.text


async def numbers(api: Api, path: str = "/events", **params: Any) -> list[Any]:
    """`number` of the events on the list's first page."""
    return [item["data"].get("number") for item in await items(api, path, **params)]


# -- in ----------------------------------------------------------------------------------------------------------------


async def test_a_post_is_created(each_api: Api) -> None:
    response = await each_api.http.post("/events", content=TYPICAL)

    assert (response.status_code, response.json()) == (201, {"status": "success"})


async def test_the_least_that_is_accepted(each_api: Api) -> None:
    await post(each_api, '{"data":{"queryId":"x"}}')

    assert await items(each_api, "/events/x") == [{"data": {"queryId": "x"}}]


async def test_an_event_is_stored_without_its_time_to_live_and_data_first(each_api: Api) -> None:
    await post(each_api, TYPICAL)

    for path in ("/events", "/events/u1"):
        response = await each_api.http.get(path)
        assert response.text.startswith(f'{{"items":[{STORED}],')
        async with watch(each_api, path, cursor=0) as frames:
            assert (await frames.next()).data == STORED


BESIDE_DATA: tuple[dict[str, Any], ...] = (
    {"reason": None},
    {"reason": 7, "eventType": ["x"], "message": {"a": 1}, "timestamp": 0},
    {"reason": "", "timestamp": "yesterday"},
    {"reason": "LLMCallStart" * 1_000},
    {"reason": "a\x00b", "note": "\x00 \u2028 \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")},
    {"reason": "session.deleted"},
    {"reason": "log.purged", "type": "log.purged"},
    {"type": "query.completed", "id": 7, "kind": "span", "time": "never"},
    {"error": {"deep": [[[[]]]]}, "items": [], "data2": {"queryId": "other"}},
    {"durationMs": -1, "numbers": [1e308, -0.0, 2**63, 2**70]},
    {"query": "other", "sessionId": "other", "queryUid": "other"},
)


async def test_everything_passes_through_whatever_it_is(each_api: Api) -> None:
    events = [{"data": {"queryId": "u1"}, **fields} for fields in BESIDE_DATA]
    await post_events(each_api, *events)

    assert await items(each_api, "/events/u1") == events


IN_DATA: tuple[dict[str, Any], ...] = (
    {"durationMs": "long"},
    {"durationMs": -5, "timestamp": 12},
    {"queryName": None, "sessionId": None, "conversationId": None},
    {"queryName": 7, "sessionId": [], "conversationId": {}},
    {"queryName": "", "sessionId": ""},
    {"agent": "x" * 5_000, "model": {"name": "m"}, "toolName": 1, "error": False, "parameters": [1]},
    {"agent": "a\x00b", "toolId": True},
    {"message": {"nested": None}, "result": 1.50},
)


async def test_everything_in_data_passes_through_whatever_it_is(each_api: Api) -> None:
    reasons = ("LLMCallStart", "QueryExecutionComplete", "ToolCallError", "SomethingNew")
    events = [{"data": {"queryId": "u1", **fields}, "reason": reason} for reason in reasons for fields in IN_DATA]
    await post_events(each_api, *events)

    assert await items(each_api, "/events") == events


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "data"),
    ({"data": None}, "data"),
    ({"data": "u1"}, "data"),
    ({"data": ["u1"]}, "data"),
    ({"data": {}}, "data.queryId"),
    ({"data": {"queryId": None}}, "data.queryId"),
    ({"data": {"queryId": 7}}, "data.queryId"),
    ({"data": {"queryId": ""}}, "data.queryId"),
    ({"data": {"queryId": "x" * 257}}, "data.queryId"),
    ({"data": {"queryId": "a\x00b"}}, "data.queryId"),
    ({"data": {"queryId": "u1"}, "ttl_seconds": 0}, "ttl_seconds"),
    ({"data": {"queryId": "u1"}, "ttl_seconds": None}, "ttl_seconds"),
    ({"data": {"queryId": "u1"}, "ttl_seconds": "soon"}, "ttl_seconds"),
    ({"data": {"queryId": "u1"}, "ttl_seconds": 1.5}, "ttl_seconds"),
    ({"queryId": "u1"}, "data"),
)


async def test_a_wrong_field_is_named(api: Api) -> None:
    for body, field in WRONG:
        error = await api.error("/events", 400, method="POST", json=body)
        assert error["code"] == "VALIDATION_ERROR"
        assert error["message"].startswith(f"{field}: "), body
    assert await items(api, "/events") == []


@pytest.mark.parametrize(
    ("value", "received"),
    [("missing", "undefined"), (None, "null"), (7, "number"), ([], "array"), ({}, "object"), (True, "boolean")],
)
async def test_the_message_says_what_was_received(api: Api, value: object, received: str) -> None:
    body = {"data": {} if value == "missing" else {"queryId": value}}

    error = await api.error("/events", 400, method="POST", json=body)

    assert error["message"] == f"data.queryId: Invalid input: expected string, received {received}"


async def test_posted_twice_is_stored_twice(each_api: Api) -> None:
    await post(each_api, TYPICAL)
    await post(each_api, TYPICAL)

    assert await items(each_api, "/events") == [json.loads(STORED)] * 2


async def test_an_attempt_that_has_a_name_is_stored_once(each_api: Api) -> None:
    for attempt in ("a1", "a1", "a2"):
        await post(each_api, TYPICAL, **{"Idempotency-Key": attempt})

    assert await items(each_api, "/events") == [json.loads(STORED)] * 2


# -- time to live ------------------------------------------------------------------------------------------------------


async def test_what_has_expired_is_gone(each_api: Api) -> None:
    api = each_api
    await post_events(api, operation("u1", number="1", sessionId="s1") | {"ttl_seconds": 1})
    await post_events(api, operation("u1", number="2", sessionId="s1") | {"ttl_seconds": "3600"})
    await post_events(api, operation("u1", number="3", sessionId="s1"))

    async def expired() -> bool:
        return await numbers(api) == ["2", "3"]

    await until(expired)
    assert await numbers(api, "/events/u1") == await numbers(api, session_id="s1") == ["2", "3"]
    assert (await api.get("/events"))["total"] == 2
    async with watch(api, "/events", cursor=0) as frames:
        assert [each["data"]["number"] for each in await data(frames, 2)] == ["2", "3"]


async def test_what_has_expired_is_removed_from_the_log(database_url: str) -> None:
    async with serve(database_url) as api:
        await post_events(api, operation("u1") | {"ttl_seconds": 1}, operation("u2"))

        async def removed() -> bool:
            await api.services.maintenance.expire()
            return await sql(database_url, "SELECT query_uid FROM events") == [("u2",)]

        await until(removed)


# -- out ---------------------------------------------------------------------------------------------------------------


async def some(api: Api) -> None:
    """Events 1 to 6: of two queries in two sessions, and of none."""
    for number, (uid, session) in enumerate(
        (("u1", "s1"), ("u2", "s1"), ("u1", "s1"), ("u3", "s2"), ("u1", None), ("u2", "s2")), 1
    ):
        fields = {} if session is None else {"sessionId": session, "queryName": f"q-{uid}"}
        await post_events(api, operation(uid, number=str(number), **fields))


async def test_events_are_listed_bare_in_the_order_in_which_they_came(each_api: Api) -> None:
    await some(each_api)

    page = await each_api.get("/events")

    assert await numbers(each_api) == ["1", "2", "3", "4", "5", "6"]
    assert set(page["items"][0]) == {"timestamp", "eventType", "reason", "message", "data"}
    assert (page["total"], page["hasMore"]) == (6, False)


async def test_a_query_is_asked_for_by_its_uid(each_api: Api) -> None:
    await some(each_api)

    assert await numbers(each_api, "/events/u1") == ["1", "3", "5"]
    assert (await each_api.get("/events/u1"))["total"] == 3
    assert await each_api.get("/events/unknown") | {"watchCursor": 0} == {
        "items": [],
        "total": 0,
        "hasMore": False,
        "watchCursor": 0,
    }
    assert await numbers(each_api, "/events/q-u1") == [], "not by its name"


async def test_a_session_is_a_filter_and_an_empty_one_is_none(each_api: Api) -> None:
    await some(each_api)

    assert await numbers(each_api, session_id="s2") == ["4", "6"]
    assert {"1", "2", "3"} <= set(await numbers(each_api, session_id="s1"))
    assert await numbers(each_api, session_id="unknown") == []
    assert len(await numbers(each_api, session_id="")) == 6


async def test_other_filters_are_ignored(each_api: Api) -> None:
    await some(each_api)

    assert len(await numbers(each_api, query_id="u1")) == 6
    assert await numbers(each_api, "/events/u1", session_id="s2") == ["1", "3", "5"]


async def test_the_events_of_a_query_are_read_page_by_page(each_api: Api) -> None:
    api = each_api
    for number in range(25):
        await post_events(api, operation("u1", number=str(number)), operation("u2"))
    seen: list[Any] = []
    page: dict[str, Any] = {"hasMore": True, "nextCursor": 0}
    while page["hasMore"]:
        page = await api.get("/events/u1", limit=10, cursor=page["nextCursor"])
        seen += [item["data"]["number"] for item in page["items"]]
        assert page["total"] == 25

    assert seen == [str(number) for number in range(25)]


# -- watching ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        ("/events", {}, ["1", "2", "3", "4", "5", "6"]),
        ("/events", {"session_id": "s2"}, ["4", "6"]),
        ("/events", {"session_id": ""}, ["1", "2", "3", "4", "5", "6"]),
        ("/events/u1", {}, ["1", "3", "5"]),
        ("/events/u2", {"session_id": "s1"}, ["2", "6"]),
    ],
)
async def test_a_watch_shows_what_the_list_would(
    each_api: Api, path: str, params: dict[str, str], expected: list[str]
) -> None:
    api = each_api
    await some(api)
    async with (
        watch(api, path, **params) as live,
        watch(api, path, **params, **{"from-beginning": "false"}) as also_live,
        watch(api, path, cursor=0, **params) as whole,
        watch(api, path, **params, **{"from-beginning": "true"}) as beginning,
    ):
        await some(api)
        for frames, times in ((live, 1), (also_live, 1), (whole, 2), (beginning, 2)):
            assert [each["data"]["number"] for each in await data(frames, times * len(expected))] == expected * times


async def test_a_cursor_goes_before_from_beginning(each_api: Api) -> None:
    api = each_api
    await some(api)
    cursor = (await api.get("/events/u1", limit=2))["nextCursor"]
    async with watch(api, "/events/u1", cursor=cursor, **{"from-beginning": "true"}) as frames:
        assert [each["data"]["number"] for each in await data(frames, 1)] == ["5"]


async def test_from_beginning_is_true_or_false(api: Api) -> None:
    for path in ("/events", "/events/u1"):
        error = await api.error(path, 400, params={"watch": "true", "from-beginning": "yes"})
        assert (error["code"], error["message"].partition(": ")[0]) == ("VALIDATION_ERROR", "from-beginning")


async def test_a_watch_of_an_unknown_query_waits_for_it(each_api: Api) -> None:
    async with watch(each_api, "/events/u9", **{"from-beginning": "true"}) as frames:
        await post_events(each_api, operation("u1"), operation("u9", number="1"))
        assert [each["data"]["number"] for each in await data(frames, 1)] == ["1"]


async def test_a_watch_shows_operation_events_and_nothing_else(each_api: Api) -> None:
    api = each_api
    async with watch(api, "/events") as frames, watch(api, "/events", session_id="s1") as of_session:
        await api.chunks("q1", '{"ark":{"query":"u1","session":"s1"}}')
        await api.spans({"attributes": {"ark.session.id": "s1"}})
        await api.events({"type": "tool.call", "sessionId": "s1"})
        await post_events(api, operation("u1", sessionId="s1", queryName="q1", number="1"))
        await ok(api, "DELETE", "/events/u1")
        await post_events(api, operation("u1", sessionId="s1", queryName="q1", number="2"))
        for each in (frames, of_session):
            assert [event["data"]["number"] for event in await data(each, 2)] == ["1", "2"]
    assert len(await items(api, "/events")) == 1


# -- deletes -----------------------------------------------------------------------------------------------------------


async def test_a_delete_removes_a_querys_events_and_leaves_a_word_in_the_log(each_api: Api) -> None:
    api = each_api
    await some(api)
    await ok(api, "DELETE", "/events/u1", message="Query u1 events deleted")

    assert await numbers(api) == ["2", "4", "6"]
    assert await items(api, "/events/u1") == []
    [tombstone] = await log(api, "events.deleted")
    assert {"queryUid": "u1"}.items() <= tombstone["body"].items()
    await ok(api, "DELETE", "/events/u1", message="Query u1 events deleted")
    await ok(api, "DELETE", "/events/unknown", message="Query unknown events deleted")
    assert len(await log(api, "events.deleted")) == 1


async def test_a_delete_leaves_the_sessions_as_they_are(each_api: Api) -> None:
    api = each_api
    await post_events(api, operation("u1", "QueryExecutionStart", queryName="q1", sessionId="s1"))
    await post_events(api, operation("u1", "QueryExecutionComplete", queryName="q1", sessionId="s1"))
    before = await api.get("/sessions/s1")
    await ok(api, "DELETE", "/events/u1")

    assert (await api.get("/sessions/s1")) == before
    assert before["queries"]["q1"]["phase"] == "done"


async def test_a_purge_removes_all_events_and_says_who_it_was(each_api: Api) -> None:
    api = each_api
    await some(api)
    await api.chunks("q1", "1")
    await api.events({"type": "tool.call", "sessionId": "s1"})
    async with watch(api, "/events") as live, watch(api, "/events/u1") as of_query:
        await ok(api, "DELETE", "/events", message="Event data purged", headers={"X-Request-ID": "purge-8"})
        assert (await api.get("/events"))["total"] == 0
        await post_events(api, operation("u1", number="new"))
        for frames in (live, of_query):
            assert [each["data"]["number"] for each in await data(frames, 1)] == ["new"]

    assert await numbers(api) == ["new"]
    assert len(await items(api, "/stream")) == 1
    assert len(await log(api, "tool.call")) == 1
    [audit] = await log(api, "log.purged")
    assert {"store": "events", "requestId": "purge-8"}.items() <= audit["body"].items()
    await ok(api, "DELETE", "/events", message="Event data purged")


# -- and /v1 -----------------------------------------------------------------------------------------------------------


async def test_an_event_of_v1_that_names_a_querys_uid_is_shown_in_arks_form(each_api: Api) -> None:
    api = each_api
    await api.events(
        {
            "type": "tool.failed",
            "queryUid": "u1",
            "query": "q1",
            "namespace": "ns",
            "sessionId": "s1",
            "agent": "coder",
            "tool": "search",
            "toolCallId": "call-1",
            "error": "no such index",
            "time": "2024-01-15T10:30:00Z",
        },
        {"type": "tool.call", "query": "q1", "sessionId": "s1"},
    )

    [event] = await items(api, "/events/u1")

    assert event["data"] == {
        "queryId": "u1",
        "queryName": "q1",
        "queryNamespace": "ns",
        "sessionId": "s1",
        "agent": "coder",
        "toolName": "search",
        "toolId": "call-1",
        "error": "no such index",
    }
    assert (event["reason"], event["eventType"]) == ("tool.failed", "Warning")
    assert event["timestamp"].startswith("2024-01-15T10:30:00")
    assert event["message"]
    assert await items(api, "/events", session_id="s1") == [event]


async def test_an_event_of_ark_that_came_by_v1_is_shown_as_it_was_sent(each_api: Api) -> None:
    event = json.loads(STORED)
    response = await each_api.http.post("/v1/events", json=event)
    assert response.status_code == 200

    assert await items(each_api, "/events/u1") == [event]


async def test_an_event_posted_here_is_in_v1_with_its_fields(each_api: Api) -> None:
    await post(each_api, TYPICAL)

    [event] = await log(each_api)

    assert event["body"] == json.loads(STORED)
    expected = {
        "kind": "event",
        "type": "llm.completed",
        "queryUid": "u1",
        "query": "q1",
        "namespace": "ns",
        "sessionId": "s1",
        "conversationId": "c1",
        "model": "gpt-4o",
    }
    assert expected.items() <= event.items()
    assert [each["seq"] for each in (await each_api.get("/v1/sessions/s1/events"))["items"]] == [event["seq"]]


async def test_events_are_watched_whichever_way_they_came(each_api: Api) -> None:
    api = each_api
    async with watch(api, "/events/u1") as frames:
        await api.events({"type": "tool.call", "queryUid": "u1", "sessionId": "s1"})
        await post_events(api, operation("u1", "ToolCallStart"))
        assert [each["reason"] for each in await data(frames, 2)] == ["tool.call", "ToolCallStart"]
