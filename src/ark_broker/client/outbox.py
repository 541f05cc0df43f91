"""Lines on their way to a stream: what was not acknowledged is kept, and sent again as it was.

The broker acknowledges a whole request (`POST /stream/{query}`). It stores a line of it as soon as it is there, and
knows it again by the request's `Idempotency-Key` and the number of the line. So a request that broke off is sent again
from its beginning, under its key: what the broker has already is no second time in the stream, and nothing is missing.
A request ends after a while, so that its lines need not be kept for hours.
"""

from __future__ import annotations

import uuid
from typing import Final

#: A request ends after so many lines, or bytes.
_MOST_LINES: Final = 2_000
_MOST_BYTES: Final = 1_048_576
#: Bytes without acknowledgement from which on the producer waits.
_FULL: Final = 8 * 1_048_576


class Outbox:
    """The lines of one stream. Not safe for threads by itself."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._bytes = 0
        #: Lines that belong to this request, and their size, while it may grow.
        self._count = self._size = 0
        self._sealed = self._closed = False
        self.key = uuid.uuid4().hex

    @property
    def is_full(self) -> bool:
        """True where the producer should wait."""
        return self._bytes >= _FULL

    @property
    def has_lines(self) -> bool:
        """True where there is something to send."""
        return bool(self._lines)

    @property
    def is_closed(self) -> bool:
        """True once the producer has ended."""
        return self._closed

    def put(self, line: bytes) -> None:
        """Take one line, without its newline."""
        self._lines.append(line + b"\n")
        self._bytes += len(line) + 1
        self._admit()

    def close(self) -> None:
        """No more lines will come."""
        self._closed = True

    def part(self, sent: int) -> list[bytes]:
        """Lines of the current request behind the first `sent`."""
        return self._lines[sent : self._count]

    def is_whole(self, sent: int) -> bool:
        """True where the current request has no lines behind the first `sent`, and gets no more."""
        return sent >= self._count and (self._sealed or self._closed)

    def seal(self) -> None:
        """End the current request: what comes now belongs to the next."""
        self._sealed = True

    def acknowledge(self) -> None:
        """The current request was stored; the next has a key of its own."""
        done = self._lines[: self._count]
        self._lines = self._lines[self._count :]
        self._bytes -= sum(map(len, done))
        self._count = self._size = 0
        self._sealed = False
        self.key = uuid.uuid4().hex
        self._admit()

    def _admit(self) -> None:
        """Let waiting lines into the current request, as far as there is room."""
        while not self._sealed and self._count < len(self._lines):
            self._size += len(self._lines[self._count])
            self._count += 1
            self._sealed = self._count >= _MOST_LINES or self._size >= _MOST_BYTES
