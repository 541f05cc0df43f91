"""Any history of posts is the same in pages of any size, in a watch from its start, and in the broker's own log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Any
from uuid import uuid4

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.e2e.ark.event_source import Message, connect
from tests.support.otlp import traces
from tests.support.process import Broker

_PATIENCE_SECONDS = 20

names = st.sampled_from(["a", "b", "c/d é", "e+f g"])
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False, width=32)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
#: `null` is no chunk, and an error ends who reads one query; both have tests of their own.
chunks = st.dictionaries(texts.filter(lambda key: key != "error"), values, max_size=3) | texts | numbers

posts = st.one_of(
    st.tuples(st.just("messages"), names, names, st.lists(values, max_size=4)),
    st.tuples(st.just("chunks"), names, st.lists(chunks, max_size=4)),
    st.tuples(st.just("complete"), names),
    st.tuples(st.just("event"), names, names, texts, st.dictionaries(texts, texts, max_size=2)),
    st.tuples(st.just("spans"), st.lists(st.tuples(st.integers(1, 5), texts), min_size=1, max_size=4)),
)


class History:
    """Posts one thing after another, and reads what became of it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def post(self, kind: str, *details: Any) -> None:
        match kind, details:
            case "messages", (conversation, query, messages):
                body = {"conversation_id": conversation, "query_id": query, "messages": messages}
                await self._accepted(200, "/messages", json=body)
            case "chunks", (query, lines):
                content = "".join(json.dumps(line) + "\n" for line in lines)
                await self._accepted(200, f"/stream/{quoted(query)}", content=content)
            case "complete", (query,):
                await self._accepted(200, f"/stream/{quoted(query)}/complete", json={})
            case "event", (query, session, reason, extra):
                data = {**extra, "queryId": f"uid of {query}", "queryName": query, "sessionId": session}
                await self._accepted(201, "/events", json={"reason": reason, "data": data, "extra": extra})
            case "spans", (spans,):
                await self._accepted(200, "/v1/traces", content=self._export(spans), headers=_PROTOBUF)

    @staticmethod
    def _export(spans: list[tuple[int, str]]) -> bytes:
        made = [
            {"name": name, "trace_id": trace.to_bytes(16, "big"), "span_id": uuid4().bytes[:8]} for trace, name in spans
        ]
        return traces(*made).SerializeToString()

    async def _accepted(self, status: int, path: str, **request: Any) -> None:
        response = await self._http.post(path, **request)
        assert response.status_code == status, response.text

    async def pages(self, path: str, limit: int) -> list[Any]:
        """All pages of a list."""
        items: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self._get(path, limit=str(limit), **cursor)
            items += page["items"]
            assert page.get("total", len(items)) >= len(items)
            if not page["hasMore"]:
                assert "nextCursor" not in page
                return items
            assert len(page["items"]) == limit
            cursor = {"cursor": str(page["nextCursor"])}

    async def watched(self, path: str, count: int) -> list[Any]:
        """The first `count` frames from the start, whose ids increase."""
        found: list[Message] = []
        async with aclosing(connect(f"{self._http.base_url}{path}", _FROM_THE_START)) as pieces:
            with suppress(TimeoutError):
                # What is missing is better seen than waited for.
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    while len(found) < count:
                        found += (await anext(pieces))[1]
        positions = [int(message.last_event_id) for message in found]
        assert positions == sorted(set(positions))
        return [json.loads(message.data) for message in found]

    async def log(self) -> list[Any]:
        """The broker's own log."""
        items: list[Any] = []
        after, more = 0, True
        while more:
            page = await self._get("/v1/events", after=str(after), limit="1000")
            items += page["items"]
            after, more = page["next"], page["more"]
        return items

    async def _get(self, path: str, **params: str) -> Any:
        response = await self._http.get(path, params=params)
        assert response.status_code == 200, response.text
        return response.json()


_PROTOBUF = {"Content-Type": "application/x-protobuf"}
_FROM_THE_START = {"watch": "true", "cursor": "0"}


def quoted(name: str) -> str:
    return name.replace("/", "%2F").replace(" ", "%20").replace("+", "%2B")


def is_own(event: dict[str, Any]) -> bool:
    """Whether it was the broker that said so: what moved where, and what `messages: []` tells of a query."""
    return event["kind"] == "event" and "data" not in event["body"]


def chunk_of(event: dict[str, Any]) -> Any:
    return event["body"]


def span_of(event: dict[str, Any]) -> Any:
    return event["body"]["span"]["spanId"]


#: Path, what of an item of a page is compared, what of a frame, and of which events in the log.
STORES: tuple[tuple[str, Callable[[Any], Any], Callable[[Any], Any], str, Callable[[Any], Any]], ...] = (
    ("/messages", lambda item: item, lambda frame: frame, "message", lambda event: event["body"]["message"]),
    ("/stream", lambda item: item["data"]["chunk"], lambda frame: frame, "chunk", chunk_of),
    ("/events", lambda item: item, lambda frame: frame, "event", lambda event: event["body"]),
    (
        "/traces",
        lambda item: [span["spanId"] for span in item["spans"]],
        lambda frame: frame["spanId"],
        "span",
        span_of,
    ),
)


#: Each example finds what the ones before it left: a failure cannot be made smaller.
@settings(
    max_examples=6,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(history=st.lists(posts, max_size=25), limit=st.sampled_from([1, 2, 3, 7, 100, 1000]))
def test_pages_watch_and_log_tell_the_same_history(broker: Broker, history: list[Any], limit: int) -> None:
    asyncio.run(_check(broker, history, limit))


async def _check(broker: Broker, history: list[Any], limit: int) -> None:
    """Histories of all examples follow each other in one broker."""
    async with httpx.AsyncClient(base_url=broker.url, timeout=30, verify=False) as http:
        past = History(http)
        for post in history:
            await past.post(*post)
        log = await past.log()
        for path, of_page, of_frame, kind, of_event in STORES:
            events = [of_event(event) for event in log if event["kind"] == kind and not is_own(event)]
            pages = [of_page(item) for item in await past.pages(path, limit)]
            if path == "/traces":
                pages = by_arrival(pages, events)
            told = [item["message"] if path == "/messages" else item for item in pages]
            assert told == events, path
            watched = [of_frame(frame) for frame in await past.watched(path, len(events))]
            assert watched == pages, path


def by_arrival(traces_: list[list[str]], spans: list[str]) -> list[str]:
    """The spans of all traces as they came. The traces must be newest first, and the spans of each in their order."""
    place = {span: number for number, span in enumerate(spans)}
    assert all([place[span] for span in trace] == sorted(place[span] for span in trace) for trace in traces_)
    firsts = [place[trace[0]] for trace in traces_]
    assert firsts == sorted(firsts, reverse=True)
    return sorted((span for trace in traces_ for span in trace), key=place.__getitem__)
