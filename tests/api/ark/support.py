"""What the contract tests say to the broker in the words of Ark's producers and consumers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx

from tests.support.api import Api
from tests.support.sse import Frames, listen

#: How long a test waits for what has to come.
PATIENCE_SECONDS = 20


def watch(
    api: Api, path: str, /, last_event_id: object = None, **params: object
) -> AbstractAsyncContextManager[Frames]:
    """`watch=true` on that path; the stream is open then, and what is stored from now on comes."""
    headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
    given = {name: str(value) for name, value in params.items()}
    return listen(api.http, path, params={"watch": "true", **given}, headers=headers)


async def data(frames: Frames, count: int) -> list[Any]:
    """The JSON of the next frames."""
    return [json.loads(frame.data) for frame in await frames.take(count)]


async def text(frames: Frames, count: int) -> list[str]:
    """The next frames' data, as it was written."""
    return [frame.data for frame in await frames.take(count)]


async def ok(
    api: Api, method: str, path: str, status: int = 200, message: str | None = None, **request: Any
) -> httpx.Response:
    """An answer that must have this status, and this `message` where one is given."""
    response = await api.http.request(method, path, **request)
    assert response.status_code == status, response.text
    if message is not None:
        assert response.json() == {"status": "success", "message": message}
    return response


async def items(api: Api, path: str, **params: Any) -> list[Any]:
    """The items of the list's first page."""
    found: list[Any] = (await api.get(path, **params))["items"]
    return found


async def log(api: Api, *types: str) -> list[dict[str, Any]]:
    """The whole log, or its events of these types, as `/v1` has them."""
    found: list[dict[str, Any]] = (await api.get("/v1/events", limit=1000, type=list(types)))["items"]
    return found


async def post_messages(api: Api, conversation: str, query: str, *messages: object, **extra: object) -> None:
    """Store messages of a query."""
    body = {"conversation_id": conversation, "query_id": query, "messages": messages, **extra}
    response = await api.http.post("/messages", json=body)
    assert (response.status_code, response.content) == (200, b""), response.text


def operation(uid: str, reason: str = "LLMCallStart", /, **data: object) -> dict[str, Any]:
    """An operation event as Ark's controller sends it."""
    return {
        "timestamp": "2026-11-20T21:14:15.009123456Z",
        "eventType": "Normal",
        "reason": reason,
        "message": f"{reason} of {uid}",
        "data": {"queryId": uid, **data},
    }


async def post_events(api: Api, *events: object, **headers: str) -> None:
    """Store operation events, one request each."""
    for event in events:
        response = await api.http.post("/events", json=event, headers=headers)
        assert (response.status_code, response.json()) == (201, {"status": "success"}), response.text


@asynccontextmanager
async def raw_stream(api: Api, path: str, **request: Any) -> AsyncIterator[RawStream]:
    """A stream of which the bytes themselves are looked at."""
    async with api.http.stream("GET", path, **request) as response:
        assert response.status_code == 200, await response.aread()
        reader = RawStream(response)
        try:
            yield reader
        finally:
            await reader.close()


class RawStream:
    """Blocks of a stream (what stands between empty lines), comments included."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._bytes = response.aiter_raw()
        self._rest = b""

    async def block(self) -> bytes:
        """The next block, without the empty line that ends it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while b"\n\n" not in self._rest:
                self._rest += await anext(self._bytes)
        found, _, self._rest = self._rest.partition(b"\n\n")
        return found

    async def until(self, wanted: bytes) -> list[bytes]:
        """Blocks up to and with the one that is wanted."""
        found = [await self.block()]
        while found[-1] != wanted:
            found.append(await self.block())
        return found

    async def close(self) -> None:
        await self._bytes.aclose()  # type: ignore[attr-defined]
