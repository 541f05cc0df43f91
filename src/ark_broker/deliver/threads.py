"""Threads of the deliveries alone: for names to be looked up, and for bodies to be written.

The default executor of the loop is shared with what reads requests. A lookup cannot be called off: where no name server
answers, it holds its thread for half a minute, and a few of them would hold up all that comes in.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, ParamSpec, Protocol, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Hosts that are looked up at once, at most. Others wait, and are tried again later (`guard.RESOLVE_TIMEOUT`).
_LOOKUPS: Final = 8
#: Bodies that are written at once, at most.
_WRITERS: Final = 2


class Run(Protocol):
    """Calls a function outside of the event loop, as `asyncio.to_thread` does."""

    async def __call__(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Its result; raises what it raises."""


class Threads:
    """Made in the event loop that uses it; `close` it. Threads begin when they are needed."""

    def __init__(self) -> None:
        self._lookups = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="deliver-lookup")
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="deliver-write")
        #: What is being looked up, by host.
        self._asked: dict[str, asyncio.Future[Sequence[str]]] = {}

    async def run(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call it in a thread. Raises what it raises."""
        call = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._writers, call)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """All addresses of a name, in the order in which the system would try them. Raises OSError, and UnicodeError.

        Whoever asks while the same name is being looked up gets that answer: the port makes no difference to it.
        """
        asked = self._asked.get(host)
        if asked is None:
            asked = self._asked[host] = asyncio.get_running_loop().run_in_executor(self._lookups, look_up, host)
            asked.add_done_callback(partial(self._answered, host))
        try:
            # One that gives up waiting leaves it to the others.
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            if asked.cancelled() and not (waiting and waiting.cancelling()):
                raise OSError("the broker is closing") from None
            raise

    def _answered(self, host: str, asked: asyncio.Future[Any]) -> None:
        del self._asked[host]
        if not asked.cancelled():
            # Perhaps nobody waits for it any more: an error that nobody looks at would be complained of.
            asked.exception()

    def close(self) -> None:
        """Begin nothing any more. Waits for nobody: what is being looked up ends when the system gives it up."""
        for asked in list(self._asked.values()):
            asked.cancel()
        for executor in (self._lookups, self._writers):
            executor.shutdown(wait=False, cancel_futures=True)


def look_up(host: str) -> Sequence[str]:
    """As `Threads.resolve`. Takes as long as the system waits for its name servers: not for the event loop."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
