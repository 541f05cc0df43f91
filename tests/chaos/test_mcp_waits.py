"""Questions asked by MCP outlive the broker that took them, and are answered on whichever replica."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.mcp import client, content, give, open_question
from tests.support.process import StartBroker
from tests.support.waiting import until

DEPLOY = {"text": "Deploy?", "options": ["yes", "no"], "session": "s1", "query": "q1"}


async def ask(url: str, era: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    async with client(url, era) as agent:
        return content(await agent.call_tool(tool, arguments))


async def phase(http: httpx.AsyncClient) -> str:
    found: str = (await http.get("/v1/queries/q1")).json()["phase"]
    return found


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_broker_that_is_killed_while_an_agent_waits_still_has_the_question(
    start_broker: StartBroker, database_url: str, era: str
) -> None:
    broker = start_broker(database_url)
    async with httpx.AsyncClient(base_url=broker.url) as http:
        asked = asyncio.create_task(ask(broker.url, era, "ask_question", DEPLOY))
        question = await open_question(http)
        await asyncio.to_thread(broker.kill)
        with pytest.raises(BaseException):  # noqa: B017, PT011 - the SDK's groups of whatever broke
            await asked
        await asyncio.to_thread(broker.start)

        assert await phase(http) == "waiting"
        again = asyncio.create_task(ask(broker.url, era, "get_answer", {"question": question["id"]}))
        await give(http, "yes")
        assert (await again)["answer"] == "yes"
        assert await phase(http) == "running"


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_asked_on_one_replica_answered_on_the_other(
    start_broker: StartBroker, postgres_url: str, era: str
) -> None:
    one, other = start_broker(postgres_url), start_broker(postgres_url)
    async with httpx.AsyncClient(base_url=other.url) as http:
        asked = asyncio.create_task(ask(one.url, era, "ask_question", DEPLOY))
        question = await give(http, "no")
        assert (await asked)["answer"] == "no"
        assert (await ask(other.url, era, "get_answer", {"question": question["id"]}))["answer"] == "no"


async def test_a_broker_that_is_told_to_stop_hands_out_the_open_question(
    start_broker: StartBroker, sqlite_url: str
) -> None:
    broker = start_broker(sqlite_url)
    async with httpx.AsyncClient(base_url=broker.url) as http:
        asked = asyncio.create_task(ask(broker.url, "auto", "ask_question", DEPLOY))
        question = await open_question(http)
        assert await asyncio.to_thread(broker.terminate) == 0
        found = await asked
        assert (found["state"], found["question"]) == ("open", question["id"])
        await asyncio.to_thread(broker.start)

        async def is_open() -> bool:
            return bool((await http.get(f"/v1/questions/{question['id']}")).json()["state"] == "open")

        await until(is_open)
