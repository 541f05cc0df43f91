"""Readers of live streams: real SSE clients that keep what they saw."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

from tests.support.waiting import until

_TIMEOUT = httpx.Timeout(10, read=60)


class StreamReader:
    """What one reader of a stream has seen so far, in order, over all its connections."""

    def __init__(self) -> None:
        self.frames: list[ServerSentEvent] = []
        self.hellos: list[dict[str, Any]] = []
        #: True once the broker ended the stream.
        self.ended = False

    @property
    def positions(self) -> list[int]:
        """`id:` of every frame that had one."""
        return [int(frame.id) for frame in self.frames if frame.event == "message" and frame.id]

    @property
    def events(self) -> list[dict[str, Any]]:
        """Data of the frames of events."""
        return [json.loads(frame.data) for frame in self.frames if frame.event == "message" and frame.data != "[DONE]"]

    @property
    def cursor(self) -> str:
        """Where to go on: the last `id:` seen."""
        return next((frame.id for frame in reversed(self.frames) if frame.event == "message" and frame.id), "0")

    def saw(self, event: str) -> bool:
        """True once a frame with that `event:` name came."""
        return any(frame.event == event for frame in self.frames)

    async def read(
        self, url: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """One connection, until the broker ends it. Raises httpx.TransportError where it breaks."""
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT) as client,
            aconnect_sse(client, "GET", url, params=dict(params or {}), headers=dict(headers or {})) as source,
        ):
            source.response.raise_for_status()
            async for frame in source.aiter_sse():
                if frame.event == "hello":
                    self.hellos.append(json.loads(frame.data))
                else:
                    self.frames.append(frame)
        self.ended = True

    async def until(self, check: Callable[[StreamReader], object], *, seconds: float = 30, what: str = "") -> None:
        """Wait for `check(self)` to be true."""

        async def checked() -> object:
            return check(self)

        await until(checked, timeout=seconds, what=what or f"a reader with {len(self.frames)} frames to see more")


@asynccontextmanager
async def following(url: str, **params: str) -> AsyncIterator[StreamReader]:
    """A reader of the stream inside the block, already greeted where the stream has a `hello`."""
    reader = StreamReader()
    task = asyncio.create_task(reader.read(url, params=params))
    try:
        if "/v1/" in url:
            await reader.until(lambda seen: seen.hellos or task.done(), what=f"a greeting from {url}")
        yield reader
    finally:
        task.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
    error = results[0]
    if isinstance(error, Exception):
        raise error
