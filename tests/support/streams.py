"""Readers of live streams: real SSE clients that keep what they saw."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

from tests.support.sse import is_comment
from tests.support.waiting import until

#: Reading the system's certificates takes longer than most of these connections live.
_NO_TLS = False
_TIMEOUT = httpx.Timeout(10, read=60)


class StreamReader:
    """What one reader of a stream has seen so far, in order, over all its connections."""

    def __init__(self) -> None:
        self.frames: list[ServerSentEvent] = []
        self.hellos: list[dict[str, Any]] = []
        #: True once the broker ended the stream.
        self.ended = False
        #: Why the last connection broke.
        self.error: BaseException | None = None

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
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> None:
        """One connection, until the broker ends it, or cut after `limit` frames.

        Raises httpx.HTTPError where it breaks or is refused.
        """
        try:
            async with asyncio.timeout(None if limit is None else 30):
                self.ended = await self._read(url, params or {}, headers or {}, limit)
        except httpx.HTTPError as error:
            self.error = error
            raise

    async def _read(self, url: str, params: Mapping[str, str], headers: Mapping[str, str], limit: int | None) -> bool:
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT, verify=_NO_TLS) as client,
            aconnect_sse(client, "GET", url, params=dict(params), headers=dict(headers)) as source,
        ):
            source.response.raise_for_status()
            async for frame in source.aiter_sse():
                if is_comment(frame):
                    continue
                if frame.event == "hello":
                    self.hellos.append(json.loads(frame.data))
                else:
                    self.frames.append(frame)
                if limit is not None:
                    limit -= 1
                    if limit <= 0:
                        return False
        return True

    async def until(self, check: Callable[[StreamReader], object], *, seconds: float = 30, what: str = "") -> None:
        """Wait for `check(self)` to be true."""

        async def checked() -> object:
            done = check(self)
            assert done or self.error is None, f"the stream broke: {self.error!r}"
            return done

        await until(checked, timeout=seconds, what=what or "a reader to see more")


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


@asynccontextmanager
async def resuming(url: str) -> AsyncIterator[StreamReader]:
    """As a browser's EventSource: comes back with `Last-Event-ID` whenever the stream ends or breaks."""
    reader = StreamReader()

    async def read_again_and_again() -> None:
        while True:
            with suppress(httpx.HTTPError):
                await reader.read(url, headers={"Last-Event-ID": reader.cursor})
            reader.error = None
            await asyncio.sleep(0.05)

    task = asyncio.create_task(read_again_and_again())
    try:
        await reader.until(lambda seen: seen.hellos, what=f"a greeting from {url}")
        yield reader
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
