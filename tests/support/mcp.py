"""Clients of the broker's MCP server: the official SDK's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from tests.support.waiting import until

HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


@asynccontextmanager
async def client(url: str, era: str, headers: dict[str, str] | None = None, **options: Any) -> AsyncIterator[Client]:
    """A client of `url`/mcp; `headers` go with every request."""
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"{str(url).rstrip('/')}/mcp", http_client=http), mode=era, **options) as found,
    ):
        yield found


def content(result: CallToolResult) -> dict[str, Any]:
    """What the tool returned; fails where it refused."""
    assert not result.is_error, result.content
    found: dict[str, Any] = result.structured_content
    return found


def refusal(result: CallToolResult) -> str:
    """Why the tool refused; fails where it did not."""
    assert result.is_error, result
    (part,) = result.content
    return part.text


async def open_question(http: httpx.AsyncClient) -> dict[str, Any]:
    """The one question that waits, once there is one."""

    async def found() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await http.get("/v1/questions", params={"state": "open"})).json()["items"]
        return items

    (question,) = await until(found, what="a question to be asked")
    return question


async def give(http: httpx.AsyncClient, answer: object) -> dict[str, Any]:
    """Answer the question that waits, as a person does."""
    question = await open_question(http)
    response = await http.post(f"/v1/questions/{question['id']}/answer", json={"answer": answer, "answeredBy": "ann"})
    assert response.status_code == 200, response.text
    return question


def call(tool: str, arguments: dict[str, Any], number: int = 1, **meta: Any) -> dict[str, Any]:
    """The JSON-RPC request of a tool call, for tests that send it themselves."""
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    return {
        "jsonrpc": "2.0",
        "id": number,
        "method": "tools/call",
        "params": params | ({"_meta": meta} if meta else {}),
    }
