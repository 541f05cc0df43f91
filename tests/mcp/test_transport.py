"""`/mcp` on the wire: sessions without state, web pages kept out, limits, tasks, and what it says of itself."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import httpx
import pytest
from jsonschema import Draft202012Validator
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp_types import CallToolResult, Request, RequestParams, Result

from tests.support.api import Api
from tests.support.mcp import HEADERS, call, client, content, give, open_question
from tests.support.waiting import until

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
SESSIONS = call("list_sessions", {})


def message(response: httpx.Response) -> dict[str, Any]:
    """The JSON-RPC message of an answer that is a stream of one."""
    (line,) = [line for line in response.text.splitlines() if line.startswith("data:") and len(line) > len("data: ")]
    found: dict[str, Any] = json.loads(line.removeprefix("data:"))
    return found


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_each_revision_with_sessions_is_spoken(api: Api, version: str) -> None:
    params = INITIALIZE["params"] | {"protocolVersion": version}  # type: ignore[operator]
    response = await api.http.post("/mcp", headers=HEADERS, json=INITIALIZE | {"params": params})
    assert message(response)["result"]["protocolVersion"] == version
    session_id = response.headers["mcp-session-id"]
    headers = HEADERS | {"mcp-session-id": session_id, "mcp-protocol-version": version}
    started = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await api.http.post("/mcp", headers=headers, json=started)).status_code == 202
    assert message(await api.http.post("/mcp", headers=headers, json=SESSIONS))["result"]["content"]
    assert (await api.http.delete("/mcp", headers=headers)).status_code == 204


async def test_every_tool_has_a_valid_schema_and_says_whether_it_only_reads(api: Api, era: str) -> None:
    async with client(str(api.http.base_url), era) as agent:
        tools = {tool.name: tool for tool in (await agent.list_tools()).tools}
    assert set(tools) == {
        "ask_question",
        "get_answer",
        "get_session",
        "list_sessions",
        "search_events",
        "get_conversation",
    }
    for name, tool in tools.items():
        Draft202012Validator.check_schema(tool.input_schema)
        assert tool.input_schema["type"] == "object"
        assert tool.description
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is (name != "ask_question")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://evil.example", 403),
        ("null", 403),
        ("http://localhost.evil.example", 403),
        ("http://192.168.0.1:4318", 403),
        ("http://localhost:5173", 200),
        ("http://127.0.0.1:4318", 200),
        ("http://[::1]:4318", 200),
    ],
)
async def test_web_pages_of_other_hosts_are_kept_out(api: Api, origin: str, status: int) -> None:
    response = await api.http.post("/mcp", headers=HEADERS | {"origin": origin}, json=SESSIONS)
    assert response.status_code == status
    assert "access-control-allow-origin" not in response.headers


async def test_only_post_and_delete_are_served(api: Api) -> None:
    for method in ("GET", "PUT", "OPTIONS", "HEAD"):
        response = await api.http.request(method, "/mcp", headers=HEADERS)
        assert (response.status_code, response.headers["allow"]) == (405, "POST, DELETE")


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"mcp-session-id": "with space"}, SESSIONS, 400),
        ({"mcp-session-id": "x" * 300}, SESSIONS, 400),
        ({}, "not json", 400),
        ({}, [SESSIONS], 400),
        ({"accept": "text/html"}, SESSIONS, 406),
        ({"content-type": "text/plain"}, SESSIONS, 400),
        ({}, call("ask_question", {"text": "x" * 2_000_000}), 413),
        ({"content-encoding": "gzip"}, SESSIONS, 400),
        ({"mcp-protocol-version": "1999-01-01"}, SESSIONS, 400),
    ],
)
async def test_a_bad_request_is_refused(api: Api, headers: dict[str, str], body: Any, status: int) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    response = await api.http.post("/mcp", headers=HEADERS | headers, content=text)
    assert response.status_code == status, response.text
    assert (await api.http.post("/mcp", headers=HEADERS, json=SESSIONS)).status_code == 200


class Task(Result):
    """The handle that a server answers a call with: https://modelcontextprotocol.github.io/ext-tasks/"""

    result_type: Literal["task"] = "task"
    task_id: str
    status: str
    poll_interval_ms: int


class TaskState(Result):
    """What `tasks/get` answers."""

    task_id: str
    status: str
    result: dict[str, Any] | None = None


class TaskParams(RequestParams):
    task_id: str


class Ask(Request[TaskParams, str]):
    """`tasks/get`, `tasks/cancel`."""


class Tasks(ClientExtension):
    """A client that takes tasks, and polls them."""

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.handle: Task | None = None

    async def _resolve(self, task: Task, context: ClaimContext) -> CallToolResult:
        self.handle = task

        async def over() -> dict[str, Any] | None:
            asked = Ask(method="tasks/get", params=TaskParams(task_id=task.task_id))
            found = await context.session.send_request(asked, TaskState)
            self.seen.append(found.status)
            if found.status == "cancelled":
                return {"content": [], "isError": True}
            return found.result

        return CallToolResult.model_validate(await until(over, what="the task to end"))

    def claims(self) -> list[ResultClaim[Task]]:
        return [ResultClaim(result_type="task", model=Task, resolve=self._resolve)]


async def test_a_client_that_takes_tasks_polls_its_question(each_api: Api) -> None:
    tasks = Tasks()
    async with client(str(each_api.http.base_url), "auto", extensions=[tasks]) as agent:
        asked = asyncio.create_task(agent.call_tool("ask_question", {"text": "Deploy?"}))
        question = await open_question(each_api.http)

        async def polled() -> bool:
            return "working" in tasks.seen

        await until(polled)
        await give(each_api.http, "yes")
        found = content(await asked)
    assert (found["answer"], found["question"]) == ("yes", question["id"])
    assert tasks.handle is not None
    assert (tasks.handle.task_id, tasks.handle.status, tasks.seen[-1]) == (question["id"], "working", "completed")


async def test_a_task_that_is_cancelled_calls_its_question_off(api: Api) -> None:
    tasks = Tasks()
    async with client(str(api.http.base_url), "auto", extensions=[tasks]) as agent:
        asked = asyncio.create_task(agent.call_tool("ask_question", {"text": "Deploy?"}))
        question = await open_question(api.http)
        await agent.session.send_request(Ask(method="tasks/cancel", params=TaskParams(task_id=question["id"])), Result)
        assert (await asked).is_error
    assert (await api.get(f"/v1/questions/{question['id']}"))["state"] == "canceled"
