"""The main job on real input: an SDK and a chunk producer on one side, live readers on the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx

from tests.support.load import producing
from tests.support.process import Broker
from tests.support.sdk import tracer_provider
from tests.support.streams import StreamReader, following


def chunk(**choice: object) -> str:
    return json.dumps({"id": "c1", "object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]})


def ask(url: str) -> None:
    """An instrumented program answers a query with one tool call."""
    with tracer_provider(url) as provider:
        tracer = provider.get_tracer("agent")
        attributes = {"session.id": "session-abc", "query.name": "query-001"}
        with tracer.start_as_current_span("query.started", attributes=attributes):
            with tracer.start_as_current_span("chat gpt-4o", attributes={"gen_ai.operation.name": "chat"}):
                pass
            tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "web_search"}
            with tracer.start_as_current_span("execute_tool web_search", attributes=tool):
                pass


async def test_a_session_is_seen_live_from_the_first_span_to_the_last_chunk(broker: Broker) -> None:
    session_url = f"{broker.url}/v1/sessions/session-abc"
    query_url = f"{broker.url}/v1/queries/query-001"
    async with (
        following(f"{session_url}/stream") as session,
        following(f"{query_url}/stream") as query,
        following(f"{query_url}/stream", events="false") as pure,
        producing(broker.port, "query-001") as producer,
    ):
        await asyncio.to_thread(ask, broker.url)
        await session.until(lambda seen: len(seen.events) == 3)
        for number, word in enumerate(("sunny", "and", "warm"), 1):
            await producer.post(chunk(delta={"content": word}))
            # Each is seen before the next is posted, and while the POST is open.
            await session.until(saw_events(3 + number))
            for reader in (query, pure):
                await reader.until(saw_last(word))
        await producer.post(chunk(delta={}, finish_reason="stop"))
        answer = await producer.finish()
        async with httpx.AsyncClient() as client:
            assert (await client.post(f"{broker.url}/stream/query-001/complete")).status_code == 200
        for reader in (query, pure):
            await reader.until(lambda seen: seen.ended)
        await session.until(lambda seen: len(seen.events) == 8)
        async with httpx.AsyncClient() as client:
            view = (await client.get(session_url)).json()

    assert (answer.status, json.loads(answer.body)["chunks_received"]) == (200, 4)
    assert session.positions == sorted(session.positions)
    assert {event["type"] for event in session.events} >= {"query.started", "llm.request", "tool.call"}
    assert {event["sessionId"] for event in session.events} == {"session-abc"}
    assert [text for text in map(content_of, pure.events) if text] == ["sunny", "and", "warm"]
    assert pure.frames[-1].data == query.frames[-1].data == "[DONE]"
    assert any(event.get("type") == "event" for event in query.events)
    assert list(view["queries"]) == ["query-001"]
    assert {"query.started", "tool.call"} <= {event["type"] for event in view["queries"]["query-001"]["events"]}


def saw_events(count: int) -> Callable[[StreamReader], bool]:
    return lambda seen: len(seen.events) == count


def saw_last(text: str) -> Callable[[StreamReader], bool]:
    return lambda seen: bool(seen.frames) and text in seen.frames[-1].data


def content_of(event: dict[str, object]) -> str:
    """The text that a chunk adds; empty for what is no such chunk."""
    choices = event.get("choices")
    if not isinstance(choices, list) or not choices:
        return ""
    return str(choices[0]["delta"].get("content", ""))
