"""Which queries' chunks are being posted to this process right now.

An executor closes its POST and says that the stream is complete without waiting for an answer, on two connections: so
the end of the chunks and the completion come in any order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class OpenStream:
    """One POST of chunks."""

    #: True once the stream was marked complete while the POST was open.
    completed: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class OpenStreams:
    """The open POSTs, by query."""

    def __init__(self) -> None:
        self._open: dict[str, set[OpenStream]] = {}

    @contextmanager
    def open(self, query: str) -> Iterator[OpenStream]:
        """Count a POST as open while the block runs."""
        stream = OpenStream()
        self._open.setdefault(query, set()).add(stream)
        try:
            yield stream
        finally:
            stream.ended.set()
            streams = self._open[query]
            streams.discard(stream)
            if not streams:
                del self._open[query]

    async def ended(self, query: str, patience: float) -> None:
        """Wait until the query's POSTs have ended, but not longer than `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                for stream in tuple(self._open.get(query, ())):
                    await stream.ended.wait()
        except TimeoutError:
            return

    def completed(self, query: str) -> None:
        """The query's stream was marked complete: tell the POSTs that are still open."""
        for stream in self._open.get(query, ()):
            stream.completed = True
