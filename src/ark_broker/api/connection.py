"""Limits on connections that the HTTP parser itself does not have: for a request's head, in bytes and in time."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Request line and headers together.
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_HEADERS: Final = 200


class GuardedHttp(HttpToolsProtocol):
    """Refuses heads that are too large (431), or that take too long to arrive (408), and closes the connection."""

    #: From the connection, or from a request's first byte, to the end of its headers.
    head_seconds: ClassVar[float] = 10

    _in_head = False
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None
    _refusal = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            # The parser holds what is not complete yet, so it is counted as it comes in.
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(b"431 Request Header Fields Too Large")
            elif self._deadline is None:
                self._set_deadline()

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._clear_deadline()
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._refusal = b"431 Request Header Fields Too Large"
            # Raised through the parser, which stops there, to `send_400_response`.
            raise ValueError("the head is too large")
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._in_head = False
        self._clear_deadline()
        if self._refusal:
            self._refuse(self._refusal)
        elif self._answering:
            self.transport.close()
        else:
            super().send_400_response(msg)

    @property
    def _answering(self) -> bool:
        """In the middle of an answer, into which nothing may be written."""
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

    def _refuse(self, status: bytes) -> None:
        self._in_head = False
        if not self._answering and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self._refuse, b"408 Request Timeout")

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
