"""Readers of server-sent events: every wait has a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent

_PATIENCE_SECONDS = 60


def is_comment(frame: ServerSentEvent) -> bool:
    """True for what httpx-sse makes of a comment once it has seen an `id:`: a message without data."""
    return frame.event == "message" and not frame.data


class Frames:
    """The frames of one open stream, in order. Comments are skipped."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._frames = EventSource(response).aiter_sse()

    async def next(self) -> ServerSentEvent:
        """The next frame; fails where the stream ends or stays silent."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                frame = await anext(self._frames)
                if not is_comment(frame):
                    return frame

    async def take(self, count: int) -> list[ServerSentEvent]:
        return [await self.next() for _ in range(count)]

    async def until(self, wanted: Callable[[ServerSentEvent], bool]) -> list[ServerSentEvent]:
        """Frames up to and with the first that is wanted."""
        found = [await self.next()]
        while not wanted(found[-1]):
            found.append(await self.next())
        return found

    async def rest(self) -> list[ServerSentEvent]:
        """Every frame until the server ends the stream."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return [frame async for frame in self._frames if not is_comment(frame)]

    async def hello(self) -> dict[str, Any]:
        """The greeting, which must be the next frame."""
        frame = await self.next()
        assert frame.event == "hello", frame
        content: dict[str, Any] = frame.json()
        return content

    async def close(self) -> None:
        await self._frames.aclose()  # type: ignore[attr-defined]


@asynccontextmanager
async def listen(client: httpx.AsyncClient, path: str, /, **request: Any) -> AsyncIterator[Frames]:
    """`async with listen(client, "/v1/stream", params={…}) as frames`; the stream is open then."""
    async with client.stream("GET", path, **request) as response:
        assert response.status_code == 200, await response.aread()
        frames = Frames(response)
        try:
            yield frames
        finally:
            await frames.close()
