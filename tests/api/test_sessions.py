"""`/v1/sessions`: the list, one session, its events, its end."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.support.api import Api
from tests.support.events import NOON
from tests.support.otlp import SECOND
from tests.support.waiting import until


def named(session: str, **fields: Any) -> dict[str, Any]:
    return {"type": "query.started", "sessionId": session, "query": "q1"} | fields


async def ids(api: Api, **filters: Any) -> list[str]:
    """Ids of the listed sessions, page by page."""
    found: list[str] = []
    while True:
        page = await api.get("/v1/sessions", **filters)
        found += [item["id"] for item in page["items"]]
        if "nextCursor" not in page:
            return found
        filters["cursor"] = page["nextCursor"]


async def test_the_view_has_the_shape_of_the_prototype(each_api: Api) -> None:
    api = each_api
    trace = {"traceId": "4bf92f3577b34da6a3ce929d0e0e4736"}
    await api.events(
        named("s1", namespace="team-a", streamId="q1", mcpServer="search", mcpSessionId="mcp-1", **trace),
        named("s1", type="tool.call", tool="web_search", toolCallId="c1", agent="researcher", **trace),
        named("s1", type="tool.result", tool="web_search", toolCallId="c1", **trace),
        named("s1", type="llm.request", inputTokens=7, outputTokens=5, cost=0.25, model="gpt-4o", **trace),
        named("s1", type="query.completed", **trace),
    )

    view = await api.get("/v1/sessions/s1")

    assert view["id"] == "s1"
    assert view["status"] == "idle"
    assert view["namespace"] == "team-a"
    assert view["agents"] == ["researcher"]
    assert view["counts"] == {
        "queries": 1,
        "phases": {"done": 1},
        "events": 5,
        "toolCalls": 1,
        "modelCalls": 1,
        "chunks": 0,
        "errors": 0,
    }
    assert view["tokens"] == {"input": 7, "output": 5}
    assert view["cost"] == 0.25
    assert view["firstActivity"] == "2024-01-15T10:30:00Z"
    assert view["lastActivity"] == "2024-01-15T10:30:04Z"
    assert view["seq"] == 5
    assert view["log"]
    query = view["queries"]["q1"]
    assert query["phase"] == "done"
    assert query["traceId"] == trace["traceId"]
    assert query["mcpSessions"] == {"search": "mcp-1"}
    assert query["streamId"] == "q1"
    assert [event["type"] for event in query["events"]] == [
        "query.started",
        "tool.call",
        "llm.request",
        "query.completed",
    ]
    assert query["events"][1]["duration"] == 1000


async def test_an_unknown_session_is_not_found(api: Api) -> None:
    error = await api.error("/v1/sessions/nobody", 404)

    assert error["code"] == "NOT_FOUND"
    assert "nobody" in error["message"]
    await api.error("/v1/sessions/nobody/events", 404)
    await api.error("/v1/sessions/nobody", 404, method="DELETE")


async def test_a_session_id_that_nobody_can_have_is_refused(api: Api) -> None:
    for name in ("x" * 257, "x" * 10_000, "a%00b", "%80", "%C3%28"):
        for path in (f"/v1/sessions/{name}", f"/v1/sessions/{name}/events", f"/v1/sessions/{name}/stream"):
            assert (await api.error(path, 400))["code"] == "VALIDATION_ERROR"


async def test_a_session_id_may_have_any_printable_character(each_api: Api) -> None:
    strange = "a/b?c#d %2F+é漢字&=;:@\u202e\u200b\n."
    await each_api.events(named(strange))
    quoted = quote(strange, safe="")

    assert (await each_api.get(f"/v1/sessions/{quoted}"))["id"] == strange
    assert len((await each_api.get(f"/v1/sessions/{quoted}/events"))["items"]) == 1
    response = await each_api.http.delete(f"/v1/sessions/{quoted}")
    assert response.json()["id"] == strange


async def test_the_list_is_by_activity_and_its_cursor_visits_each_session_once(each_api: Api) -> None:
    # Pairs of equal times: the cursor has to tell them apart by id.
    await each_api.events(*(named(f"s{n}", time=NOON + n // 2 * SECOND) for n in range(9)))

    found = await ids(each_api, limit=2)

    assert found == ["s8", "s7", "s6", "s5", "s4", "s3", "s2", "s1", "s0"]
    page = await each_api.get("/v1/sessions", limit=2)
    assert "total" not in page
    assert page["seq"] == 9


async def test_the_list_filters(each_api: Api) -> None:
    await each_api.events(
        named("done", type="query.completed", namespace="a", agent="Coder"),
        named("open", namespace="b", agent="coder", query="weather"),
        named("broken", type="query.failed", namespace="a", agent="coder-2", query="weather"),
        named("paused", type="query.waiting", namespace="b"),
    )

    assert await ids(each_api, status="idle") == ["done"]
    assert await ids(each_api, status="active") == ["open"]
    assert await ids(each_api, status="error") == ["broken"]
    assert await ids(each_api, status="waiting") == ["paused"]
    assert await ids(each_api, namespace="a") == ["broken", "done"]
    assert await ids(each_api, agent="coder") == ["open", "done"]
    assert await ids(each_api, query="weather") == ["broken", "open"]
    assert await ids(each_api, query="weather", namespace="b") == ["open"]
    assert await ids(each_api, q="WEATH") == ["broken", "open"]
    assert await ids(each_api, q="pause") == ["paused"]
    assert await ids(each_api, q="nothing like it") == []
    assert await ids(each_api, since="2024-01-15T10:30:02Z") == ["paused", "broken"]
    assert await ids(each_api, until="2024-01-15T10:30:02Z") == ["open", "done"]
    assert await ids(each_api, since="2024-01-15T12:30:01+02:00", until="2024-01-15T10:30:02Z") == ["open"]
    assert await ids(each_api, status="error", agent="coder-2", q="brok", limit=1) == ["broken"]


WRONG_LIST_PARAMETERS = [
    ("status", "done"),
    ("status", ""),
    ("limit", "0"),
    ("limit", "-1"),
    ("limit", "1001"),
    ("limit", "many"),
    ("since", "yesterday"),
    ("until", "99999-01-01"),
    ("cursor", "garbage"),
    ("cursor", "bnVsbA"),
    ("cursor", "WzEsMl0"),
    ("cursor", "WzEsICJhIiwgMl0"),
    ("cursor", "x" * 1001),
    ("namespace", "x" * 257),
    ("q", "x" * 201),
    ("q", "a\0b"),
    ("query", "\0"),
    ("agent", "\0"),
]


async def test_a_wrong_list_parameter_is_named(each_api: Api) -> None:
    for parameter, value in WRONG_LIST_PARAMETERS:
        error = await each_api.error("/v1/sessions", 400, params={parameter: value})

        assert (error["code"], error["field"]) == ("VALIDATION_ERROR", parameter)
        assert parameter in error["message"]


async def test_events_come_in_pages_by_cursor(each_api: Api) -> None:
    await each_api.events(*(named("s1", id=str(n)) for n in range(5)), named("s2"))

    first = await each_api.get("/v1/sessions/s1/events", limit=2)
    second = await each_api.get("/v1/sessions/s1/events", limit=2, after=first["next"])
    last = await each_api.get("/v1/sessions/s1/events", limit=2, after=second["next"])

    assert [[event["seq"] for event in page["items"]] for page in (first, second, last)] == [[1, 2], [3, 4], [5]]
    assert (first["more"], second["more"], last["more"]) == (True, True, False)
    assert first["seq"] == 6
    event = first["items"][0]
    assert event["body"]["sessionId"] == "s1"
    assert (event["kind"], event["type"], event["sessionSeq"], event["correlatedBy"]) == (
        "event",
        "query.started",
        1,
        "explicit",
    )
    assert event["time"] == "2024-01-15T10:30:00Z"
    assert "traceId" not in event, "what is absent is left out"


async def test_events_filter_by_type_and_query(each_api: Api) -> None:
    await each_api.events(
        named("s1"),
        named("s1", type="tool.call"),
        named("s1", type="tool.call", query="q2"),
        named("s1", type="query.completed"),
    )

    async def seqs(**filters: Any) -> list[int]:
        return [event["seq"] for event in (await each_api.get("/v1/sessions/s1/events", **filters))["items"]]

    assert await seqs(type="tool.call") == [2, 3]
    assert await seqs(type=["tool.call", "query.completed"]) == [2, 3, 4]
    assert await seqs(type="tool.call", query="q2") == [3]
    assert await seqs(query="q1", after=1) == [2, 4]
    assert await seqs(type="tool.call", limit=1) == [2]
    assert await seqs(type="no such") == []


WRONG_EVENT_PARAMETERS = [
    ("after", "-1"),
    ("after", "x"),
    ("after", str(2**63)),
    ("limit", "0"),
    ("limit", "1001"),
    ("query", "x" * 257),
    ("query", "\0"),
    ("type", "\0"),
    ("type", "x" * 257),
]


async def test_a_wrong_parameter_of_events_is_named(each_api: Api) -> None:
    await each_api.events(named("s1"))

    for parameter, value in WRONG_EVENT_PARAMETERS:
        error = await each_api.error("/v1/sessions/s1/events", 400, params={parameter: value})

        assert error["field"].startswith(parameter)


async def test_a_cursor_beyond_the_log_finds_nothing(each_api: Api) -> None:
    await each_api.events(named("s1"))

    page = await each_api.get("/v1/sessions/s1/events", after=2**63 - 1)

    assert (page["items"], page["more"]) == ([], False)


async def test_a_deleted_session_is_gone_and_leaves_a_tombstone(each_api: Api) -> None:
    api = each_api
    await api.events(named("s1"), named("s2"))

    response = await api.http.delete("/v1/sessions/s1")

    assert response.json() == {"id": "s1", "deleted": True, "seq": 3}
    await api.error("/v1/sessions/s1", 404)
    await api.error("/v1/sessions/s1/events", 404)
    assert await ids(api) == ["s2"]
    await api.error("/v1/sessions/s1", 404, method="DELETE")

    async def rows_removed() -> bool:
        left = [e["type"] for e in (await api.get("/v1/events"))["items"]]
        return left == ["query.started", "session.deleted", "audit.request"]

    await until(rows_removed)


async def test_a_session_that_is_used_again_after_its_end_starts_afresh(each_api: Api) -> None:
    api = each_api
    await api.events(named("s1", query="old"))
    await api.http.delete("/v1/sessions/s1")

    await api.events(named("s1", query="new"))

    view = await api.get("/v1/sessions/s1")
    assert set(view["queries"]) == {"new"}
    assert view["counts"]["events"] == 1
    items = (await api.get("/v1/sessions/s1/events"))["items"]
    assert [event["query"] for event in items] == ["new"]
