"""Streaming chunks to the broker, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Self

import httpx

from ark_broker.client.chunks import ChunkFormat, Sendable
from ark_broker.client.errors import BrokerError
from ark_broker.client.producer import HURRY, Delivery
from ark_broker.client.steps import Call


class AsyncChunkStream:
    """Chunks of one query, on their way while the block runs. See `AsyncClient.stream_chunks`."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        delivery: Delivery,
        chunk_format: ChunkFormat,
        complete: Callable[[Call], Awaitable[None]] | None,
    ) -> None:
        self._http = http
        self._delivery = delivery
        self._outbox = delivery.outbox
        self._format = chunk_format
        self._complete = complete
        self._lines_came = asyncio.Event()
        self._room_came = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._sender = asyncio.create_task(self._send_all(), name="ark-broker-chunks")
        self._sender.add_done_callback(lambda _: self._room_came.set())
        return self

    async def send(self, chunk: Sendable) -> None:
        """Send text, or a whole chunk. Waits only where the broker is far behind.

        Raises what ended the stream: `Refused`, or `Unreachable` once the client's `retry_seconds` are over.
        """
        await self._put(self._format.line(chunk))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sender = self._running()
        if error is None:
            await self._finish()
            return
        try:
            if not sender.done():
                async with asyncio.timeout(None if isinstance(error, Exception) else HURRY):
                    await self._break_off(error)
        except (BrokerError, TimeoutError) as second:
            error.add_note(f"the stream of chunks could not be ended: {second}")
        finally:
            await self._stop(sender)

    async def _finish(self) -> None:
        last = self._format.finish()
        sender = self._running()
        try:
            if last is not None:
                await self._put(last)
            await self._end()
        finally:
            await self._stop(sender)

    async def _break_off(self, error: BaseException) -> None:
        await self._put(self._format.error(error))
        await self._end()

    async def _end(self) -> None:
        """Wait until everything is stored, and say that this was all."""
        self._outbox.close()
        self._lines_came.set()
        await self._running()
        if self._complete is not None:
            await self._complete(self._delivery.completion)

    async def _stop(self, sender: asyncio.Task[None]) -> None:
        sender.cancel()
        await asyncio.wait([sender])
        if not sender.cancelled():
            # Whoever sent has seen it, or is told of another error.
            sender.exception()

    def _running(self) -> asyncio.Task[None]:
        if self._sender is None:
            raise RuntimeError("use it as a context manager: `async with client.stream_chunks(…) as chunks`")
        return self._sender

    async def _put(self, line: bytes) -> None:
        sender = self._running()
        self._outbox.put(line)
        self._lines_came.set()
        while self._outbox.is_full and not sender.done():
            self._room_came.clear()
            await self._room_came.wait()
        if sender.done():
            sender.result()

    async def _send_all(self) -> None:
        while await self._has_work():
            try:
                response = await self._http.post(
                    self._delivery.target, content=self._body(), headers=self._delivery.headers()
                )
                self._delivery.stored(response)
            except (BrokerError, httpx.RequestError) as error:
                await asyncio.sleep(self._delivery.failed(error))
            else:
                self._room_came.set()

    async def _has_work(self) -> bool:
        while not self._outbox.has_lines and not self._outbox.is_closed:
            self._lines_came.clear()
            await self._lines_came.wait()
        return self._outbox.has_lines

    async def _body(self) -> AsyncIterator[bytes]:
        sent = 0
        while True:
            self._lines_came.clear()
            lines = self._outbox.part(sent)
            if lines:
                sent += len(lines)
                yield b"".join(lines)
            elif self._outbox.is_whole(sent):
                return
            else:
                await self._wait_for_line()

    async def _wait_for_line(self) -> None:
        try:
            async with asyncio.timeout(self._delivery.patience()):
                await self._lines_came.wait()
        except TimeoutError:
            self._outbox.seal()
