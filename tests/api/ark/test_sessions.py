"""`/sessions`: what Ark's dashboard shows of sessions, and how it filters, pages and follows them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.ark.support import data, log, ok, operation, post_events, post_messages, watch
from tests.support.api import Api
from tests.support.otlp import TRACE


def event(query: str, reason: str = "QueryExecutionStart", session: str = "session-a", **fields: Any) -> dict[str, Any]:
    return operation(f"uid-{query}", reason, queryName=query, sessionId=session, **fields)


async def session(api: Api, name: str = "session-a") -> dict[str, Any]:
    return await api.get(f"/sessions/{name}")


async def page(api: Api, **params: Any) -> list[str]:
    found = await api.get("/sessions", **{"limit": 100, **params})
    return [item["sessionId"] for item in found["items"]]


async def three(api: Api) -> None:
    """`session-a` runs, `b` failed, `session-c` is idle; the last one was active last."""
    await post_events(
        api,
        event("q1", agent="Coder", conversationId="c1"),
        event("q2", conversationId="c2"),
        event("q3", "QueryExecutionError", "b", team="Writers", error="boom"),
        event("q4", "QueryExecutionComplete", "session-c", toolName="search"),
    )


async def test_a_session_is_whole(each_api: Api) -> None:
    await post_events(
        each_api,
        event("q1", agent="coder", conversationId="c1", queryNamespace="ns", targetType="agent"),
        event("q1", "QueryExecutionComplete"),
        event("q2", "AgentExecutionError", error="boom"),
    )

    found = await session(each_api)

    assert (found["sessionId"], found["name"], found["status"], found["errorCount"]) == ("session-a", "a", "error", 1)
    first, second = found["queries"].values()
    expected = {"name": "q1", "namespace": "ns", "conversationId": "c1", "agent": "coder", "targetType": "agent"}
    assert first.items() >= {**expected, "phase": "done"}.items()
    assert (second["phase"], second["error"], second["targetType"]) == ("error", "boom", "agent")
    assert {"namespace", "agent", "conversationId"}.isdisjoint(second)
    assert found["conversations"] == [
        {
            "conversationId": "c1",
            "name": "coder",
            "participants": ["coder"],
            "messageCount": 1,
            "duration": "0s",
            "startTime": first["createdAt"],
            "participantType": "agent",
            "errorCount": 0,
        }
    ]
    assert found["participants"] == [{"id": "coder", "name": "coder", "type": "agent"}]
    assert found["createdAt"] == first["createdAt"] <= found["lastActivity"] == second["lastActivity"]


async def test_times_are_those_of_arrival(api: Api) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    await post_events(api, event("q1", timestamp="2020-01-01T00:00:00Z"))

    assert datetime.fromisoformat((await session(api))["createdAt"]) >= before


async def test_an_unknown_session_is_not_found(api: Api) -> None:
    error = await api.error("/sessions/nobody", 404)

    assert (error["code"], error["message"]) == ("NOT_FOUND", "Session not found")
    await api.error("/sessions/session-a", 404, method="DELETE")


async def test_without_limit_and_cursor_all_of_them_come_by_name(each_api: Api) -> None:
    assert await each_api.get("/sessions") == {"sessions": {}}
    await three(each_api)

    found = (await each_api.get("/sessions"))["sessions"]

    assert set(found) == {"session-a", "b", "session-c"}
    assert found["b"] == await session(each_api, "b")
    assert set((await each_api.get("/sessions", limit="", cursor=""))["sessions"]) == set(found)


async def test_pages_go_by_offset_and_count_by_status(each_api: Api) -> None:
    await three(each_api)

    first = await each_api.get("/sessions", limit=2)
    second = await each_api.get("/sessions", limit=2, cursor=first["nextCursor"])

    assert [item["sessionId"] for item in first["items"] + second["items"]] == ["session-c", "b", "session-a"]
    assert (first["total"], first["hasMore"], first["nextCursor"]) == (3, True, 2)
    assert first["statusCounts"] == {"active": 1, "idle": 1, "error": 1}
    assert (second["hasMore"], "nextCursor" in second) == (False, False)
    failed = await each_api.get("/sessions", limit=2, status="error")
    assert (failed["total"], failed["statusCounts"]) == (1, {"active": 0, "idle": 0, "error": 1})


async def test_sorting(each_api: Api) -> None:
    await three(each_api)

    assert await page(each_api, sort="date") == ["session-c", "b", "session-a"]
    assert await page(each_api, sort="date", order="asc") == ["session-a", "b", "session-c"]
    assert await page(each_api, sort="name") == ["session-c", "b", "session-a"]
    assert await page(each_api, sort="name", order="asc") == ["session-a", "b", "session-c"]
    assert (await page(each_api, sort="conversations"))[0] == "session-a"
    for wrong in ({"sort": "size"}, {"order": "up"}, {"status": "busy"}):
        assert (await each_api.error("/sessions", 400, params=wrong))["code"] == "VALIDATION_ERROR"


async def test_searching_goes_over_ids_and_participants_not_queries(each_api: Api) -> None:
    await three(each_api)

    for text, found in (
        ("SESSION-C", ["session-c"]),
        ("coder", ["session-a"]),
        ("writers", ["b"]),
        ("Search", ["session-c"]),
        ("q1", []),
        ("c1", []),
        ("%", []),
    ):
        assert await page(each_api, search=text) == found, text
    assert (await each_api.get("/sessions", limit=1, search="coder"))["total"] == 1


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S+00:00", "%a, %d %b %Y %H:%M:%S GMT"])
async def test_dates_are_read_as_people_write_them(api: Api, form: str) -> None:
    await three(api)
    past, future = ((datetime.now(UTC) + timedelta(hours=hours)).strftime(form) for hours in (-1, 1))

    assert len(await page(api, dateFrom=past, dateTo=future)) == 3
    assert await page(api, dateFrom=future) == await page(api, dateTo=past) == []
    assert await page(api, dateFrom="garbage") == await page(api, dateTo="garbage") == []


async def test_a_report_without_a_query_is_taken_and_changes_nothing(each_api: Api) -> None:
    assert (await ok(each_api, "POST", "/sessions", 201, json={"sessionId": "s"})).json() == {"status": "success"}
    assert await each_api.get("/sessions") == {"sessions": {}}

    report = {"sessionId": "s", "queryName": "q", "agent": "a", "_reason": "QueryExecutionCanceled"}
    await ok(each_api, "POST", "/sessions", 201, json=report)

    query = (await session(each_api, "s"))["queries"]["q"]
    assert (query["phase"], query["agent"]) == ("canceled", "a")
    assert "sessionId" in (await each_api.error("/sessions", 400, method="POST", json={"sessionId": ""}))["message"]
    assert (await each_api.get("/events"))["items"] == []


async def test_messages_bring_their_conversation_into_the_session(each_api: Api) -> None:
    await post_events(each_api, event("q1", "QueryExecutionComplete"))
    before = await session(each_api)
    await post_messages(each_api, "c1", "q1", {"role": "user"}, {"role": "assistant"})
    await post_messages(each_api, "c2", "q1")

    after = await session(each_api)

    assert [each["conversationId"] for each in after["conversations"]] == ["c1"]
    assert after["lastActivity"] >= before["lastActivity"]
    assert after["queries"]["q1"]["lastActivity"] == before["queries"]["q1"]["lastActivity"]


async def test_a_query_is_taken_out_of_every_session(each_api: Api) -> None:
    await post_events(each_api, event("q1"), event("q2", "QueryExecutionComplete"), event("q1", session="session-b"))
    before = (await session(each_api))["lastActivity"]

    answer = (await ok(each_api, "DELETE", "/sessions/queries/q1")).json()

    assert answer == {"status": "success", "message": "Query q1 removed from 2 session(s)", "removed": 2}
    left = await session(each_api)
    assert (list(left["queries"]), left["status"], left["lastActivity"]) == (["q2"], "idle", before)
    await each_api.error("/sessions/session-b", 404)
    assert list((await each_api.get("/sessions"))["sessions"]) == ["session-a"]
    assert [(each["sessionId"], each["body"]) for each in await log(each_api, "query.deleted")] == [
        ("session-a", {"query": "q1"}),
        ("session-b", {"query": "q1"}),
    ]
    assert (await ok(each_api, "DELETE", "/sessions/queries/q1")).json()["removed"] == 0
    await post_events(each_api, event("q1", session="session-b"))
    assert list((await session(each_api, "session-b"))["queries"]) == ["q1"]


async def test_a_purge_empties_the_list_and_nothing_else(each_api: Api) -> None:
    await three(each_api)

    await ok(each_api, "DELETE", "/sessions", message="Sessions purged")

    assert await each_api.get("/sessions") == {"sessions": {}}
    assert await page(each_api) == []
    assert len((await each_api.get("/events"))["items"]) == 4
    [audit] = await log(each_api, "log.purged")
    assert audit["body"]["store"] == "sessions"
    await post_events(each_api, event("q9"))
    assert list((await session(each_api))["queries"]) == ["q9"]


async def test_a_watch_begins_with_every_session_and_goes_on_with_whole_ones(each_api: Api) -> None:
    await three(each_api)
    async with watch(each_api, "/sessions") as frames:
        first = {frame["sessionId"]: frame["session"] for frame in await data(frames, 3)}
        assert first == (await each_api.get("/sessions"))["sessions"]

        await post_events(each_api, event("q1", "QueryExecutionComplete"))

        [changed] = await data(frames, 1)
        assert changed == {"sessionId": "session-a", "session": await session(each_api)}


async def test_a_watch_of_one_session_has_only_that(each_api: Api) -> None:
    await three(each_api)
    async with (
        watch(each_api, "/sessions", session_id="b") as one,
        watch(each_api, "/sessions", session_id="new") as none,
    ):
        assert (await data(one, 1))[0]["sessionId"] == "b"
        await post_events(each_api, event("q1"), event("q9", session="new"), event("q3", session="b"))
        assert (await data(one, 1))[0]["sessionId"] == "b"
        assert (await data(none, 1))[0]["sessionId"] == "new"


async def test_a_burst_of_events_costs_few_frames(each_api: Api) -> None:
    async with watch(each_api, "/sessions") as frames:
        batch = [event(f"q{number}") for number in range(200)]
        response = await each_api.http.post("/v1/events", json=batch)
        assert response.status_code == 200
        count, queries = 0, 0
        while queries < 200:
            [frame] = await data(frames, 1)
            count, queries = count + 1, len(frame["session"]["queries"])

    assert count <= 3


async def test_a_watch_resumes_with_what_changed_since(each_api: Api) -> None:
    await three(each_api)
    async with watch(each_api, "/sessions") as frames:
        seen = [frame.id for frame in await frames.take(3)]
    await post_events(each_api, event("q3", session="b"))
    async with watch(each_api, "/sessions", last_event_id=seen[-1]) as frames:
        names = [(await data(frames, 1))[0]["sessionId"] for _ in range(2)]

    assert names == ["session-c", "b"]  # what shares the last position comes again: it is whole anyway


async def test_a_session_that_only_spans_tell_of_is_in_the_list(each_api: Api) -> None:
    await each_api.spans({"name": "query.started", "attributes": {"session.id": "s9", "query.name": "q9"}})

    found = await session(each_api, "s9")

    assert (found["sessionId"], list(found["queries"])) == ("s9", ["q9"])
    assert await page(each_api) == ["s9"]
    assert await page(each_api, search="s9") == ["s9"]


async def test_what_ark_posts_shows_in_v1(each_api: Api) -> None:
    await post_events(
        each_api,
        event("q1", conversationId="c1"),
        event("q1", "ToolCallComplete", toolName="search", parameters='{"q":"x"}', result="found"),
    )
    await post_messages(each_api, "c1", "q1", {"role": "user", "content": "hi"})

    view = await each_api.get("/v1/sessions/session-a")

    [tool] = [each for each in view["queries"]["q1"]["events"] if each["type"] == "tool.call"]
    assert (tool["tool"], tool["input"], tool["output"]) == ("search", {"q": "x"}, "found")
    conversation = await each_api.get("/v1/sessions/session-a/conversation")
    assert conversation["messages"] == [{"role": "user", "content": "hi"}]


async def test_name_uid_and_session_lead_to_each_other(each_api: Api) -> None:
    await post_events(each_api, operation("uid-1", queryName="q1", sessionId="session-a"))
    await each_api.spans({"attributes": {"ark.session.id": "session-a", "query.name": "q1"}})
    await each_api.chunks("q1", '{"choices":[{"delta":{"content":"x"}}],"ark":{"query":"uid-1","session":"session-a"}}')
    await post_messages(each_api, "c1", "q1", 1)
    await post_events(each_api, operation("uid-1", "LLMCallComplete"))

    events = (await each_api.get("/v1/sessions/session-a/events"))["items"]

    assert {each["kind"] for each in events} == {"event", "span", "chunk", "message"}
    assert {each["query"] for each in events} == {"q1"}
    assert (await each_api.get("/v1/queries/uid-1"))["name"] == "q1"
    assert len((await each_api.get("/events/uid-1"))["items"]) == 2
    assert (await each_api.get(f"/traces/{TRACE}"))["traceId"] == TRACE


# -- defects of Ark's broker, each mended ------------------------------------------------------------------------------


async def test_defect_14_filters_count_without_limit_and_cursor(each_api: Api) -> None:
    await three(each_api)

    assert set((await each_api.get("/sessions", status="error"))["sessions"]) == {"b"}
    assert set((await each_api.get("/sessions", search="coder"))["sessions"]) == {"session-a"}


async def test_defect_15_messages_are_counted_and_a_duration_ends_with_the_last_query(each_api: Api) -> None:
    await post_events(each_api, event("q1", conversationId="c1"), event("q2", conversationId="c1"))
    await post_messages(each_api, "c1", "q1", 1, 2, 3)
    await post_events(each_api, event("q2", "QueryExecutionComplete"))
    [conversation] = (await session(each_api))["conversations"]
    assert (conversation["messageCount"], conversation["duration"]) == (3, "ongoing")

    await post_events(each_api, event("q1", "QueryExecutionComplete"))
    [conversation] = (await session(each_api))["conversations"]
    assert re.fullmatch(r"\d+s", conversation["duration"])


async def test_defect_16_a_finished_query_shows_the_conversation_that_a_message_names(each_api: Api) -> None:
    await post_events(each_api, event("q1", "QueryExecutionComplete", agent="coder"))
    async with watch(each_api, "/sessions") as frames:
        assert (await data(frames, 1))[0]["session"]["conversations"] == []
        await post_messages(each_api, "c1", "q1", 1)

        [conversation] = (await data(frames, 1))[0]["session"]["conversations"]

    assert (conversation["conversationId"], conversation["name"]) == ("c1", "coder")
