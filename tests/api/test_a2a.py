"""`/v1/a2a`: notifications of tasks and frames of streams, stored once, and shown where they belong."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.support.a2a import with_a2a
from tests.support.api import Api, StartApi
from tests.support.otlp import TRACE

Json = dict[str, Any]
NOTIFICATIONS = "/v1/a2a/notifications"
EVENTS = "/v1/a2a/events"
IDS = {"taskId": "t1", "contextId": "c1"}
TOKEN = "s3cret-é"


@pytest.fixture(autouse=True)
def _routes(monkeypatch: pytest.MonkeyPatch) -> None:
    with_a2a(monkeypatch)


def update(state: str, second: int = 0, **more: Any) -> Json:
    return {
        "statusUpdate": {**IDS, "status": {"state": state, "timestamp": f"2024-01-15T10:30:{second:02}.000Z"}, **more}
    }


def states(tasks: dict[str, Json]) -> dict[str, str]:
    return {task: found["state"] for task, found in tasks.items()}


WORKING = update("TASK_STATE_WORKING")
ARTIFACT = {"artifactUpdate": {**IDS, "artifact": {"artifactId": "a1", "parts": [{"text": "18 degrees"}]}}}
DONE = update("TASK_STATE_COMPLETED", 5)
OLD_TASK = {
    "kind": "task",
    "id": "t1",
    "contextId": "c1",
    "status": {"state": "input-required", "timestamp": "2024-01-15T10:30:00"},
}


async def post(
    api: Api, path: str, content: object, media: str | None = "application/json", **sent: Any
) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = sent.pop("headers", {}) | ({} if media is None else {"content-type": media})
    return await api.http.post(path, content=body, headers=headers, params=sent)


async def stored(api: Api) -> list[Json]:
    items: list[Json] = (await api.get("/v1/events", limit=1000))["items"]
    return items


@pytest.mark.parametrize("media", ["application/json", "application/a2a+json; charset=utf-8", None])
async def test_a_notification_is_stored_once_however_often_it_is_delivered(each_api: Api, media: str | None) -> None:
    first = await post(each_api, NOTIFICATIONS, OLD_TASK, media)
    again = await post(each_api, NOTIFICATIONS, OLD_TASK, media)

    assert (first.status_code, first.json()) == (200, {"stored": 1, "duplicates": 0, "head": 1})
    assert (again.status_code, again.json()) == (200, {"stored": 0, "duplicates": 1, "head": 1})
    [event] = await stored(each_api)
    assert (event["kind"], event["type"], event["time"]) == ("task", "task.updated", "2024-01-15T10:30:00Z")
    assert (event["taskId"], event["taskState"], event["conversationId"]) == ("t1", "input_required", "c1")
    assert event["body"] == OLD_TASK


async def test_what_was_pushed_and_streamed_is_stored_once(api: Api) -> None:
    await post(api, NOTIFICATIONS, WORKING)
    answer = await post(api, EVENTS, [{"jsonrpc": "2.0", "id": 1, "result": WORKING}, DONE])

    assert answer.json() == {"stored": 1, "duplicates": 1, "head": 2}


async def test_the_tasks_of_a_query_are_in_its_views(each_api: Api) -> None:
    said = {"role": "ROLE_AGENT", "parts": [{"text": "no such city"}]}
    failed = {
        "statusUpdate": {
            "taskId": "t2",
            "contextId": "c1",
            "status": {"state": "TASK_STATE_FAILED", "message": said, "timestamp": "2024-01-15T10:30:09Z"},
        }
    }
    answer = await post(each_api, EVENTS, [WORKING, ARTIFACT, DONE, failed], session="s1", query="q1", agent="weather")
    assert answer.status_code == 200, answer.text

    query = await each_api.get("/v1/queries/q1")
    view = (await each_api.get("/v1/sessions/s1"))["queries"]["q1"]
    for found in (query, view):
        assert states(found["tasks"]) == {"t1": "completed", "t2": "failed"}
        assert found["tasks"]["t2"] == {"state": "failed", "agent": "weather", "updated": "2024-01-15T10:30:09Z"}
        assert found["taskIds"] == ["t1", "t2"]
        assert (found["phase"], found["agents"], found["conversationIds"]) == ("running", ["weather"], ["c1"])
        entries = [(entry["type"], entry.get("taskState"), entry.get("output")) for entry in found["events"]]
        assert entries == [
            ("task.updated", "working", None),
            ("artifact.updated", None, "18 degrees"),
            ("task.updated", "completed", None),
            ("task.updated", "failed", None),
        ]
        assert (found["events"][3]["status"], found["events"][3]["error"]) == ("error", "no such city")


async def test_a_notification_joins_the_session_that_its_task_is_known_in(each_api: Api) -> None:
    await post(each_api, EVENTS, WORKING, session="s1", query="q1")
    await post(each_api, NOTIFICATIONS, DONE)

    [_, event] = await stored(each_api)
    assert (event["sessionId"], event["query"], event["correlatedBy"]) == ("s1", "q1", "task")
    assert states((await each_api.get("/v1/queries/q1"))["tasks"]) == {"t1": "completed"}


async def test_a_context_stands_for_a_session_until_somebody_names_one(api: Api) -> None:
    await post(api, NOTIFICATIONS, WORKING)
    [guessed] = await stored(api)
    assert (guessed["sessionId"], guessed["correlatedBy"]) == ("c1", "conversation")

    await post(
        api, NOTIFICATIONS, update("TASK_STATE_COMPLETED", 5, metadata={"ark.session.id": "s1", "ark.query.name": "q1"})
    )
    view = await api.get("/v1/sessions/s1")
    assert states(view["queries"]["q1"]["tasks"]) == {"t1": "completed"}
    assert {event["sessionId"] for event in await stored(api) if event["kind"] == "task"} == {"s1"}


async def test_parameters_of_the_url_say_where_a_notification_belongs(api: Api) -> None:
    await post(api, NOTIFICATIONS, WORKING, session="s1", query="q1", namespace="team", agent="weather")

    [event] = await stored(api)
    assert (event["sessionId"], event["query"], event["namespace"], event["agent"]) == ("s1", "q1", "team", "weather")
    assert event["correlatedBy"] == "explicit"


async def test_trace_context_of_the_request_fills_what_is_not_said(api: Api) -> None:
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "baggage": "ark.session.id=s1"}
    await post(api, NOTIFICATIONS, WORKING, headers=headers)

    [event] = await stored(api)
    assert (event["traceId"], event["parentSpanId"]) == (TRACE, "00f067aa0ba902b7")
    assert (event["sessionId"], event["correlatedBy"]) == ("s1", "baggage")


async def test_messages_are_in_the_conversation_and_in_arks_list(each_api: Api) -> None:
    asked = {
        "message": {"messageId": "m1", "contextId": "c1", "role": "ROLE_USER", "parts": [{"text": "How warm is it?"}]}
    }
    said = {
        "kind": "message",
        "messageId": "m2",
        "contextId": "c1",
        "role": "agent",
        "parts": [{"kind": "text", "text": "18"}],
    }
    for _ in range(2):
        answer = await post(each_api, EVENTS, [asked, said], session="s1", query="q1")
        assert answer.status_code == 200, answer.text

    expected = [{"role": "user", "content": "How warm is it?"}, {"role": "assistant", "content": "18"}]
    found = await each_api.get("/v1/sessions/s1/conversation")
    assert found["conversations"] == [{"id": "c1", "queries": ["q1"], "messages": expected}]
    listed = (await each_api.get("/messages", query_id="q1"))["items"]
    assert [item["message"] for item in listed] == expected
    assert {item["conversation_id"] for item in listed} == {"c1"}


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("application/x-ndjson", b"%s\n%s\n"),
        ("text/event-stream", b"data: %s\n\ndata: %s\n\n"),
        ("application/a2a+json", b"[%s,%s]"),
    ],
)
async def test_a_stream_is_relayed_in_any_form(api: Api, media: str, body: bytes) -> None:
    frames = tuple(json.dumps(frame).encode() for frame in (WORKING, DONE))
    answer = await post(api, EVENTS, body % frames, media)

    assert answer.json() == {"stored": 2, "duplicates": 0, "head": 2}
    assert [event["taskState"] for event in await stored(api)] == ["working", "completed"]


async def test_states_without_a_time_end_as_they_were_sent(each_api: Api) -> None:
    frames = [{"task": {"id": "t1", "status": {"state": state}}} for state in ("submitted", "working", "completed")]
    await post(each_api, EVENTS, frames, session="s1", query="q1")

    assert states((await each_api.get("/v1/queries/q1"))["tasks"]) == {"t1": "completed"}


@pytest.mark.parametrize("path", [NOTIFICATIONS, EVENTS])
async def test_a_wrong_frame_is_refused_with_its_place(api: Api, path: str) -> None:
    wrong = {"statusUpdate": {"taskId": "", "status": {}}}
    error = await api.error(path, 400, "POST", json=wrong)
    assert (error["code"], error["field"]) == ("VALIDATION_ERROR", "statusUpdate.taskId")
    error = await api.error(path, 400, "POST", json={"kind": "task", "id": "x" * 257})
    assert (error["field"], error["message"]) == ("id", "id: must have at most 256 characters")
    error = await api.error(path, 400, "POST", content=b"{", headers={"content-type": "application/json"})
    assert error["field"] == "body"
    error = await api.error(path, 400, "POST", json=WORKING, params={"session": "x" * 257})
    assert error["field"] == "session"
    assert await stored(api) == []


async def test_nothing_of_a_request_with_a_wrong_frame_is_stored(api: Api) -> None:
    error = await api.error(EVENTS, 400, "POST", json=[WORKING, {"kind": "task"}])

    assert error["field"] == "[1].id"
    assert await stored(api) == []


async def test_other_media_types_are_415(api: Api) -> None:
    for path, media in ((NOTIFICATIONS, "application/x-ndjson"), (NOTIFICATIONS, "text/plain"), (EVENTS, "text/plain")):
        error = await api.error(path, 415, "POST", content=json.dumps(WORKING), headers={"content-type": media})
        assert error["code"] == "UNSUPPORTED_MEDIA_TYPE"


@pytest.mark.parametrize("path", [NOTIFICATIONS, EVENTS])
async def test_a_body_has_a_size_limit(start_api: StartApi, path: str) -> None:
    async with start_api(max_body_bytes=2_000) as api:
        large = update("TASK_STATE_WORKING", metadata={"filler": "x" * 2_000})
        assert (await api.error(path, 413, "POST", json=large))["code"] == "PAYLOAD_TOO_LARGE"
        assert (await post(api, path, WORKING)).status_code == 200


def expect_token(api: Api, token: str) -> None:
    object.__setattr__(api.services.settings, "a2a_token", SecretStr(token))


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A2A-Notification-Token": TOKEN},
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"bearer  {TOKEN}"},
        {"Authorization": "Basic eDp5", "X-A2A-Notification-Token": TOKEN},
    ],
)
async def test_a_notification_with_the_token_is_taken(api: Api, headers: dict[str, str]) -> None:
    expect_token(api, TOKEN)
    answer = await post(api, NOTIFICATIONS, WORKING, headers={name: value.encode() for name, value in headers.items()})

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-A2A-Notification-Token": ""},
        {"X-A2A-Notification-Token": TOKEN[:-1]},
        {"X-A2A-Notification-Token": TOKEN + "x"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer"},
    ],
)
async def test_a_notification_without_the_token_is_401(api: Api, headers: dict[str, str]) -> None:
    expect_token(api, TOKEN)
    encoded = {name: value.encode() for name, value in headers.items()}
    error = await api.error(NOTIFICATIONS, 401, "POST", json=WORKING, headers=encoded)

    assert error["code"] == "UNAUTHORIZED"
    assert TOKEN not in error["message"]
    assert await stored(api) == []


async def test_relayed_streams_need_no_token(api: Api) -> None:
    expect_token(api, TOKEN)

    assert (await post(api, EVENTS, WORKING)).status_code == 200


async def test_both_routes_are_described_with_examples(api: Api) -> None:
    paths = (await api.get("/openapi.json"))["paths"]

    for path in (NOTIFICATIONS, EVENTS):
        operation = paths[path]["post"]
        assert operation["summary"]
        assert operation["tags"] == ["a2a"]
        assert {parameter["name"] for parameter in operation["parameters"]} == {
            "session",
            "query",
            "namespace",
            "agent",
        }
        assert "example" in operation["requestBody"]["content"]["application/json"]
        assert "example" in operation["responses"]["200"]["content"]["application/json"]
        for content in operation["requestBody"]["content"].values():
            if "example" in content:
                assert (await post(api, EVENTS, content["example"])).status_code == 200
