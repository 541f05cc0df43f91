"""Reads request bodies: under a size limit, also while inflating, and within a budget for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from ark_broker.model.errors import BadInput, Overloaded, TooLarge
from ark_broker.receive.inflate import decoder


class Intake:
    """The memory that bodies may take, all requests together. What does not fit is refused, to be retried."""

    def __init__(self, budget: int, max_body: int) -> None:
        self._budget = budget
        self.max_body = max_body
        self.used = 0
        #: Seconds that a body may be silent before it is given up. (A stream of chunks has no such limit.)
        self.patience = 30.0

    def reserve(self, size: int) -> None:
        """Take `size` bytes of the budget. Raises Overloaded where they are not there.

        A request alone is always let in: the limit for one body is checked elsewhere.
        """
        if self.used and self.used + size > self._budget:
            raise Overloaded("too many request bodies are being read at once")
        self.used += size

    def release(self, size: int) -> None:
        """Give `size` bytes back."""
        self.used -= size

    @asynccontextmanager
    async def body(
        self, receive: Receive, content_encoding: str | None, content_length: str | None
    ) -> AsyncIterator[bytes]:
        """The decoded body; its memory counts until the block is left.

        Raises TooLarge, UnsupportedMedia, BadInput, Overloaded, or starlette's ClientDisconnect.
        """
        inflate = decoder(content_encoding, self.max_body)
        if content_length is not None:
            self._check_length(content_length)
        reserved = 0
        parts: list[bytes] = []
        try:
            compressed = 0
            async for chunk in body_chunks(receive, self.patience):
                compressed += len(chunk)
                if compressed > self.max_body:
                    raise TooLarge(f"the body is larger than {self.max_body} bytes")
                part = inflate.feed(chunk)
                self.reserve(len(part))
                reserved += len(part)
                parts.append(part)
            last = inflate.finish()
            self.reserve(len(last))
            reserved += len(last)
            parts.append(last)
            yield b"".join(parts)
        finally:
            parts.clear()
            self.release(reserved)

    def _check_length(self, content_length: str) -> None:
        if not (content_length.isascii() and content_length.isdigit()):
            raise BadInput("not a number", "Content-Length")
        if int(content_length[:20]) > self.max_body:
            raise TooLarge(f"the body is larger than {self.max_body} bytes")


async def body_chunks(receive: Receive, patience: float | None = None) -> AsyncIterator[bytes]:
    """The body as it arrives.

    Raises ClientDisconnect where the client goes away before its end, BadInput where nothing comes for `patience`
    seconds.
    """
    while True:
        try:
            async with asyncio.timeout(patience):
                message = await receive()
        except TimeoutError:
            raise BadInput(f"nothing of it arrived for {patience} seconds", "body") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if chunk := message.get("body", b""):
            yield chunk
        if not message.get("more_body", False):
            return
