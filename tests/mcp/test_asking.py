"""`ask_question` and `get_answer`: an agent asks by MCP, a person answers by REST, and the query waits meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from mcp_types import CallToolResult

from ark_broker.api.services import Services
from ark_broker.log.writer import Appended
from ark_broker.model import Event
from tests.support.api import Api, StartApi
from tests.support.mcp import HEADERS, call, client, content, give, open_question, refusal
from tests.support.otlp import TRACE
from tests.support.waiting import until

DEPLOY = {"text": "Deploy?", "options": ["yes", "no"]}
QUERY = {"session": "s1", "query": "q1"}
ROOT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{ROOT}-01"


def base(api: Api) -> str:
    return str(api.http.base_url)


async def phase(api: Api) -> str:
    found: str = (await api.get("/v1/queries/q1"))["phase"]
    return found


async def start_query(api: Api, *others: dict[str, Any]) -> None:
    names = {"session.id": "s1", "query.name": "q1"}
    await api.spans({"name": "query.started", "span_id": bytes.fromhex(ROOT), "attributes": names}, *others)


async def test_the_query_waits_until_a_person_answers_by_rest(each_api: Api, era: str) -> None:
    progress: list[tuple[float, float | None, str | None]] = []

    async def report(done: float, total: float | None, message: str | None) -> None:
        progress.append((done, total, message))

    async with client(base(each_api), era) as agent:
        asked = asyncio.create_task(agent.call_tool("ask_question", DEPLOY | QUERY, progress_callback=report))
        question = await open_question(each_api.http)
        assert await phase(each_api) == "waiting"
        await give(each_api.http, "yes")
        found = content(await asked)

    assert (found["state"], found["answer"], found["answeredBy"]) == ("answered", "yes", "ann")
    assert (found["session"], found["query"]) == ("s1", "q1")
    assert await phase(each_api) == "running"
    assert question["source"] == "mcp"
    assert progress[0][1:] == (50.0, f"waiting for an answer: {question['uri']}")


async def test_the_trace_in_meta_finds_the_query_whatever_the_headers_say(api: Api, era: str) -> None:
    await start_query(api)
    other = f"00-{'c' * 32}-{'d' * 16}-01"
    async with client(base(api), era, {"traceparent": other}) as agent:
        content(await agent.call_tool("ask_question", DEPLOY | {"waitSeconds": 0}, meta={"traceparent": TRACEPARENT}))
    question = await open_question(api.http)
    assert (question["session"], question["query"], question["traceId"]) == ("s1", "q1", TRACE)


async def test_the_trace_in_the_headers_finds_the_query(api: Api, era: str) -> None:
    await start_query(api)
    async with client(base(api), era, {"traceparent": TRACEPARENT}) as agent:
        content(await agent.call_tool("ask_question", DEPLOY | {"waitSeconds": 0}))
    question = await open_question(api.http)
    assert (question["session"], question["query"]) == ("s1", "q1")


@pytest.mark.parametrize("link_first", [True, False])
async def test_the_mcp_session_finds_the_query(each_api: Api, link_first: bool) -> None:
    """The prototype's problem: the executor's span alone says which query uses the session."""

    async def link(session_id: str) -> None:
        names = {"tool.name": "ask_question", "mcp.session.id": session_id}
        parent = bytes.fromhex(ROOT)
        await start_query(each_api, {"name": "tool.call", "parent_span_id": parent, "attributes": names})

    opened = await each_api.http.post("/mcp", headers=HEADERS, json=INITIALIZE)
    session_id = opened.headers["mcp-session-id"]
    if link_first:
        await link(session_id)
    response = await each_api.http.post(
        "/mcp",
        headers=HEADERS | {"mcp-session-id": session_id},
        json=call("ask_question", DEPLOY | {"waitSeconds": 0}),
    )
    assert response.status_code == 200, response.text
    if not link_first:
        await link(session_id)
    question = await open_question(each_api.http)
    assert (question["session"], question["query"]) == ("s1", "q1")
    view = await each_api.get("/v1/sessions/s1")
    assert view["queries"]["q1"]["mcpSessions"]["ark-broker"] == session_id
    assert await phase(each_api) == "waiting"


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


async def test_without_an_answer_in_time_the_question_stays_and_get_answer_takes_it_up(api: Api, era: str) -> None:
    async with client(base(api), era) as agent:
        pending = content(await agent.call_tool("ask_question", DEPLOY | QUERY | {"waitSeconds": 0.05}))
        assert pending["state"] == "open"
        assert "get_answer" in pending["next"]

        waiting = asyncio.create_task(agent.call_tool("get_answer", {"question": pending["uri"]}))
        await give(api.http, "no")
        found = content(await waiting)
        again = content(await agent.call_tool("get_answer", {"question": pending["question"]}))
    assert (found["state"], found["answer"]) == ("answered", "no")
    assert again == found


async def test_a_cancelled_call_calls_its_question_off(each_api: Api, era: str) -> None:
    async with client(base(each_api), era) as agent:
        asked = asyncio.create_task(agent.call_tool("ask_question", DEPLOY | QUERY))
        question = await open_question(each_api.http)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

        async def is_canceled() -> bool:
            return bool((await each_api.get(f"/v1/questions/{question['id']}"))["state"] == "canceled")

        await until(is_canceled, what="the question to be called off")
    assert await phase(each_api) == "running"


async def test_a_call_that_is_cancelled_before_its_question_is_stored_leaves_none_open(
    each_api: Api, era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, go_on = asyncio.Event(), asyncio.Event()
    append = Services.append

    async def held_up(self: Services, signal: str, events: Sequence[Event], **options: Any) -> Appended:
        if signal == "questions":
            asking.set()
            await go_on.wait()
        return await append(self, signal, events, **options)

    monkeypatch.setattr(Services, "append", held_up)

    async def states() -> list[str]:
        return [found["state"] for found in (await each_api.get("/v1/questions"))["items"]]

    async with client(base(each_api), era) as agent:
        asked = asyncio.create_task(agent.call_tool("ask_question", DEPLOY | QUERY))
        await asking.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        go_on.set()

        async def is_canceled() -> bool:
            return await states() == ["canceled"]

        await until(is_canceled, what="the question to be called off")


@pytest.mark.parametrize("here", [True, False], ids=["same-replica", "another-replica"])
async def test_a_cancellation_finds_the_question_on_any_replica(start_api: StartApi, here: bool) -> None:
    async with start_api() as one, start_api() as other:
        headers = HEADERS | {"mcp-session-id": "abc", "mcp-protocol-version": "2025-11-25"}
        asked = asyncio.create_task(
            one.http.post("/mcp", headers=headers, json=call("ask_question", DEPLOY | QUERY, 7))
        )
        question = await open_question(one.http)
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        response = await (one if here else other).http.post("/mcp", headers=headers, json=cancel)
        assert response.status_code == 202
        answer = await asked
        assert (await one.get(f"/v1/questions/{question['id']}"))["state"] == "canceled"
        assert '"isError":true' in answer.text


async def test_a_client_that_runs_out_of_time_leaves_its_question_open(api: Api) -> None:
    headers = HEADERS | {"mcp-session-id": "abc", "mcp-protocol-version": "2025-11-25"}
    asked = asyncio.create_task(api.http.post("/mcp", headers=headers, json=call("ask_question", DEPLOY | QUERY, 7)))
    question = await open_question(api.http)
    cancel = {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": 7, "reason": "McpError: MCP error -32001: Request timed out"},
    }
    assert (await api.http.post("/mcp", headers=headers, json=cancel)).status_code == 202
    assert (await api.get(f"/v1/questions/{question['id']}"))["state"] == "open"
    await give(api.http, "yes")
    assert (await asked).status_code == 200


async def test_a_request_that_is_sent_again_asks_once(each_api: Api) -> None:
    headers = HEADERS | {"mcp-session-id": "abc", "mcp-protocol-version": "2025-06-18"}
    for _ in range(3):
        request = call("ask_question", DEPLOY | {"waitSeconds": 0})
        assert (await each_api.http.post("/mcp", headers=headers, json=request)).status_code == 200
    await give(each_api.http, "yes")
    # Once it is over, the same number is another request: nobody is to get an old answer to a new question.
    await each_api.http.post("/mcp", headers=headers, json=call("ask_question", DEPLOY | {"waitSeconds": 0}))
    await each_api.http.post(
        "/mcp", headers=headers, json=call("ask_question", {"text": "Another?", "waitSeconds": 0}, 1)
    )
    questions = (await each_api.get("/v1/questions"))["items"]
    assert [(each["text"], each["state"]) for each in questions] == [
        ("Another?", "open"),
        ("Deploy?", "open"),
        ("Deploy?", "answered"),
    ]


async def test_a_secret_answer_goes_to_the_caller_and_nowhere_else(api: Api, era: str) -> None:
    async with client(base(api), era) as agent:
        asked = asyncio.create_task(agent.call_tool("ask_question", {"text": "Password?", "secret": True} | QUERY))
        question = await open_question(api.http)
        await api.followed()
        await give(api.http, "hunter2")
        assert content(await asked)["answer"] == "hunter2"
        later = content(await agent.call_tool("get_answer", {"question": question["id"]}))
    assert later["answer"] is None
    assert "hunter2" not in (await api.http.get("/v1/events")).text


async def test_a_deadline_that_passes_is_an_error_or_the_default_answer(start_api: StartApi, era: str) -> None:
    async with start_api() as api, client(base(api), era) as agent:
        soon = QUERY | {"timeoutSeconds": 0.1}
        default = soon | {"onDeadline": "default", "default": "no"}
        expired, answered = await asyncio.gather(
            agent.call_tool("ask_question", DEPLOY | soon), agent.call_tool("ask_question", DEPLOY | default)
        )
    assert isinstance(expired, CallToolResult)
    assert (expired.is_error, expired.structured_content["state"]) == (True, "expired")
    found = content(answered)
    assert (found["answer"], found["answeredBy"]) == ("no", "deadline")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": "?", "colour": 1}, "colour"),
        ({"text": "?", "options": []}, "options"),
        ({"text": "?", "schema": {"type": 7}}, "schema"),
        ({"text": "?", "waitSeconds": -1}, "waitSeconds"),
        ({"text": "?", "waitSeconds": 1e9}, "waitSeconds"),
        ({"text": "?", "timeoutSeconds": 0}, "timeoutSeconds"),
        ({"text": "?", "session": "a\x00b"}, "session"),
        ({"text": "?", "onDeadline": "default", "timeoutSeconds": 5, "default": 1, "options": ["yes"]}, "default"),
    ],
)
async def test_what_cannot_be_asked_names_the_field(api: Api, arguments: dict[str, Any], field: str) -> None:
    async with client(base(api), "auto") as agent:
        assert field in refusal(await agent.call_tool("ask_question", arguments))
        assert "no question" in refusal(await agent.call_tool("get_answer", {"question": "nobody"}))
    assert (await api.get("/v1/questions"))["items"] == []


async def test_an_answer_that_does_not_fit_is_refused_and_the_agent_waits_on(api: Api) -> None:
    schema = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}
    async with client(base(api), "auto") as agent:
        asked = asyncio.create_task(agent.call_tool("ask_question", {"text": "Size?", "schema": schema}))
        question = await open_question(api.http)
        refused = await api.http.post(f"/v1/questions/{question['id']}/answer", json={"answer": {"size": "big"}})
        assert refused.status_code == 400
        await give(api.http, {"size": 3})
        assert content(await asked)["answer"] == {"size": 3}
