"""Conversations: what an executor is given of what was said before, and what ark-api shows and removes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.e2e.ark.remote import ProgramFailed
from tests.e2e.ark.site import Site, a_query


def said(count: int, prefix: str = "message") -> list[dict[str, Any]]:
    """Messages of user and assistant in turn."""
    return [
        {"role": "assistant" if number % 2 else "user", "content": f"{prefix} {number} é\n\u2028"}
        for number in range(count)
    ]


async def remember(site: Site, query: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    await site.go.call("remember", broker=site.url, query=query, messages=messages)


async def test_a_conversation_of_250_messages_is_read_whole(site: Site) -> None:
    messages = said(250)
    for number in range(5):
        query = a_query(f"query-{number}", session="s", conversation="long")
        other = a_query(f"other-{number}", session="s", conversation="other")
        await asyncio.gather(
            remember(site, query, messages[50 * number : 50 * number + 50]), remember(site, other, said(20, "other"))
        )

    for limit in (7, 100, 1000):
        assert await site.go.call("history", broker=site.url, conversation="long", limit=limit) == messages
    whole = await site.get("/conversations/long")
    assert (whole["conversation_id"], [item["message"] for item in whole["messages"]]) == ("long", messages)
    status = await site.get("/memory-status")
    assert status["conversations"]["long"] == {"message_count": 250, "query_count": 5}
    assert (status["total_conversations"], status["total_messages"]) == (2, 350)
    # A cursor that is a number has always been too much for the old executor.
    with pytest.raises(ProgramFailed, match="nextCursor"):
        await site.go.call("first_page", broker=site.url, conversation="long")


async def test_an_executor_of_0_1_67_reads_a_conversation_of_one_page(shared_site: Site) -> None:
    site = shared_site
    await remember(site, a_query("q", session="s", conversation="short"), said(100))

    assert await site.go.call("first_page", broker=site.url, conversation="short") == said(100)


async def test_a_query_is_given_what_was_said_before_it(shared_site: Site) -> None:
    site = shared_site
    first = await site.go.call(
        "run", broker=site.url, query=a_query("said-1", session="talks"), text="hi", words=["hello"]
    )
    conversation = first["query"]["conversation"]
    query = a_query("said-2", session="talks", conversation=conversation)
    second = await site.go.call("run", broker=site.url, query=query, text="and now?", words=["bye"])

    assert (first["history"], second["history"]) == ([], first["messages"])
    everything = await site.go.call("history", broker=site.url, conversation=conversation)
    assert everything == first["messages"] + second["messages"]
    session = await site.get("/sessions/talks")
    assert [item["conversationId"] for item in session["conversations"]] == [conversation]
    # Of messages, where some are known; the old broker counted queries.
    assert session["conversations"][0]["messageCount"] == 4


async def test_ark_api_lists_conversations_and_removes_them(site: Site) -> None:
    for number in range(3):
        for part in range(2):
            query = a_query(f"q{number}-{part}", session="s", conversation=f"c{number}")
            await remember(site, query, said(2))

    async def conversations() -> set[str]:
        return {item["conversationId"] for item in (await site.proxied("/v1/conversations"))["items"]}

    async def queries() -> list[str]:
        return [item["query_id"] for item in (await site.proxied("/v1/messages"))["items"]]

    async def delete(path: str) -> None:
        # What is gone already is no error.
        for _ in range(2):
            assert (await site.request("DELETE", f"/v1/conversations{path}")).status_code == 204

    assert await conversations() == {"c0", "c1", "c2"}
    await delete("/c0")
    assert await conversations() == {"c1", "c2"}
    await delete("/c1/queries/q1-0/messages")
    assert await queries() == ["q1-1", "q1-1", "q2-0", "q2-0", "q2-1", "q2-1"]
    assert [item["query_id"] for item in (await site.proxied("/v1/messages", conversation="c1"))["items"]] == [
        "q1-1",
        "q1-1",
    ]
    await delete("")
    assert (await conversations(), await queries()) == (set(), [])
    assert (await site.get("/messages"))["items"] == []
