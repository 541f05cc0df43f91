"""Which queries' chunks are being posted to this process right now, by whom.

An executor closes its POST and says that the stream is complete without waiting for an answer, on two connections: so
the end of the chunks and the completion come in any order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ark_broker.access.grants import Grant

#: The namespaces that its sender is limited to, and the query.
_Key = tuple[frozenset[str] | None, str]


@dataclass(slots=True, eq=False)
class OpenStream:
    """One POST of chunks."""

    #: True once the stream was marked complete while the POST was open.
    completed: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class OpenStreams:
    """The open POSTs, by query: of each namespace its own, and those of who is limited to none."""

    def __init__(self) -> None:
        self._open: dict[_Key, set[OpenStream]] = {}

    @contextmanager
    def open(self, grant: Grant, query: str) -> Iterator[OpenStream]:
        """Count a POST as open while the block runs."""
        stream = OpenStream()
        key = grant.namespaces, query
        self._open.setdefault(key, set()).add(stream)
        try:
            yield stream
        finally:
            stream.ended.set()
            streams = self._open[key]
            streams.discard(stream)
            if not streams:
                del self._open[key]

    async def ended(self, grant: Grant, query: str, patience: float) -> None:
        """Wait until the query's POSTs have ended, but not longer than `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                for stream in tuple(self._open.get((grant.namespaces, query), ())):
                    await stream.ended.wait()
        except TimeoutError:
            return

    def completed(self, grant: Grant, query: str) -> None:
        """The query's stream was marked complete: tell the POSTs that are still open."""
        for stream in self._open.get((grant.namespaces, query), ()):
            stream.completed = True
