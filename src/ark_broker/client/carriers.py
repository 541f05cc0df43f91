"""Who carries out the steps of a program: over httpx, with asyncio or without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeAlias

import httpx

from ark_broker.client.connection import answer_of, check_opened, is_wanted, request_of, unreachable
from ark_broker.client.errors import BrokerError
from ark_broker.client.steps import Answer, Call, Open, Pause, Read, Run, Step

#: Called before each wait for a new try, with the seconds until then and what went wrong; None stands for a stream
#: that the broker ended in good order, to be taken up again.
OnPause: TypeAlias = Callable[[float, BrokerError | None], None]


class AsyncCarrier:
    """Carries out the steps of one program; holds the answer that is open, if there is one."""

    def __init__(self, http: httpx.AsyncClient, url: str, timeout: float, on_pause: OnPause | None = None) -> None:
        self._http = http
        self._url = url
        self._timeout = timeout
        self._on_pause = on_pause
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def carry_out(self, run: Run[Any], step: Step) -> None:
        """Do the step, and tell the program what came of it."""
        try:
            reply = await self._do(step)
        except httpx.RequestError as error:
            run.fail(unreachable(self._url, error))
        except BrokerError as error:
            run.fail(error)
        else:
            run.resume(reply)

    async def _do(self, step: Step) -> Answer | bytes | None:
        match step:
            case Call():
                return answer_of(await self._http.send(request_of(self._http, self._url, step, self._timeout)))
            case Open():
                await self._open(step)
            case Read() if self._pieces is not None:
                return await anext(self._pieces, b"")
            case Pause(seconds, reason):
                if self._on_pause is not None:
                    self._on_pause(seconds, reason)
                await asyncio.sleep(seconds)
        return None

    async def _open(self, step: Open) -> None:
        await self._close()
        request = request_of(self._http, self._url, step, self._timeout)
        self._response = await self._http.send(request, stream=True)
        if not is_wanted(self._response, step):
            await self._response.aread()
            check_opened(self._response, step)
        self._pieces = self._response.aiter_bytes()

    async def _close(self) -> None:
        response, self._response, self._pieces = self._response, None, None
        if response is not None:
            await response.aclose()


class Carrier:
    """Carries out the steps of one program; holds the answer that is open, if there is one."""

    def __init__(self, http: httpx.Client, url: str, timeout: float, on_pause: OnPause | None = None) -> None:
        self._http = http
        self._url = url
        self._timeout = timeout
        self._on_pause = on_pause
        self._response: httpx.Response | None = None
        self._pieces: Iterator[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def carry_out(self, run: Run[Any], step: Step) -> None:
        """Do the step, and tell the program what came of it."""
        try:
            reply = self._do(step)
        except httpx.RequestError as error:
            run.fail(unreachable(self._url, error))
        except BrokerError as error:
            run.fail(error)
        else:
            run.resume(reply)

    def _do(self, step: Step) -> Answer | bytes | None:
        match step:
            case Call():
                return answer_of(self._http.send(request_of(self._http, self._url, step, self._timeout)))
            case Open():
                self._open(step)
            case Read() if self._pieces is not None:
                return next(self._pieces, b"")
            case Pause(seconds, reason):
                if self._on_pause is not None:
                    self._on_pause(seconds, reason)
                time.sleep(seconds)
        return None

    def _open(self, step: Open) -> None:
        self._close()
        request = request_of(self._http, self._url, step, self._timeout)
        self._response = self._http.send(request, stream=True)
        if not is_wanted(self._response, step):
            self._response.read()
            check_opened(self._response, step)
        self._pieces = self._response.iter_bytes()

    def _close(self) -> None:
        response, self._response, self._pieces = self._response, None, None
        if response is not None:
            response.close()
