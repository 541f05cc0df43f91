"""A real A2A server, of the Python SDK: it pushes its tasks to the broker, and its streams are relayed as they came."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from a2a.helpers import new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_jsonrpc_routes
from a2a.server.tasks import (
    BasePushNotificationSender,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    TaskUpdater,
)
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from pydantic import SecretStr
from starlette.applications import Starlette

from tests.support.a2a import with_a2a
from tests.support.api import Api
from tests.support.waiting import until

Json = dict[str, Any]
ANSWER = ("It is 18 degrees", " and sunny", " and sunny", " in Paris.")
#: States of a task that goes well.
LIFE = ["submitted", "working", "completed"]
TOKEN = "notification-token"


@pytest.fixture(autouse=True)
def _routes(monkeypatch: pytest.MonkeyPatch) -> None:
    with_a2a(monkeypatch)


class Weather(AgentExecutor):
    """Asks which city is meant, answers in pieces, and knows nothing of Atlantis."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Work on one message."""
        if context.current_task is None:
            task = new_task_from_user_message(context.message)
            task.id, task.context_id = context.task_id, context.context_id
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        asked = context.get_user_input()
        if "?" in asked:
            await updater.requires_input(new_text_message("Which city?"))
            return
        await updater.start_work(new_text_message(f"Looking up {asked}."))
        if asked == "Atlantis":
            await updater.failed(new_text_message("no such city"))
            return
        for number, piece in enumerate(ANSWER):
            is_last = number == len(ANSWER) - 1
            await updater.add_artifact([new_text_part(piece)], "answer", append=number > 0, last_chunk=is_last)
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Cancel the task."""
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Agent:
    """The agent, as a client of either protocol version calls it."""

    def __init__(self, http: httpx.AsyncClient, notifications: str) -> None:
        self._http = http
        self._notifications = notifications

    async def send(self, text: str, *, task: Json | None = None, **push: Any) -> Json:
        """Send a message (1.0) with a push configuration; returns the task as it stands at the end."""
        config = {"url": self._notifications, **push}
        params = {"message": _message(text, task), "configuration": {"taskPushNotificationConfig": config}}
        answer = await self._http.post("/rpc", json=_call("SendMessage", params), headers={"A2A-Version": "1.0"})
        found: Json = answer.json()["result"]["task"]
        return found

    async def stream(self, text: str, **push: Any) -> bytes:
        """The stream that answers a message (1.0), as it came."""
        config = {"taskPushNotificationConfig": {"url": self._notifications, **push}} if push else {}
        params = {"message": _message(text), "configuration": config}
        answer = await self._http.post(
            "/rpc", json=_call("SendStreamingMessage", params), headers={"A2A-Version": "1.0"}
        )
        assert answer.headers["content-type"].startswith("text/event-stream")
        return answer.content

    async def stream_of_0_3(self, text: str) -> bytes:
        """The same for a client of 0.3."""
        parts = [{"kind": "text", "text": text}]
        message = {"kind": "message", "messageId": uuid.uuid4().hex, "role": "user", "parts": parts}
        answer = await self._http.post("/rpc", json=_call("message/stream", {"message": message}))
        assert answer.headers["content-type"].startswith("text/event-stream")
        return answer.content


def _call(method: str, params: Json) -> Json:
    return {"jsonrpc": "2.0", "id": uuid.uuid4().hex, "method": method, "params": params}


def _message(text: str, task: Json | None = None) -> Json:
    message: Json = {"messageId": uuid.uuid4().hex, "role": "ROLE_USER", "parts": [{"text": text}]}
    return message if task is None else {**message, "taskId": task["id"], "contextId": task["contextId"]}


@asynccontextmanager
async def serving(notifications: str) -> AsyncIterator[Agent]:
    """The agent on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        card = AgentCard(
            name="weather",
            description="Tells the weather.",
            version="1.0.0",
            supported_interfaces=[AgentInterface(url=f"{url}/rpc", protocol_binding="JSONRPC", protocol_version="1.0")],
            capabilities=AgentCapabilities(streaming=True, push_notifications=True),
            default_input_modes=["text/plain"],
            default_output_modes=["text/plain"],
            skills=[AgentSkill(id="weather", name="Weather", description="The weather in a city.", tags=["weather"])],
        )
        async with httpx.AsyncClient(base_url=url, timeout=30) as http, httpx.AsyncClient(timeout=30) as pusher:
            configs = InMemoryPushNotificationConfigStore()
            handler = DefaultRequestHandler(
                Weather(),
                InMemoryTaskStore(),
                card,
                push_config_store=configs,
                push_sender=BasePushNotificationSender(pusher, configs),
            )
            app = Starlette(routes=create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=True))
            config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=5)
            server = _Server(config)
            running = asyncio.create_task(server.serve(sockets=[listener]))

            async def started() -> bool:
                assert not running.done(), "it ended while it started"
                return server.started

            await until(started)
            try:
                yield Agent(http, notifications)
            finally:
                server.should_exit = True
                await running


@pytest.fixture
async def agent(each_api: Api) -> AsyncIterator[Agent]:
    """The agent, which pushes into query `q1` of session `s1`."""
    url = f"{each_api.http.base_url}/v1/a2a/notifications?session=s1&query=q1&agent=weather"
    async with serving(url) as found:
        yield found


async def query(api: Api) -> Json:
    """The query that the agent pushes into; empty while nothing came."""
    response = await api.http.get("/v1/queries/q1")
    found: Json = response.json() if response.status_code == 200 else {}
    return found


async def reached(api: Api, task: Json, state: str) -> Json:
    """The query, once the task is in that state."""

    async def check() -> Json | None:
        found = await query(api)
        return found if found.get("tasks", {}).get(task["id"], {}).get("state") == state else None

    found = await until(check, what=f"{task['id']} {state}")
    assert found is not None
    return found


async def stored(api: Api) -> list[Json]:
    items: list[Json] = (await api.get("/v1/events", limit=1000))["items"]
    return items


def frames_in(stream: bytes) -> int:
    return stream.count(b"data:")


async def test_a_tasks_life_is_pushed_to_its_query(each_api: Api, agent: Agent) -> None:
    task = await agent.send("Paris")
    found = await reached(each_api, task, "completed")

    events = await stored(each_api)
    assert [event["taskState"] for event in events if event["type"] == "task.updated"] == LIFE
    pieces = [event["body"]["output"] for event in events if event["type"] == "artifact.updated"]
    assert pieces == list(dict.fromkeys(ANSWER)), "a piece that is equal to one before it may be a redelivery"
    assert found["taskIds"] == [task["id"]]
    assert found["agents"] == ["weather"]
    assert found["conversationIds"] == [task["contextId"]]
    assert "Looking up Paris." in [entry.get("message") for entry in found["events"]]


async def test_a_task_that_waits_for_input_goes_on_when_it_is_given(each_api: Api, agent: Agent) -> None:
    task = await agent.send("How warm is it?")
    found = await reached(each_api, task, "input_required")
    assert "Which city?" in [entry.get("message") for entry in found["events"]]

    await agent.send("Paris", task=task)
    found = await reached(each_api, task, "completed")
    assert found["taskIds"] == [task["id"]]


async def test_a_failed_task_says_why(each_api: Api, agent: Agent) -> None:
    task = await agent.send("Atlantis")
    found = await reached(each_api, task, "failed")

    assert "no such city" in [entry.get("error") for entry in found["events"]]
    assert found["phase"] == "running", "the query may go on without the task"


async def test_a_stream_is_relayed_as_it_came(each_api: Api, agent: Agent) -> None:
    stream = await agent.stream("Paris")
    for stored_now, duplicates in ((frames_in(stream), 0), (0, frames_in(stream))):
        answer = await each_api.http.post(
            "/v1/a2a/events?query=q1&session=s1", content=stream, headers={"content-type": "text/event-stream"}
        )
        assert answer.status_code == 200, answer.text
        assert (answer.json()["stored"], answer.json()["duplicates"]) == (stored_now, duplicates)

    events = await stored(each_api)
    states = [event["taskState"] for event in events if event["type"] == "task.updated"]
    assert states == LIFE
    assert tuple(event["body"]["output"] for event in events if event["type"] == "artifact.updated") == ANSWER
    assert [task["state"] for task in (await query(each_api))["tasks"].values()] == ["completed"]


async def test_a_stream_of_0_3_is_relayed_as_it_came(each_api: Api, agent: Agent) -> None:
    stream = await agent.stream_of_0_3("Paris")
    assert b'"kind":"status-update"' in stream.replace(b" ", b"")
    answer = await each_api.http.post(
        "/v1/a2a/events?query=q1&session=s1", content=stream, headers={"content-type": "text/event-stream"}
    )

    assert answer.status_code == 200, answer.text
    assert answer.json()["stored"] == frames_in(stream)
    events = await stored(each_api)
    states = [event["taskState"] for event in events if event["type"] == "task.updated"]
    assert states == LIFE
    assert tuple(event["body"]["output"] for event in events if event["type"] == "artifact.updated") == ANSWER
    assert [task["state"] for task in (await query(each_api))["tasks"].values()] == ["completed"]


async def test_states_that_were_pushed_and_streamed_are_stored_once(each_api: Api, agent: Agent) -> None:
    stream = await agent.stream("Paris", id="push-1")

    async def pushed() -> list[str]:
        return [event["taskState"] for event in await stored(each_api) if event["type"] == "task.updated"]

    async def is_complete() -> bool:
        return await pushed() == LIFE

    await until(is_complete)
    await each_api.http.post("/v1/a2a/events", content=stream, headers={"content-type": "text/event-stream"})
    assert await pushed() == LIFE


@pytest.mark.parametrize(
    "push", [{"token": TOKEN}, {"authentication": {"scheme": "Bearer", "credentials": TOKEN}}], ids=["0.3", "1.0"]
)
async def test_the_configured_token_comes_with_every_notification(each_api: Api, agent: Agent, push: Json) -> None:
    object.__setattr__(each_api.services.settings, "a2a_token", SecretStr(TOKEN))
    task = await agent.send("Paris", **push)

    await reached(each_api, task, "completed")


async def test_notifications_with_another_token_are_not_stored(
    each_api: Api, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    object.__setattr__(each_api.services.settings, "a2a_token", SecretStr(TOKEN))
    await agent.send("Paris", token="another")

    async def refused() -> bool:
        return "401 Unauthorized" in caplog.text

    await until(refused)
    assert await stored(each_api) == []
