"""`/v1/events`: custom events in every form they may have, and the whole log out again."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import httpx

from tests.support.api import Api
from tests.support.events import NOON
from tests.support.otlp import TRACE

EVENT = {"type": "approval.granted", "sessionId": "s1", "query": "q1", "approvedBy": "ops"}
CLOUD = {
    "specversion": "1.0",
    "id": "17",
    "source": "/approvals",
    "type": "approval.granted",
    "time": "2024-01-15T10:30:00.123456789Z",
    "sessionid": "s1",
    "data": {"query": "q1", "approvedBy": "ops"},
}


async def post(api: Api, content: object, content_type: str | None = None, **headers: str) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type is not None:
        given["content-type"] = content_type
    return await api.http.post("/v1/events", content=body, headers=given)


async def stored(api: Api) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get("/v1/events", limit=1000))["items"]
    return items


async def test_one_object(api: Api) -> None:
    response = await post(api, EVENT, "application/json; charset=utf-8")

    assert response.status_code == 200
    assert response.json() == {"stored": 1, "duplicates": 0, "head": 1}
    [event] = await stored(api)
    assert (event["kind"], event["type"]) == ("event", "approval.granted")
    assert (event["sessionId"], event["query"]) == ("s1", "q1")
    assert event["body"] == EVENT
    assert event["time"] == event["recordedAt"], "without a time of its own it happened when it was stored"


async def test_every_field_of_the_vocabulary_is_taken(each_api: Api) -> None:
    given = {
        "type": "step",
        "kind": "task",
        "time": "2024-01-15T11:30:00.5+01:00",
        "durationMs": 1.5,
        "session_id": "s1",
        "namespace": "team",
        "query": "q1",
        "queryUid": "u1",
        "conversationId": "c1",
        "agent": "a1",
        "model": "m1",
        "traceId": TRACE.upper(),
        "spanId": "00f067aa0ba902b7",
        "parentSpanId": "00f067aa0ba902b8",
        "tool": "t1",
        "toolCallId": "tc1",
        "mcpServer": "ms1",
        "mcpSessionId": "mcp1",
        "taskId": "task1",
        "questionId": "qu1",
        "streamId": "st1",
        "status": "error",
        "error": {"code": 7},
        "inputTokens": 3,
        "outputTokens": 4,
        "cost": 0.5,
    }
    assert (await post(each_api, given)).status_code == 200

    [event] = await stored(each_api)

    same = set(given) - {"time", "durationMs", "session_id", "traceId", "error"}
    assert {name: event[name] for name in same} == {name: given[name] for name in same}
    assert event["time"] == "2024-01-15T10:30:00.500Z"
    assert event["duration"] == 1.5
    assert event["sessionId"] == "s1"
    assert event["traceId"] == TRACE
    assert event["error"] == '{"code":7}'


async def test_an_array_and_lines_keep_their_order(api: Api) -> None:
    events = [{"type": f"e{n}"} for n in range(3)]
    assert (await post(api, events)).json()["stored"] == 3
    lines = b'{"type":"e3"}\r\n\n  {"type":"e4"}'
    assert (await post(api, lines, "application/x-ndjson")).json()["stored"] == 2

    assert [event["type"] for event in await stored(api)] == ["e0", "e1", "e2", "e3", "e4"]
    assert (await post(api, [])).json() == {"stored": 0, "duplicates": 0, "head": 5}


async def test_cloud_events_in_all_three_modes(api: Api) -> None:
    structured = await post(api, CLOUD, "application/cloudevents+json; charset=utf-8")
    batch = await post(api, [CLOUD | {"id": "18"}], "application/cloudevents-batch+json")
    binary = await post(
        api,
        CLOUD["data"],
        "application/json",
        ce_specversion="1.0",
        ce_id="19",
        ce_source="/approvals",
        ce_type="approval.granted",
        ce_time=str(CLOUD["time"]),
        ce_sessionid="s1",
    )

    assert [r.json()["stored"] for r in (structured, batch, binary)] == [1, 1, 1]
    first, second, third = await stored(api)
    assert first["time"] == "2024-01-15T10:30:00.123456789Z"
    for event in (first, second, third):
        assert (event["sessionId"], event["query"], event["type"]) == ("s1", "q1", "approval.granted")
        assert event["body"]["data"] == CLOUD["data"]
    assert first["body"] == CLOUD


async def test_a_redelivery_is_stored_once(each_api: Api) -> None:
    for body, content_type in (
        (CLOUD, "application/cloudevents+json"),
        (EVENT | {"id": "a-17"}, "application/json"),
    ):
        assert (await post(each_api, body, content_type)).json()["stored"] == 1
        again = (await post(each_api, body, content_type)).json()
        assert (again["stored"], again["duplicates"]) == (0, 1)
    twice = await post(each_api, [EVENT | {"id": "b"}, EVENT | {"id": "b"}, EVENT | {"id": "b", "source": "other"}])
    assert (twice.json()["stored"], twice.json()["duplicates"]) == (2, 1)
    assert len(await stored(each_api)) == 4


async def test_the_head_in_the_answer_is_where_the_events_can_be_read(api: Api) -> None:
    async def one(number: int) -> None:
        response = await post(api, EVENT | {"id": str(number)})
        assert str(number) in [e["body"]["id"] for e in await stored(api) if e["seq"] <= response.json()["head"]]

    await asyncio.gather(*(one(number) for number in range(20)))


async def test_compressed_events(api: Api) -> None:
    response = await post(api, gzip.compress(json.dumps(EVENT).encode()), "application/json", content_encoding="gzip")

    assert response.json()["stored"] == 1


async def test_what_is_wrong_is_named_and_nothing_is_stored(api: Api) -> None:
    good = {"type": "x"}
    wrong: list[tuple[object, str]] = [
        ({}, "type"),
        ({"type": ""}, "type"),
        ({"type": 7}, "type"),
        ({"type": "x" * 257}, "type"),
        ({"type": "session.deleted"}, "type"),
        (b"", "body"),
        (b"{", "body"),
        (b"7", "body"),
        (b'"text"', "body"),
        (b'{"type":"x"} {"type":"y"}', "body"),
        (good | {"kind": "span"}, "kind"),
        (good | {"kind": "chunk"}, "kind"),
        (good | {"sessionId": "x" * 10_000}, "sessionId"),
        (good | {"sessionId": ["s"]}, "sessionId"),
        (good | {"id": {}}, "id"),
        (good | {"time": "noon"}, "time"),
        (good | {"time": "2024-02-30T00:00:00Z"}, "time"),
        (good | {"time": True}, "time"),
        (good | {"time": -1}, "time"),
        (good | {"traceId": "xyz"}, "traceId"),
        (good | {"traceId": "0" * 32}, "traceId"),
        (good | {"spanId": 7}, "spanId"),
        (good | {"inputTokens": -1}, "inputTokens"),
        (good | {"inputTokens": 1e9}, "inputTokens"),
        (good | {"duration": 2**63}, "duration"),
        (good | {"cost": "cheap"}, "cost"),
        (good | {"attributes": []}, "attributes"),
        ([good, {"type": 7}], "[1].type"),
        ([good, 7], "[1]"),
    ]
    for body, field in wrong:
        response = await post(api, body)
        assert response.status_code == 400, body
        error = response.json()["error"]
        assert (error["code"], error["requestId"]) == ("VALIDATION_ERROR", response.headers["x-request-id"])
        assert error["field"].startswith(field), (body, error)
    assert await stored(api) == []


async def test_wrong_lines_and_cloud_events_are_named(api: Api) -> None:
    response = await post(api, b'{"type":"x"}\n{"type":7}\n', "application/x-ndjson")
    assert (response.status_code, response.json()["error"]["field"]) == (400, "line 2")
    for change, field in (({"specversion": "0.3"}, "specversion"), ({"id": None}, "id"), ({"source": ""}, "source")):
        response = await post(api, CLOUD | change, "application/cloudevents+json")
        assert (response.status_code, response.json()["error"]["field"]) == (400, field)
    response = await post(api, [CLOUD, 7], "application/cloudevents-batch+json")
    assert (response.status_code, response.json()["error"]["field"][:3]) == (400, "[1]")
    assert (await post(api, CLOUD, "application/cloudevents-batch+json")).status_code == 400
    assert await stored(api) == []


async def test_other_statuses(start_api: Any) -> None:
    async with start_api(max_body_bytes="1KiB") as api:
        assert (await post(api, EVENT, "text/plain")).status_code == 415
        assert (await post(api, EVENT, "application/json", content_encoding="compress")).status_code == 415
        assert (await post(api, b" " * 2000, "application/json")).status_code == 413
        bomb = gzip.compress(b" " * 2000)
        assert (await post(api, bomb, "application/json", content_encoding="gzip")).status_code == 413
        assert (await api.error("/v1/events", 405, method="PUT"))["code"] == "METHOD_NOT_ALLOWED"
        assert (await api.error("/v1/event", 404))["code"] == "NOT_FOUND"


async def test_the_log_comes_in_pages(each_api: Api) -> None:
    await each_api.events(*({"type": "even" if n % 2 == 0 else "odd", "time": NOON - n} for n in range(6)))

    first = await each_api.get("/v1/events", limit=4)
    assert [e["seq"] for e in first["items"]] == [1, 2, 3, 4]
    assert (first["next"], first["more"], first["seq"]) == (4, True, 6)
    rest = await each_api.get("/v1/events", after=4)
    assert ([e["seq"] for e in rest["items"]], rest["more"]) == ([5, 6], False)
    odd = await each_api.get("/v1/events", type="odd", after=2)
    assert [e["seq"] for e in odd["items"]] == [4, 6]
    for parameter, value in [("after", "-1"), ("after", "1.5"), ("after", "9" * 40), ("limit", "0"), ("type", "\0")]:
        error = await each_api.error("/v1/events", 400, params={parameter: value})
        assert error["field"].startswith(parameter)
