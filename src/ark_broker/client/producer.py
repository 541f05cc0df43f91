"""What both chunk streams decide alike: requests, their ends, and what to do when one fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import httpx

from ark_broker.client.backoff import BackOff, asked_delay, may_pass_later
from ark_broker.client.calls import path
from ark_broker.client.connection import answer_of, raise_for, unreachable
from ark_broker.client.errors import BrokerError, Refused
from ark_broker.client.outbox import Outbox
from ark_broker.client.programs import decode
from ark_broker.client.steps import Call

#: Seconds without a line after which a request ends: a connection that has died is noticed by then.
LINGER: Final = 2.0
#: Seconds after which a request ends in any case.
_OLDEST: Final = 10.0
#: Seconds to say goodbye in, for a producer that is interrupted.
HURRY: Final = 5.0


class Delivery:
    """The requests of one stream, one after another."""

    def __init__(self, url: str, query: str, retry_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.outbox = Outbox()
        self._url = url
        self._query = query
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._back_off = BackOff()
        self._failing_since: float | None = None
        self._began = 0.0

    def headers(self) -> dict[str, str]:
        """Headers of the current request, which begins."""
        self._began = self._clock()
        return {"content-type": "application/x-ndjson", "idempotency-key": self.outbox.key}

    @property
    def target(self) -> str:
        """Where the requests go."""
        return self._url + path("stream", self._query)

    @property
    def completion(self) -> Call:
        """The request that marks the stream complete, once."""
        return Call("POST", path("stream", self._query, "complete"))

    def patience(self) -> float:
        """Seconds to wait for the next line before the current request ends."""
        return max(0.0, min(LINGER, self._began + _OLDEST - self._clock()))

    def stored(self, response: httpx.Response) -> None:
        """The broker has answered. Raises Refused."""
        raise_for(response)
        answer = decode(answer_of(response))
        if answer.get("chunks_rejected"):
            raise Refused(400, str(answer.get("error")), details=answer)
        self.outbox.acknowledge()
        self._back_off.succeeded()
        self._failing_since = None

    def failed(self, error: BrokerError | httpx.RequestError) -> float:
        """Seconds to wait before the request is sent again. Raises what is not to be repeated, or no longer."""
        told = error if isinstance(error, BrokerError) else unreachable(self._url, error)
        now = self._clock()
        since = self._failing_since = now if self._failing_since is None else self._failing_since
        delay = self._back_off.next(asked_delay(told))
        if not may_pass_later(told) or now + delay - since > self._retry_seconds:
            raise told
        return delay
