"""Requests and streams that are open, by who sent them: how many at once, and that none outlasts its token."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from ark_broker.model.errors import RateLimited

#: Asks whether the token still allows what it did; False where it does not.
StillGood = Callable[[], Awaitable[bool]]


class Visits:
    """Those of one process. While there are any, each token among them is asked after once in `seconds`."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._count: Counter[str] = Counter()
        self._held: dict[str, _Held] = {}
        self._watching: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return self._count.total()

    @contextmanager
    def inside(self, owner: str, name: str) -> Iterator[None]:
        """While one of the owner's requests is open. Raises RateLimited where there are too many at once."""
        if self._count[owner] >= self._most:
            raise RateLimited(f"{name!r} has {self._most} requests open already", 1)
        self._count[owner] += 1
        try:
            yield
        finally:
            self._count[owner] -= 1
            if not self._count[owner]:
                del self._count[owner]

    @contextmanager
    def held(self, token: str, still_good: StillGood, limit: asyncio.Timeout) -> Iterator[None]:
        """While the block runs, `limit` runs out once the token is not good any more."""
        held = self._held.setdefault(token, _Held(still_good))
        held.limits.add(limit)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch(), name="open-visits")
        try:
            yield
        finally:
            held.limits.discard(limit)
            if not held.limits and self._held.get(token) is held:
                del self._held[token]

    async def _watch(self) -> None:
        try:
            while self._held:
                await asyncio.sleep(self._seconds)
                await self.look_after()
        finally:
            self._watching = None

    async def look_after(self) -> None:
        """Ask after each token once, and end what is open with one that is not good any more."""
        for held in tuple(self._held.values()):
            if not await held.still_good():
                held.end()

    async def close(self) -> None:
        """Ask after nobody any more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None


class _Held:
    """What is open with one token."""

    def __init__(self, still_good: StillGood) -> None:
        self.still_good = still_good
        self.limits: set[asyncio.Timeout] = set()

    def end(self) -> None:
        now = asyncio.get_running_loop().time()
        for limit in self.limits:
            # One that has run out, or is about to, has no other end.
            if not limit.expired():
                limit.reschedule(now)
