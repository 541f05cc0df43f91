"""Whole queries, from their first event to their last chunk: what every client ends with, and what the broker shows."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.e2e.ark.site import Site, a_query
from tests.support.process import StartBroker

WORDS = ["It", " is", " sunny", " in", " Zürich", " ☀"]
MORE = [" And", " warm", "."]


def counted(items: Iterable[Any]) -> Counter[str]:
    """The items without their order."""
    return Counter(json.dumps(item, sort_keys=True) for item in items)


async def replay(site: Site, query: str) -> dict[str, Any]:
    """What somebody sees who opens the chat when all is over."""
    name = f"replay of {query}"
    await site.chat(name, query)
    return await site.said(name)


async def test_several_queries_at_once_look_the_same_to_everyone(site: Site) -> None:
    queries = [a_query(f"query-{number}", session=f"session-{number // 2}") for number in range(4)]
    for query in queries:
        # Before the query starts, as the dashboard does.
        await site.chat(query["name"], query["name"])
    tabs = ("traces", "messages", "chunks", "events", "sessions")
    for tab in tabs:
        await site.open(tab, tab)

    runs = await asyncio.gather(
        *(
            site.go.call("run", broker=site.url, query=query, text=f"Weather {number}?", words=WORDS, tool=True)
            for number, query in enumerate(queries)
        )
    )

    for query, run in zip(queries, runs, strict=True):
        await the_chat_has_everything(site, query, run)
    await the_lists_have_everything(site, runs)
    await the_tabs_have_everything(site, runs)
    for number in range(2):
        await the_session_is_whole(site, f"session-{number}", runs[2 * number : 2 * number + 2])


async def the_chat_has_everything(site: Site, query: dict[str, Any], run: dict[str, Any]) -> None:
    live = await site.said(query["name"])
    assert live["chunks"] == run["chunks"]
    assert (live["text"], live["doneMarkers"], live["errors"]) == ("".join(WORDS), 1, [])
    assert live["bubbles"] == ["weather"]
    assert [(call["name"], json.loads(call["arguments"])) for call in live["toolCalls"]] == [
        ("get_weather", {"city": "Zürich"})
    ]
    assert live["completed"][0]["status"]["conversationId"] == run["query"]["conversation"]
    assert run["streamed"] == {
        "status": "stream_processed",
        "query": query["name"],
        "chunks_received": len(run["chunks"]),
    }
    assert run["completed"] == {"status": "completed", "query": query["name"]}
    assert await replay(site, query["name"]) == live


async def the_lists_have_everything(site: Site, runs: list[dict[str, Any]]) -> None:
    assert counted(await site.every("/events")) == counted(event for run in runs for event in run["events"])
    chunks = await site.every("/stream")
    for run in runs:
        query = run["query"]
        assert counted(await site.every(f"/events/{query['uid']}")) == counted(run["events"])
        messages = await site.every("/messages", conversation_id=query["conversation"])
        assert [item["message"] for item in messages] == run["messages"]
        assert {item["query_id"] for item in messages} == {query["name"]}
        stored = [item["data"] for item in chunks if item["data"]["queryId"] == query["name"]]
        assert [item["chunk"] for item in stored] == [*run["chunks"], "[DONE]"]
        assert stored[-1]["complete"] is True
        trace = await site.proxied(f"/v1/broker/traces/{run['traceId']}")
        assert {span["spanId"] for span in trace["spans"]} == set(run["spanIds"])
    conversations = (await site.get("/conversations"))["conversations"]
    assert set(conversations) == {run["query"]["conversation"] for run in runs}


async def the_tabs_have_everything(site: Site, runs: list[dict[str, Any]]) -> None:
    expected = {
        "events": [event for run in runs for event in run["events"]],
        "messages": [message for run in runs for message in run["messages"]],
        "chunks": [chunk for run in runs for chunk in [*run["chunks"], "[DONE]"]],
        "traces": [span for run in runs for span in run["spanIds"]],
    }
    of_item: dict[str, Callable[[Any], Any]] = {
        "events": lambda item: item,
        "messages": lambda item: item["message"],
        "chunks": lambda item: item,
        "traces": lambda item: item["spanId"],
    }
    for tab, items in expected.items():
        shown = await site.shown(tab, len(items))
        assert counted(map(of_item[tab], shown["items"])) == counted(items), tab
        assert (shown["errors"], shown["connections"]) == ([], 1)
    await the_sessions_tab_is_right(site, "sessions")


async def the_sessions_tab_is_right(site: Site, tab: str) -> None:
    """What the tab ends with is what a page says that asks."""
    sessions = sorted((await site.get("/sessions"))["sessions"].values(), key=lambda session: session["sessionId"])
    shown = await site.dashboard.call("shown_with", name=tab, items=sessions)
    assert shown["items"] == sessions
    for session in sessions:
        assert await site.proxied(f"/v1/broker/sessions/{session['sessionId']}") == session


async def the_session_is_whole(site: Site, session_id: str, runs: list[dict[str, Any]]) -> None:
    """Ark's session and the broker's own view of it tell the same history."""
    names = {run["query"]["name"] for run in runs}
    conversations = {run["query"]["conversation"] for run in runs}
    session = await site.proxied(f"/v1/broker/sessions/{session_id}")
    assert {name: query["phase"] for name, query in session["queries"].items()} == dict.fromkeys(names, "done")
    assert {query["conversationId"] for query in session["queries"].values()} == conversations
    assert {item["conversationId"] for item in session["conversations"]} == conversations
    assert (session["status"], session["errorCount"]) == ("idle", 0)
    assert session["participants"] == [{"id": "weather", "name": "weather", "type": "agent"}]

    view = await site.get(f"/v1/sessions/{session_id}")
    assert set(view["queries"]) == names
    events = await own_events(site, f"/v1/sessions/{session_id}/events")
    for run in runs:
        name = run["query"]["name"]
        assert view["queries"][name]["phase"] == "done"
        assert view["queries"][name]["traceId"] == run["traceId"]
        kinds = Counter(event["kind"] for event in events if event["query"] == name)
        assert kinds == {
            "event": len(run["events"]),
            "message": len(run["messages"]),
            "chunk": len(run["chunks"]) + 1,
            "span": len(run["spanIds"]),
        }
        query = await site.get(f"/v1/queries/{name}")
        assert (query["phase"], query["uid"]) == ("done", run["query"]["uid"])
        said = await site.get(f"/v1/sessions/{session_id}/conversation", query=name)
        assert [message["role"] for message in said["messages"]] == ["user", "assistant", "tool", "assistant"]
        assert said["messages"][-1]["content"] == "".join(WORDS)


def own(item: dict[str, Any]) -> bool:
    """Whether a producer sent it, and not the broker to tell of what it removed."""
    return not str(item["type"]).endswith(".deleted")


async def own_events(site: Site, path: str) -> list[Any]:
    """All pages of one of the broker's own lists of events."""
    items: list[Any] = []
    after, more = 0, True
    while more:
        page = await site.get(path, after=after, limit=1000)
        items += page["items"]
        after, more = page["next"], page["more"]
    return items


async def test_an_sdk_executor_posts_every_chunk_on_its_own(shared_site: Site) -> None:
    site = shared_site
    query = a_query("sdk-query", session="sdk-session", conversation="sdk-conversation")
    await site.chat("live", "sdk-query")
    started = await site.go.call("controller", broker=site.url, query=query, stage="Start")
    run = await site.sdk.call(
        "run", broker=site.url, query="sdk-query", user="hi", words=WORDS, conversation="sdk-conversation", ttl=3600
    )
    ended = await site.go.call("controller", broker=site.url, query=query, stage="Complete")

    assert run["failures"] == []
    live = await site.said("live")
    assert live["chunks"] == run["chunks"]
    assert (live["text"], live["doneMarkers"]) == ("".join(WORDS), 1)
    assert await replay(site, "sdk-query") == live
    assert await site.every(f"/events/{query['uid']}") == started + ended
    stored = await site.every("/messages", query_id="sdk-query")
    assert [item["message"] for item in stored] == run["messages"]
    session = await site.get("/sessions/sdk-session")
    assert session["queries"]["sdk-query"]["conversationId"] == "sdk-conversation"
    assert [item["conversationId"] for item in session["conversations"]] == ["sdk-conversation"]
    view = await site.get("/v1/sessions/sdk-session")
    assert view["queries"]["sdk-query"]["conversationIds"] == ["sdk-conversation"]
    assert view["queries"]["sdk-query"]["phase"] == "done"
    said = await site.get("/v1/sessions/sdk-session/conversation")
    assert [message["content"] for message in said["messages"]] == ["hi", "".join(WORDS)]


async def test_an_answer_that_was_not_streamed_is_one_chunk(shared_site: Site) -> None:
    site = shared_site
    run = await site.sdk.call("run", broker=site.url, query="whole", user="hi", words=WORDS, streams=False)

    seen = await replay(site, "whole")
    assert (run["failures"], seen["chunks"]) == ([], run["chunks"])
    assert (seen["text"], len(seen["chunks"])) == ("".join(WORDS), 2)


async def test_a_reader_is_let_go_when_an_sdk_executor_fails(
    start_site: Any, start_broker: StartBroker, sqlite_url: str
) -> None:
    site: Site = start_site(start_broker(sqlite_url, stream_idle_seconds=0.5))
    await site.resolve()
    await site.chat("live", "failing")
    run = await site.sdk.call("run", broker=site.url, query="failing", user="hi", words=WORDS, fails=True)

    timeout = {"message": "Streaming query response timed out", "type": "timeout_error", "code": "timeout"}
    for seen in (await site.said("live"), await replay(site, "failing")):
        assert (seen["chunks"], seen["errors"]) == ([*run["chunks"], {"error": timeout}], [timeout])
        assert (seen["text"], seen["doneMarkers"], seen["ended"]) == ("".join(WORDS), 1, True)


async def test_a_query_that_fails_says_so_everywhere(shared_site: Site) -> None:
    site = shared_site
    query = a_query("broken", session="broken-session")
    await site.chat("live", "broken")
    run = await site.go.call("fail", broker=site.url, query=query, text="hi", words=WORDS, error="no such model")

    live = await site.said("live")
    assert (live["chunks"], live["doneMarkers"]) == (run["chunks"], 1)
    assert [error["message"] for error in live["errors"]] == ["no such model"]
    assert (await replay(site, "broken"))["chunks"] == run["chunks"]
    session = await site.get("/sessions/broken-session")
    assert (session["status"], session["errorCount"]) == ("error", 1)
    assert session["queries"]["broken"]["phase"] == "error"
    assert session["queries"]["broken"]["error"] == "no such model"
    assert (await site.get("/v1/queries/broken"))["phase"] == "error"
    stored = await site.every("/messages", query_id="broken")
    assert stored[-1]["message"] == {"role": "assistant", "content": "Error: no such model"}


@pytest.mark.parametrize("padding", [200_000, 5_000_000])
async def test_a_large_last_chunk_is_not_lost_to_a_completion_at_its_heels(shared_site: Site, padding: int) -> None:
    site = shared_site
    name = f"large-{padding}"
    query = a_query(name, session="large-session")
    await site.chat("live", name)
    run = await site.go.call("run", broker=site.url, query=query, text="hi", words=WORDS, padding=padding)

    for seen in (await site.said("live"), await replay(site, name)):
        assert len(seen["chunks"]) == len(run["chunks"])
        assert seen["chunks"] == run["chunks"]
        assert seen["doneMarkers"] == 1


async def test_a_completion_never_overtakes_what_was_written_before_it(site: Site) -> None:
    """The pipe is closed and `/complete` said at once, on another connection: the answer to the POST is not awaited."""
    for number in range(10):
        name = f"hasty-{number}"
        await site.chat(name, name)
        query = a_query(name, session="s", conversation="c")
        run = await site.go.call("pause", broker=site.url, query=query, text="hi", words=["a", "b"], task="t")
        live = await site.said(name)
        assert (live["chunks"], live["doneMarkers"]) == (run["chunks"], 1)
        assert await replay(site, name) == live


async def test_an_approval_pauses_a_stream_and_the_same_stream_goes_on(site: Site) -> None:
    query = a_query("careful", session="careful-session", conversation="careful-conversation")
    await site.chat("first", "careful")
    paused = await site.go.call("pause", broker=site.url, query=query, text="hi", words=WORDS, task="task-1")
    first = await site.said("first")
    assert (first["chunks"], first["doneMarkers"]) == (paused["chunks"], 1)
    assert [request["taskId"] for request in first["approvals"]] == ["task-1"]
    assert (await replay(site, "careful"))["chunks"] == paused["chunks"]
    session = await site.get("/sessions/careful-session")
    assert session["queries"]["careful"]["phase"] == "running"

    async with site.waiting("careful") as second:
        resumed = await site.go.call("resume", broker=site.url, query=query, text="hi", words=MORE, task="task-1")
        chunks = await second.chunks()

    assert chunks == [*resumed["chunks"], "[DONE]"]
    assert resumed["completed"]["status"] == "completed"
    whole = await replay(site, "careful")
    assert whole["chunks"] == paused["chunks"] + resumed["chunks"]
    assert (whole["text"], whole["doneMarkers"]) == ("".join(WORDS + MORE), 1)
    assert [answer["action"] for answer in whole["answers"]] == ["approved"]
    session = await site.get("/sessions/careful-session")
    assert (session["status"], session["queries"]["careful"]["phase"]) == ("idle", "done")
    assert counted(await site.every(f"/events/{query['uid']}")) == counted(paused["events"] + resumed["events"])
    view = await site.get("/v1/sessions/careful-session")
    assert view["queries"]["careful"]["phase"] == "done"


async def test_more_events_than_may_be_on_their_way_are_dropped_by_their_sender_alone(shared_site: Site) -> None:
    site = shared_site
    query = a_query("burst", session="burst-session")
    burst = await site.go.call("burst", broker=site.url, query=query, count=300)

    assert burst["failures"] == []
    assert (len(burst["accepted"]), burst["dropped"]) == (64, 236)
    assert counted(await site.every(f"/events/{query['uid']}")) == counted(burst["accepted"])


async def test_what_a_deleted_query_leaves_is_removed_and_nothing_else(site: Site) -> None:
    kept = a_query("kept", session="shared", conversation="talk")
    deleted = a_query("deleted", session="shared", conversation="talk")
    for query in (kept, deleted):
        await site.go.call("run", broker=site.url, query=query, text="hi", words=WORDS)

    for _ in range(2):
        removed = await site.go.call("finalize", broker=site.url, query=deleted)
        assert set(removed.values()) == {"done"}, removed

    assert await site.every(f"/events/{deleted['uid']}") == []
    assert {item["query_id"] for item in await site.every("/messages", conversation_id="talk")} == {"kept"}
    session = await site.get("/sessions/shared")
    assert set(session["queries"]) == {"kept"}
    assert len(await site.every(f"/events/{kept['uid']}")) > 0
    # What nobody removed is still in the broker's own log.
    left = Counter(item["kind"] for item in await site.log() if item.get("query") == "deleted" and own(item))
    assert set(left) == {"chunk", "span"}
